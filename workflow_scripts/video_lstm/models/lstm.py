"""LSTM layers with diagonal peepholes (paper, section 2.1), and stacks of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.lstm_cpu import cpu_lstm
from video_lstm.models.matmul import uniform_fan_in_

Backend = Literal["auto", "reference", "cpu", "cuda"]
LayerState = tuple[Tensor, Tensor]
"""h and c of one layer, each (B, H)."""
State = list[LayerState]
"""One LayerState a layer, the lowest first."""


def reference_lstm(
    x: Tensor | None,
    h: Tensor | None,
    c: Tensor | None,
    weight_x: Tensor | None,
    weight_h: Tensor,
    bias: Tensor,
    peepholes: Tensor,
    steps: int,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The equations of the paper's section 2.1, one step after the other.

    Args:
        x: (S, B, D) with S <= steps, fed to the LAST S steps (the earlier ones receive nothing);
            None: no step receives anything.
        h: (B, H) at the start, None for zeros.
        c: (B, H) at the start, None for zeros.
        weight_x: (4H, D), gates in the order i, f, z, o; None where x is None throughout.
        weight_h: (4H, H).
        bias: (4H,).
        peepholes: (3, H): p_i, p_f, p_o.
        steps: T.
        batch: B.

    Returns:
        Outputs h_1..h_T (T, B, H), the final h (B, H) and the final c (B, H).
    """
    zeros = weight_h.new_zeros(batch, weight_h.shape[1])
    h = zeros if h is None else h
    c = zeros if c is None else c
    p_i, p_f, p_o = peepholes
    silent = steps if x is None else steps - len(x)
    outputs = []
    for t in range(steps):
        gates = F.linear(h, weight_h, bias)
        if t >= silent:
            gates = gates + F.linear(x[t - silent], weight_x)
        i, f, z, o = gates.chunk(4, dim=1)
        i = torch.sigmoid(i + p_i * c)
        f = torch.sigmoid(f + p_f * c)
        c = f * c + i * torch.tanh(z)
        o = torch.sigmoid(o + p_o * c)
        h = o * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs), h, c


