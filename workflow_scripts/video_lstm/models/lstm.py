"""LSTM layers with diagonal peephole connections (paper, section 2.1), and stacks of them."""

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
"""Hidden state h and cell state c of one layer, each (B, H)."""
State = list[LayerState]
"""State of every layer, lowest layer first."""


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
    """Evaluate the equations of the paper's section 2.1 step by step.

    Args:
        x: Input (S, B, D) of the LAST S steps; the T - S steps before have none. None: no step has
            input.
        h: Initial hidden state (B, H); None: zeros.
        c: Initial cell state (B, H); None: zeros.
        weight_x: (4H, D), gates in the order i, f, z, o; None if x is None.
        weight_h: (4H, H).
        bias: (4H,).
        peepholes: (3, H) in the order p_i, p_f, p_o.
        steps: T, number of steps.
        batch: B, batch size.

    Returns:
        Outputs h_1..h_T (T, B, H), final h (B, H) and final c (B, H).
    """
    zeros = weight_h.new_zeros(batch, weight_h.shape[1])
    h = zeros if h is None else h
    c = zeros if c is None else c
    p_i, p_f, p_o = peepholes
    first_input = steps if x is None else steps - len(x)
    outputs = []
    for t in range(steps):
        gates = F.linear(h, weight_h, bias)
        if t >= first_input:
            assert x is not None and weight_x is not None
            gates = gates + F.linear(x[t - first_input], weight_x)
        i, f, z, o = gates.chunk(4, dim=1)
        i = torch.sigmoid(i + p_i * c)
        f = torch.sigmoid(f + p_f * c)
        c = f * c + i * torch.tanh(z)
        o = torch.sigmoid(o + p_o * c)
        h = o * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs), h, c


