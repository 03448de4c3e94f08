"""Percepts on a common scale: what every model of percepts reads them through."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """Subtracts a mean and divides by a scale, value by value of a frame.

    Not trained. It is kept with the weights of the model that reads through it, so that a
    fine-tuned encoder sees what it was pretrained on.

    Args:
        mean: (D,) float32.
        scale: (D,) float32, above 0.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("scale", scale)):
            self.register_buffer(name, torch.from_numpy(np.array(value, np.float32)))

    @classmethod
    def fit(cls, clips: Iterable[np.ndarray]) -> "Standardize":
        """The mean of each value over all frames, and its standard deviation.

        A value that hardly ever moves would be blown up by its own deviation; its scale is at
        least a tenth of the root mean square of all.

        Args:
            clips: (T, D) each, any float dtype; of training videos only.

        Raises:
            ValueError: there are no frames.
        """
        count, total, squares = 0, 0.0, 0.0
        for clip in clips:
            values = np.asarray(clip, np.float64)
            count += len(values)
            total = total + values.sum(0)
            squares = squares + np.square(values).sum(0)
        if not count:
            raise ValueError("no frames to standardise by")
        mean = total / count
        variance = np.maximum(squares / count - np.square(mean), 0)
        floor = 0.1 * np.sqrt(variance.mean()) or 1.0
        return cls(mean, np.maximum(np.sqrt(variance), floor))

    def forward(self, frames: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return (frames - self.mean) / self.scale