def _cuda_lstm(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    from video_lstm.models.lstm_cuda import cuda_lstm  # needs Triton, which comes with CUDA

    return cuda_lstm(*arguments)


_BACKENDS: dict[str, Callable[..., tuple[Tensor, Tensor, Tensor]]] = {
    "reference": reference_lstm,
    "cpu": cpu_lstm,
    "cuda": _cuda_lstm,
}


class PeepholeLSTM(nn.Module):
    """One LSTM layer with diagonal peepholes.

    The input and forget gates see the previous cell state, the output gate the new one (paper,
    section 2.1). Parameters: `weight_x` (4H, D), absent where the layer receives no input;
    `weight_h` (4H, H); `bias` (4H,); `peepholes` (3, H) in the order i, f, o. Gates are stacked in
    the order i, f, z, o.

    Args:
        input_size: D; None for a layer that receives no input and has no `weight_x`.
        hidden_size: H.
        forget_bias: initial bias of the forget gate; the other biases start at 0, as all do in
            the paper (its released code started the forget gate at 5).
        backend: how it is computed: "reference" (any device), "cpu" or "cuda" (faster, hand-written
            ones), or "auto", which takes the fastest for the device of the weights.
        generator: draws the weights, U(-1/sqrt(fan-in), 1/sqrt(fan-in)) (paper, section 4).
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        *,
        forget_bias: float = 0.0,
        backend: Backend = "auto",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.backend = input_size, hidden_size, backend
        if input_size is None:
            self.register_parameter("weight_x", None)
        else:
            self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size))
            uniform_fan_in_(self.weight_x, generator)
        self.weight_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        uniform_fan_in_(self.weight_h, generator)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = forget_bias
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size))

    def forward(
        self, x: Tensor | None = None, state: LayerState | None = None, *, steps: int | None = None
    ) -> tuple[Tensor, LayerState]:
        """Runs all steps.

        Args:
            x: (S, B, D), fed to the last S of the steps; None: nothing is fed.
            state: h and c (B, H) at the start, None for zeros.
            steps: T; by default S. The first T - S steps receive no input at all.

        Returns:
            Outputs (T, B, H) and the final (h, c), each (B, H).

        Raises:
            ValueError: the sizes do not fit, or neither input nor state tells the batch size.
        """
        steps = _check(self, x, state, steps)
        h, c = (None, None) if state is None else state
        batch = h.shape[0] if x is None else x.shape[1]
        backend = self.backend
        if backend == "auto":
            device = self.weight_h.device.type
            backend = device if device in _BACKENDS else "reference"
        weight_x = None if x is None else self.weight_x
        outputs, h, c = _BACKENDS[backend](
            x, h, c, weight_x, self.weight_h, self.bias, self.peepholes, steps, batch
        )
        return outputs, (h, c)

    def extra_repr(self) -> str:
        """Sizes and backend, for printing a model."""
        return f"{self.input_size}, {self.hidden_size}, backend={self.backend!r}"


class LSTMStack(nn.Module):
    """Layers on top of each other: each reads the outputs of the one below at the same step.

    Args:
        input_size: D of the lowest layer; None where it receives no input.
        hidden_size: H of every layer.
        num_layers: how many.
        dropout: probability of dropping a value on its way from one layer to the next, never in
            time (Zaremba et al. 2014). Applied in training only.
        forget_bias: see PeepholeLSTM.
        cell: makes a layer of (input_size, hidden_size, forget_bias=, generator=), one that is
            called as PeepholeLSTM is.
        generator: see PeepholeLSTM.
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        num_layers: int = 1,
        *,
        dropout: float = 0.0,
        forget_bias: float = 0.0,
        cell: Callable[..., nn.Module] = PeepholeLSTM,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.dropout = input_size, hidden_size, dropout
        self.layers = nn.ModuleList(
            cell(size, hidden_size, forget_bias=forget_bias, generator=generator)
            for size in [input_size] + [hidden_size] * (num_layers - 1)
        )

    def forward(
        self,
        x: Tensor | None = None,
        state: State | None = None,
        *,
        steps: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """Runs all steps of all layers.

        Args:
            x: (S, B, D), fed to the last S of the steps; None: nothing is fed.
            state: (h, c) of every layer at the start, None for zeros.
            steps: T; by default S.
            generator: draws the dropout; needed in training where there is dropout.

        Returns:
            The top layer's outputs (T, B, H), and every layer's final (h, c).
        """
        final = []
        for level, layer in enumerate(self.layers):
            if level:
                x = dropout(x, self.dropout, self.training, generator)
            x, last = layer(x, None if state is None else state[level], steps=steps)
            final.append(last)
        return x, final

    @classmethod
    def from_torch(cls, lstm: nn.LSTM, *, backend: Backend = "auto") -> "LSTMStack":
        """The same function as a `torch.nn.LSTM`: its weights, with peepholes of 0.

        Raises:
            ValueError: it is bidirectional, has projections, or is batch first.
        """
        if lstm.bidirectional or lstm.proj_size or lstm.batch_first:
            raise ValueError("only a one-way, time-major torch.nn.LSTM without projections fits")
        stack = cls(
            lstm.input_size,
            lstm.hidden_size,
            lstm.num_layers,
            dropout=lstm.dropout,
            cell=partial(PeepholeLSTM, backend=backend),
        ).to(lstm.weight_hh_l0)
        with torch.no_grad():
            for level, layer in enumerate(stack.layers):
                weight_x, weight_h, *biases = lstm.all_weights[level]
                layer.weight_x.copy_(weight_x)
                layer.weight_h.copy_(weight_h)
                layer.bias.copy_(sum(biases, torch.zeros_like(layer.bias)))
        return stack

    def to_torch(self) -> nn.LSTM:
        """The same function as a `torch.nn.LSTM`, all of the bias in `bias_ih`.

        Raises:
            ValueError: a peephole is not 0, or the stack receives no input.
        """
        if self.input_size is None or any(layer.peepholes.any() for layer in self.layers):
            raise ValueError("torch.nn.LSTM has no peepholes and always an input")
        lstm = nn.LSTM(self.input_size, self.hidden_size, len(self.layers), dropout=self.dropout)
        lstm = lstm.to(self.layers[0].weight_h)
        with torch.no_grad():
            for layer, (weight_x, weight_h, bias, spare) in zip(
                self.layers, lstm.all_weights, strict=True
            ):
                weight_x.copy_(layer.weight_x)
                weight_h.copy_(layer.weight_h)
                bias.copy_(layer.bias)
                spare.zero_()
        return lstm


def dropout(
    x: Tensor, probability: float, training: bool, generator: torch.Generator | None
) -> Tensor:
    """Sets values to 0 with a probability and scales the others up, in training only.

    Unlike torch's own it draws from a generator of the caller's, so that a resumed training can
    draw what the interrupted one would have drawn.

    Raises:
        ValueError: there is something to draw and no generator.
    """
    if not training or not probability:
        return x
    if generator is None:
        raise ValueError("dropout in training needs a generator")
    # Random words cut into 16 bits a value: four times as fast on a CPU as torch's bernoulli_,
    # which would take a third of a classifier's training.
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    keep = words.view(torch.int16)[: x.numel()].view(x.shape) >= int(probability * 2**16) - 2**15
    return x * keep.to(x.dtype).div_(1 - probability)


def _check(
    layer: PeepholeLSTM, x: Tensor | None, state: LayerState | None, steps: int | None
) -> int:
    """The number of steps, or a ValueError that says what does not fit."""
    if x is None:
        if state is None or steps is None:
            raise ValueError("a layer that is fed nothing needs a state and a number of steps")
        return steps
    if x.ndim != 3 or x.shape[2] != layer.input_size:
        raise ValueError(f"expected inputs (T, B, {layer.input_size}), found {tuple(x.shape)}")
    expected = (x.shape[1], layer.hidden_size)
    if state is not None and any(tuple(s.shape) != expected for s in state):
        shapes = [tuple(s.shape) for s in state]
        raise ValueError(f"expected states {expected}, found {shapes}")
    steps = len(x) if steps is None else steps
    if steps < len(x):
        raise ValueError(f"{len(x)} inputs for {steps} steps")
    return steps