def _cuda_lstm(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    from video_lstm.models.lstm_cuda import cuda_lstm  # needs Triton, which is installed with CUDA

    return cuda_lstm(*arguments)


_BACKENDS: dict[str, Callable[..., tuple[Tensor, Tensor, Tensor]]] = {
    "reference": reference_lstm,
    "cpu": cpu_lstm,
    "cuda": _cuda_lstm,
}


class PeepholeLSTM(nn.Module):
    """Single LSTM layer with diagonal peephole connections.

    The input and forget gates see the previous cell state, the output gate the new one (paper,
    section 2.1):

        i_t = sigmoid(W_xi x_t + W_hi h_{t-1} + p_i * c_{t-1} + b_i)
        f_t = sigmoid(W_xf x_t + W_hf h_{t-1} + p_f * c_{t-1} + b_f)
        c_t = f_t * c_{t-1} + i_t * tanh(W_xc x_t + W_hc h_{t-1} + b_c)
        o_t = sigmoid(W_xo x_t + W_ho h_{t-1} + p_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    Parameters: `weight_x` (4H, D), absent if the layer has no input; `weight_h` (4H, H); `bias`
    (4H,); `peepholes` (3, H) in the order i, f, o. Gates are stacked in the order i, f, z, o,
    where z is the new content of the cell.

    Args:
        input_size: D, number of input features; None for a layer without input and `weight_x`.
        hidden_size: H, number of units.
        forget_bias: Initial bias of the forget gate; the other biases start at 0, as all do in
            the paper (its released code started the forget gate at 5).
        backend: Implementation: "reference" (any device), "cpu" or "cuda" (faster, hand-written),
            or "auto", the fastest one for the device and the type of the weights.
        generator: Random generator for the weights, U(-1/sqrt(fan-in), 1/sqrt(fan-in)) (paper,
            section 4).
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
        """Run all steps.

        Args:
            x: Input (S, B, D) of the last S steps; None: no step has input.
            state: Initial h and c, each (B, H); None: zeros.
            steps: T, number of steps; default S. The first T - S steps have no input.

        Returns:
            Outputs (T, B, H) and final (h, c), each (B, H).

        Raises:
            ValueError: The sizes do not match, or there is neither input nor state.
        """
        steps, batch = _check_sizes(self, x, state, steps)
        h, c = (None, None) if state is None else state
        backend: str = self.backend
        if backend == "auto":
            backend = self._fastest_backend()
        weight_x = None if x is None else self.weight_x
        outputs, h, c = _BACKENDS[backend](
            x, h, c, weight_x, self.weight_h, self.bias, self.peepholes, steps, batch
        )
        return outputs, (h, c)

    def _fastest_backend(self) -> Backend:
        device, dtype = self.weight_h.device.type, self.weight_h.dtype
        if device == "cuda":
            return "cuda"
        # The CPU's loops are compiled for these types.
        is_compiled = device == "cpu" and dtype in (torch.float32, torch.float64)
        return "cpu" if is_compiled else "reference"

    def extra_repr(self) -> str:
        """Return the sizes and the backend, for `print(model)`."""
        return f"{self.input_size}, {self.hidden_size}, backend={self.backend!r}"


class LSTMStack(nn.Module):
    """Stacked LSTM: each layer reads the outputs of the layer below.

    Args:
        input_size: D, number of input features of the lowest layer; None: it has no input.
        hidden_size: H, number of units of every layer.
        num_layers: Number of layers.
        dropout: Probability of zeroing a value between layers, never between time steps (Zaremba
            et al. 2014); in training only.
        forget_bias: Initial bias of the forget gates.
        cell: Layer class or factory with arguments (input_size, hidden_size, forget_bias=,
            generator=); its layers have the `forward` of PeepholeLSTM.
        generator: Random generator for the weights.
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
        """Run all steps of all layers.

        Args:
            x: Input (S, B, D) of the last S steps; None: no step has input.
            state: Initial (h, c) of every layer; None: zeros.
            steps: T, number of steps; default S.
            generator: Random generator for dropout; required in training if dropout > 0.

        Returns:
            Top layer's outputs (T, B, H), and final (h, c) of every layer.
        """
        final_state = []
        outputs = x
        for level, layer in enumerate(self.layers):
            if level:
                assert outputs is not None
                outputs = dropout(outputs, self.dropout, self.training, generator)
            layer_state = None if state is None else state[level]
            outputs, final_layer_state = layer(outputs, layer_state, steps=steps)
            final_state.append(final_layer_state)
        assert outputs is not None
        return outputs, final_state

    @classmethod
    def from_torch(cls, lstm: nn.LSTM, *, backend: Backend = "auto") -> "LSTMStack":
        """Convert a `torch.nn.LSTM`: the same weights, with peepholes of 0.

        Raises:
            ValueError: The LSTM is bidirectional, has projections, or is batch-first.
        """
        if lstm.bidirectional or lstm.proj_size or lstm.batch_first:
            raise ValueError(
                "expected a unidirectional, time-major torch.nn.LSTM without projections; set "
                "bidirectional=False, batch_first=False and proj_size=0"
            )
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
        """Convert to a `torch.nn.LSTM` that computes the same; all of the bias is in `bias_ih`.

        Raises:
            ValueError: A peephole weight is not 0, or the stack has no input.
        """
        if self.input_size is None or any(layer.peepholes.any() for layer in self.layers):
            raise ValueError("torch.nn.LSTM needs an input and has no peepholes; set them to 0")
        lstm = nn.LSTM(self.input_size, self.hidden_size, len(self.layers), dropout=self.dropout)
        lstm = lstm.to(self.layers[0].weight_h)
        with torch.no_grad():
            for layer, (weight_x, weight_h, bias, second_bias) in zip(
                self.layers, lstm.all_weights, strict=True
            ):
                weight_x.copy_(layer.weight_x)
                weight_h.copy_(layer.weight_h)
                bias.copy_(layer.bias)
                second_bias.zero_()
        return lstm


def dropout(
    x: Tensor, probability: float, training: bool, generator: torch.Generator | None
) -> Tensor:
    """Apply dropout, as `torch.nn.functional.dropout` does but with an explicit generator.

    With a generator that is seeded by the step, a resumed run draws the masks that the interrupted
    run would have drawn.

    Args:
        x: Tensor of any shape.
        probability: Probability of zeroing a value; the others are divided by 1 - probability.
        training: Whether to apply dropout; otherwise x is returned unchanged.
        generator: Random generator on the device of x.

    Raises:
        ValueError: Dropout has to be drawn and there is no generator.
    """
    if not training or not probability:
        return x
    if generator is None:
        raise ValueError("dropout in training needs a generator")
    # 16 random bits per value, cut from 64-bit words: four times as fast on a CPU as bernoulli_,
    # which would take a third of a classifier's training time.
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    keep = words.view(torch.int16)[: x.numel()].view(x.shape) >= int(probability * 2**16) - 2**15
    return x * keep.to(x.dtype).div_(1 - probability)


def _check_sizes(
    layer: PeepholeLSTM, x: Tensor | None, state: LayerState | None, steps: int | None
) -> tuple[int, int]:
    """Return the number of steps and the batch size; raise ValueError if the sizes do not match."""
    if x is None:
        if state is None or steps is None:
            raise ValueError("a layer without input needs a state and a number of steps")
        return steps, len(state[0])
    if x.ndim != 3 or x.shape[2] != layer.input_size:
        raise ValueError(f"expected inputs (T, B, {layer.input_size}), found {tuple(x.shape)}")
    expected = (x.shape[1], layer.hidden_size)
    if state is not None and any(tuple(s.shape) != expected for s in state):
        shapes = [tuple(s.shape) for s in state]
        raise ValueError(f"expected states {expected}, found {shapes}")
    steps = len(x) if steps is None else steps
    if steps < len(x):
        raise ValueError(f"expected at most {steps} inputs, found {len(x)}")
    return steps, x.shape[1]
