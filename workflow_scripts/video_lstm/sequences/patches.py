"""Patches of natural video as a model is fed them (paper, section 3.2)."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from video_lstm import artifacts
from video_lstm.sequences.fixed_test_sets import normalised
from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.sequences.prefetch import Prefetcher
from video_lstm.sequences.random_streams import TRAINING, VALIDATION, step_generator

_PIXEL_FORMAT_FIELDS = {field.name for field in fields(PixelFormat)}
_HELD_OUT = 20  # one training sequence in so many is kept for validation
_VALIDATION_BATCHES = 4


class Patches:
    """Random sequences of a file of patches.

    The last twentieth of the training sequences is kept for validation. They are in the order of
    their videos, so that it shows what the others hardly do.

    Args:
        path: artifact of schema "patches".
        part: "train", or "test" to draw from the test sequences.
        seed: every draw follows from it.
        device: where batches are made. Patches that fit on a GPU are kept there, those that do not
            are read one step ahead.

    Raises:
        UserError: the file is not such an artifact.
    """

    def __init__(
        self,
        path: Path,
        part: Literal["train", "test"] = "train",
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        with artifacts.open_artifact(path, "patches") as file:
            pixel_format = {
                name: value.item()
                for name, value in file.attrs.items()
                if name in _PIXEL_FORMAT_FIELDS
            }
        if math.isnan(pixel_format["rate"]):
            pixel_format["rate"] = None
        self.pixels = PixelFormat(**pixel_format)
        self.mean, self.std = self.pixels.mean, self.pixels.std
        rows = artifacts.map_dataset(path, part)
        self.seed, self.device = seed, torch.device(device)
        self.frames, self.frame_size = rows.shape[1], int(np.prod(rows.shape[2:]))
        kept = max(1, len(rows) // _HELD_OUT) if part == "train" else 0
        self._drawn = len(rows) - kept
        self._held_out = np.arange(self._drawn, len(rows))
        self._rows: np.ndarray | torch.Tensor = rows
        self._read = self._batch
        if self.device.type == "cuda":
            if rows.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
                self._rows = torch.from_numpy(np.array(rows)).to(self.device)
            else:
                self._read = Prefetcher(self._batch)

    def batch(self, step: int, size: int) -> torch.Tensor:
        """The training batch of a step: follows from the seed, the step and the size alone.

        Returns:
            (frames, size, frame_size) float32, normalised, on the device.
        """
        return self._normalised(self._read(step, size))

    def validation(self, size: int) -> list[torch.Tensor]:
        """Fixed batches of sequences that are in no training batch, each as `batch` returns it.

        At most four, of `size` sequences or of all that are kept, if those are fewer; none of the
        test sequences.
        """
        if not len(self._held_out):
            return []
        size = min(size, len(self._held_out))
        count = min(_VALIDATION_BATCHES, len(self._held_out) // size)
        rng = step_generator(self.seed, VALIDATION)
        chosen = rng.permutation(self._held_out)[: count * size]
        return [self._normalised(self._pixels(rows)) for rows in chosen.reshape(count, size)]

    def _batch(self, step: int, size: int) -> torch.Tensor:
        rng = step_generator(self.seed, TRAINING, step)
        return self._pixels(rng.integers(self._drawn, size=size))

    def _pixels(self, index: np.ndarray) -> torch.Tensor:
        """Sequences (size, frames, ...) uint8, on the device or in memory that it can read."""
        if isinstance(self._rows, torch.Tensor):
            return self._rows[torch.from_numpy(index).to(self.device)]
        pixels = torch.from_numpy(self._rows[index])
        return pixels.pin_memory() if self.device.type == "cuda" else pixels

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        return normalised(pixels.to(self.device, non_blocking=True), self.mean, self.std)
