"""Standardisation of percepts, the first layer of every model that reads them."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

_SCALE_FLOOR = 0.1
"""Smallest scale, relative to the average over all values: a value that hardly ever changes would
be amplified too much by its own standard deviation."""


class Standardize(nn.Module):
    """Standardise percepts: subtract a mean and divide by a scale, separately for every value.

    With a `motion_scale` (stream `motion`) the mean over the input frames of the sequence is
    subtracted instead, and the rest is divided by its own scale. Most of a percept shows who and
    where; the rest shows what moves.

    The buffers are not trained. They are saved with the model's weights, so that a fine-tuned
    encoder reads percepts as in pretraining.

    Args:
        mean: (D,) float32.
        scale: (D,) float32, > 0.
        motion_scale: (D,) float32, > 0, in units of `scale`; None for other streams than `motion`.
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
        """Compute the mean and the standard deviation of each value over all frames.

        The motion scale is the root mean square deviation of a value from its mean over the input
        frames of a window, at least a tenth of the average over all values. Windows do not overlap;
        a clip shorter than a window is one window.

        Args:
            clips: Percepts (T, D) of the clips of training videos, any float dtype.
            motion_window: For stream `motion`: number of frames and of input frames of a window.

        Raises:
            ValueError: There are no frames.
        """
        count = 0
        total = squares = motion_squares = np.zeros(())
        for clip in clips:
            values = np.asarray(clip, np.float64)
            count += len(values)
            total = total + values.sum(0)
            squares = squares + np.square(values).sum(0)
            if motion_window is not None:
                frames, input_frames = motion_window
                for start in range(0, len(values), frames):
                    window = values[start : start + frames]
                    deviation = window - window[:input_frames].mean(0)
                    motion_squares = motion_squares + np.square(deviation).sum(0)
        if not count:
            raise ValueError("expected clips to compute the mean and scale of, found no frames")
        mean = total / count
        variance = np.maximum(squares / count - np.square(mean), 0)
        floor = _SCALE_FLOOR * np.sqrt(variance.mean()) or 1.0
        scale = np.maximum(np.sqrt(variance), floor)
        if motion_window is None:
            return cls(mean, scale)
        motion = np.sqrt(motion_squares / count) / scale
        return cls(mean, scale, np.maximum(motion, _SCALE_FLOOR * motion.mean() or 1.0))

    def forward(
        self, frames: Tensor, *, input_frames: int | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Standardise sequences of percepts.

        Args:
            frames: (T, B, D) float32.
            input_frames: Number of frames at the start that the model reads; those after are to be
                predicted, and stream `motion` leaves them out of the mean. None: all.
            mask: (T, B) bool, true for frames of the video, false for padding; None: no padding.

        Returns:
            (T, B, D) float32.
        """
        if self.motion_scale is None:
            return (frames - self.mean).div_(self.scale)
        inputs = frames[:input_frames]
        if mask is None:
            mean = inputs.mean(0)
        else:
            weights = mask[:input_frames].to(inputs).unsqueeze(2)
            mean = (inputs * weights).sum(0) / weights.sum(0)
        # self.mean cancels in the difference.
        return (frames - mean).div_(self.scale * self.motion_scale)
