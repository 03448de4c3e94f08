"""ConvLSTM with peepholes (Shi et al. 2015; lab report, section 2.4): an LSTM on feature maps.

The equations are those of the LSTM with convolutions in place of matrix products and a peephole
weight for every value of the cell state's maps. With 1x1 maps and 1x1 kernels it is the LSTM.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.matmul import uniform_fan_in_

MapState = tuple[Tensor, Tensor]
"""Hidden state h and cell state c of one layer, each (B, C, H, W)."""


class PeepholeConvLSTM(nn.Module):
    """Single ConvLSTM layer with the interface of `video_lstm.models.lstm.PeepholeLSTM`.

    Parameters: `weight_x` (4C, D, K, K), absent if the layer has no input; `weight_h`
    (4C, C, K, K); `bias` (4C,); `peepholes` (3, C, H, W) in the order i, f, o. Gates are stacked
    in the order i, f, z, o. Convolutions are zero-padded, so that maps keep their size.

    Args:
        input_size: D, number of input channels; None for a layer without input.
        hidden_size: C, number of channels of h and c.
        size: (H, W) of all maps.
        kernel_size: K, odd.
        forget_bias: Initial bias of the forget gate; the other biases start at 0.
        generator: Random generator for the weights, U(-1/sqrt(fan-in), 1/sqrt(fan-in)).

    Raises:
        ValueError: The kernel size is even.
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
        kernel = (kernel_size, kernel_size)
        if input_size is None:
            self.register_parameter("weight_x", None)
        else:
            self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size, *kernel))
            uniform_fan_in_(self.weight_x, generator)
        self.weight_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size, *kernel))
        uniform_fan_in_(self.weight_h, generator)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = forget_bias
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size, *size))

    def forward(
        self, x: Tensor | None = None, state: MapState | None = None, *, steps: int | None = None
    ) -> tuple[Tensor, MapState]:
        """Run all steps.

        Args:
            x: Input (S, B, D, H, W) of the last S steps; None: no step has input.
            state: Initial h and c, each (B, C, H, W); None: zeros.
            steps: T, number of steps; default S. The first T - S steps have no input.

        Returns:
            Outputs (T, B, C, H, W) and final (h, c), each (B, C, H, W).

        Raises:
            ValueError: The sizes do not match, or there is neither input nor state.
        """
        if x is None and (state is None or steps is None):
            raise ValueError("a layer without input needs a state and a number of steps")
        size = self.peepholes.shape[2:]
        expected = (self.input_size, *size)
        if x is not None and (x.ndim != 5 or tuple(x.shape[2:]) != expected):
            raise ValueError(f"expected inputs (T, B, *{expected}), found {tuple(x.shape)}")
        num_inputs = 0 if x is None else len(x)
        steps = num_inputs if steps is None else steps
        if steps < num_inputs:
            raise ValueError(f"expected at most {steps} inputs, found {num_inputs}")
        if state is None:
            assert x is not None
            zeros = self.peepholes.new_zeros(x.shape[1], self.hidden_size, *size)
            state = (zeros, zeros)
        h, c = state
        if x is not None:  # one convolution for all steps
            padding = self.kernel_size // 2
            inputs = F.conv2d(x.flatten(0, 1), self.weight_x, padding=padding)
            inputs = inputs.unflatten(0, x.shape[:2])
        p_i, p_f, p_o = self.peepholes
        outputs = []
        first_input = steps - num_inputs
        for t in range(steps):
            gates = F.conv2d(h, self.weight_h, self.bias, padding=self.kernel_size // 2)
            if t >= first_input:
                gates = gates + inputs[t - first_input]
            i, f, z, o = gates.chunk(4, dim=1)
            i = torch.sigmoid(i + p_i * c)
            f = torch.sigmoid(f + p_f * c)
            c = f * c + i * torch.tanh(z)
            o = torch.sigmoid(o + p_o * c)
            h = o * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)


class MapReadout(nn.Conv2d):
    """Readout of a ConvLSTM: a 1x1 convolution.

    Args:
        in_channels: C, number of channels of h.
        out_channels: D, number of output channels.
        generator: Random generator for the weights, U(-1/sqrt(C), 1/sqrt(C)); biases start at 0.
    """

    bias: nn.Parameter

    def __init__(
        self, in_channels: int, out_channels: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(in_channels, out_channels, 1)
        uniform_fan_in_(self.weight, generator)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C, H, W) to (..., D, H, W)."""
        return super().forward(x.flatten(0, -4)).unflatten(0, x.shape[:-3])


def frames_to_maps(frames: Tensor, side: int, patch_size: int) -> Tensor:
    """Rearrange square frames into maps with one channel per pixel of a patch (Shi et al. 2015).

    Args:
        frames: (T, B, side * side), row by row.
        side: Height and width of a frame, a multiple of `patch_size`.
        patch_size: P, height and width of a patch.

    Returns:
        (T, B, P * P, side / P, side / P).
    """
    return F.pixel_unshuffle(frames.unflatten(2, (1, side, side)), patch_size)


def maps_to_frames(maps: Tensor, patch_size: int) -> Tensor:
    """Invert `frames_to_maps`."""
    return F.pixel_shuffle(maps, patch_size).flatten(2)
