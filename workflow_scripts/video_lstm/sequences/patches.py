"""Mini-batches of patches of natural video (paper, section 3.2)."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from video_lstm import artifacts
from video_lstm.sequences.fixed_test_sets import normalise
from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.sequences.prefetch import Prefetcher
from video_lstm.sequences.random_streams import TRAINING, VALIDATION, step_generator

_PIXEL_FORMAT_FIELDS = {field.name for field in fields(PixelFormat)}
_VALIDATION_INTERVAL = 20  # one training sequence in 20 is held out for validation
_VALIDATION_BATCHES = 4


class Patches:
    """Random mini-batches of the sequences in an artifact of patches.

    The last twentieth of the training sequences is the validation set. Sequences are sorted by
    video, so that it shares at most one video with the rest.

    Args:
        path: Artifact of schema "patches".
        part: "train", or "test" to draw from the test sequences.
        seed: Random seed for batch sampling.
        device: Device of the batches. Patches that fit into half a GPU's free memory are cached
            there, others are prefetched.

    Raises:
        UserError: The file is not such an artifact.
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
        validation_count = max(1, len(rows) // _VALIDATION_INTERVAL) if part == "train" else 0
        self._training_count = len(rows) - validation_count
        self._held_out = np.arange(self._training_count, len(rows))
        self._rows: np.ndarray | torch.Tensor = rows
        self._read = self._read_batch
        if self.device.type == "cuda":
            if rows.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
                self._rows = torch.from_numpy(np.array(rows)).to(self.device)
            else:
                self._read = Prefetcher(self._read_batch)

    def batch(self, step: int, size: int) -> torch.Tensor:
        """Return the training batch of a step; it depends only on the seed, the step and the size.

        Returns:
            (frames, size, frame_size) float32, normalised, on the device.
        """
        return self._normalise(self._read(step, size))

    def validation(self, size: int) -> list[torch.Tensor]:
        """Return fixed batches of the validation set, each as `batch` returns it.

        There are at most four, of `size` sequences or all held-out ones if those are fewer, and
        none for the test sequences.
        """
        if not len(self._held_out):
            return []
        size = min(size, len(self._held_out))
        count = min(_VALIDATION_BATCHES, len(self._held_out) // size)
        rng = step_generator(self.seed, VALIDATION)
        order = rng.permutation(self._held_out)[: count * size]
        return [self._normalise(self._read_pixels(rows)) for rows in order.reshape(count, size)]

    def _read_batch(self, step: int, size: int) -> torch.Tensor:
        rng = step_generator(self.seed, TRAINING, step)
        return self._read_pixels(rng.integers(self._training_count, size=size))

    def _read_pixels(self, indices: np.ndarray) -> torch.Tensor:
        """Return sequences (size, frames, ...) uint8 on the device or in pinned memory."""
        if isinstance(self._rows, torch.Tensor):
            return self._rows[torch.from_numpy(indices).to(self.device)]
        pixels = torch.from_numpy(self._rows[indices])
        return pixels.pin_memory() if self.device.type == "cuda" else pixels

    def _normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        return normalise(pixels.to(self.device, non_blocking=True), self.mean, self.std)
