"""Percepts on a common scale, or as movement: what every model of percepts reads them through."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

_SCALE_FLOOR = 0.1
"""A value that hardly ever changes would be blown up by its own small deviation; no scale is below
this share of what is typical of all values."""


class Standardize(nn.Module):
    """Subtracts a mean and divides by a scale, value by value of a frame.

    With a `motion_scale` the stream is `motion`: percepts are then read around the mean of the
    frames that the model sees of the sequence, on the scale of their movement about that mean. Most
    of a percept shows who and where; what is left shows what moves.

    Not trained. It is kept with the weights of the model that reads through it, so that a
    fine-tuned encoder sees what it was pretrained on.

    Args:
        mean: (D,) float32.
        scale: (D,) float32, above 0.
        motion_scale: (D,) float32, above 0, in units of `scale`; None: the stream is not `motion`.
    """

    mean: Tensor
    scale: Tensor
    motion_scale: Tensor | None

    def __init__(
        self, mean: np.ndarray, scale: np.ndarray, motion_scale: np.ndarray | None = None
    ) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("scale", scale), ("motion_scale", motion_scale)):
            tensor = None if value is None else torch.from_numpy(np.array(value, np.float32))
            self.register_buffer(name, tensor)

    @classmethod
    def fit(
        cls, clips: Iterable[np.ndarray], *, motion_window: tuple[int, int] | None = None
    ) -> "Standardize":
        """The mean of each value over all frames, and its standard deviation.

        The scale of movement is the root mean square of a value about its mean over the frames that
        are seen of a window, at least a tenth of its mean over all values. The windows of a clip
        lie side by side; a clip that is shorter than a window is one.

        Args:
            clips: (T, D) each, any float dtype; of training videos only.
            motion_window: for the stream `motion`: the frames of a window, and how many of them,
                the first, a model sees.

        Raises:
            ValueError: there are no frames.
        """
        count, total, squares, movement = 0, 0.0, 0.0, 0.0
        for clip in clips:
            values = np.asarray(clip, np.float64)
            count += len(values)
            total = total + values.sum(0)
            squares = squares + np.square(values).sum(0)
            if motion_window is not None:
                frames, seen = motion_window
                for start in range(0, len(values), frames):
                    window = values[start : start + frames]
                    movement = movement + np.square(window - window[:seen].mean(0)).sum(0)
        if not count:
            raise ValueError("no frames to standardise by")
        mean = total / count
        variance = np.maximum(squares / count - np.square(mean), 0)
        floor = _SCALE_FLOOR * np.sqrt(variance.mean()) or 1.0
        scale = np.maximum(np.sqrt(variance), floor)
        if motion_window is None:
            return cls(mean, scale)
        deviation = np.sqrt(movement / count) / scale
        return cls(mean, scale, np.maximum(deviation, _SCALE_FLOOR * deviation.mean() or 1.0))

    def forward(
        self, frames: Tensor, *, seen: int | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Reads sequences of percepts.

        Args:
            frames: (T, B, D).
            seen: how many of the frames, the first, the model sees: the others are to be predicted,
                and the mean of movement does not look at them; None: all.
            mask: (T, B), true where a frame is of the video and not padding; None: everywhere.

        Returns:
            (T, B, D).
        """
        if self.motion_scale is None:
            return (frames - self.mean).div_(self.scale)
        visible = frames[:seen]
        if mask is None:
            mean = visible.mean(0)
        else:
            weights = mask[:seen].to(visible).unsqueeze(2)
            mean = (visible * weights).sum(0) / weights.sum(0)
        # The common mean is in both, and falls out of the difference.
        return (frames - mean).div_(self.scale * self.motion_scale)
