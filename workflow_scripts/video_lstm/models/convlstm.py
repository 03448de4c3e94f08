"""The ConvLSTM with peepholes (Shi et al. 2015; lab report, section 2.4): an LSTM over maps.

The equations are the LSTM's with convolutions for the matrix products and a peephole weight for
every value of the cell's maps. With maps of 1x1 and kernels of 1x1 it is the LSTM.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.matmul import uniform_fan_in_

MapState = tuple[Tensor, Tensor]
"""h and c of one layer, each (B, C, H, W)."""


class PeepholeConvLSTM(nn.Module):
    """One ConvLSTM layer, called as `video_lstm.models.lstm.PeepholeLSTM` is.

    Parameters: `weight_x` (4C, D, K, K), absent where the layer receives no input; `weight_h`
    (4C, C, K, K); `bias` (4C,); `peepholes` (3, C, H, W) in the order i, f, o. Gates are stacked
    in the order i, f, z, o. Maps keep their size: they are padded with zeros.

    Args:
        input_size: D, the input's channels; None for a layer that receives no input.
        hidden_size: C, the channels of h and c.
        size: (H, W) of all maps.
        kernel_size: K, odd.
        forget_bias: initial bias of the forget gate; the other biases start at 0.
        generator: draws the weights, U(-1/sqrt(fan-in), 1/sqrt(fan-in)).

    Raises:
        ValueError: the kernel is even, and has no middle.
    """

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        *,
        size: tuple[int, int],
        kernel_size: int,
        forget_bias: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, found {kernel_size}")
        self.input_size, self.hidden_size, self.kernel_size = input_size, hidden_size, kernel_size
        window = (kernel_size, kernel_size)
        if input_size is None:
            self.register_parameter("weight_x", None)
        else:
            self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size, *window))
            uniform_fan_in_(self.weight_x, generator)
        self.weight_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size, *window))
        uniform_fan_in_(self.weight_h, generator)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = forget_bias
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size, *size))

    def forward(
        self, x: Tensor | None = None, state: MapState | None = None, *, steps: int | None = None
    ) -> tuple[Tensor, MapState]:
        """Runs all steps.

        Args:
            x: (S, B, D, H, W), fed to the last S of the steps; None: nothing is fed.
            state: h and c (B, C, H, W) at the start, None for zeros.
            steps: T; by default S. The first T - S steps receive no input at all.

        Returns:
            Outputs (T, B, C, H, W) and the final (h, c), each (B, C, H, W).

        Raises:
            ValueError: the sizes do not fit, or neither input nor state tells the batch size.
        """
        if x is None and (state is None or steps is None):
            raise ValueError("a layer that is fed nothing needs a state and a number of steps")
        size = self.peepholes.shape[2:]
        expected = (self.input_size, *size)
        if x is not None and (x.ndim != 5 or tuple(x.shape[2:]) != expected):
            raise ValueError(f"expected inputs (T, B, *{expected}), found {tuple(x.shape)}")
        fed = 0 if x is None else len(x)
        steps = fed if steps is None else steps
        if steps < fed:
            raise ValueError(f"{fed} inputs for {steps} steps")
        if state is None:
            zeros = self.peepholes.new_zeros(x.shape[1], self.hidden_size, *size)
            state = (zeros, zeros)
        h, c = state
        if x is not None:  # one convolution for all steps
            padding = self.kernel_size // 2
            inputs = F.conv2d(x.flatten(0, 1), self.weight_x, padding=padding)
            inputs = inputs.unflatten(0, x.shape[:2])
        p_i, p_f, p_o = self.peepholes
        outputs = []
        for t in range(steps):
            gates = F.conv2d(h, self.weight_h, self.bias, padding=self.kernel_size // 2)
            if t >= steps - fed:
                gates = gates + inputs[t - (steps - fed)]
            i, f, z, o = gates.chunk(4, dim=1)
            i = torch.sigmoid(i + p_i * c)
            f = torch.sigmoid(f + p_f * c)
            c = f * c + i * torch.tanh(z)
            o = torch.sigmoid(o + p_o * c)
            h = o * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)


class MapReadout(nn.Conv2d):
    """Maps to maps by a 1x1 convolution: the readout of a ConvLSTM.

    Args:
        in_channels: C.
        out_channels: D.
        generator: draws the weights, U(-1/sqrt(C), 1/sqrt(C)); biases are 0.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(in_channels, out_channels, 1)
        uniform_fan_in_(self.weight, generator)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C, H, W) to (..., D, H, W)."""
        return super().forward(x.flatten(0, -4)).unflatten(0, x.shape[:-3])


def frames_to_maps(frames: Tensor, side: int, patch_size: int) -> Tensor:
    """Square frames as small maps with a channel for every pixel of a patch (Shi et al. 2015).

    Args:
        frames: (T, B, side * side), row by row.
        side: height and width of a frame, a multiple of `patch`.
        patch_size: P.

    Returns:
        (T, B, P * P, side / P, side / P).
    """
    return F.pixel_unshuffle(frames.unflatten(2, (1, side, side)), patch_size)


def maps_to_frames(maps: Tensor, patch_size: int) -> Tensor:
    """The inverse of `frames_to_maps`."""
    return F.pixel_shuffle(maps, patch_size).flatten(2)
