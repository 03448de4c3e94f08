"""Patches of natural video as a model is fed them (paper, section 3.2)."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from video_lstm import artifacts
from video_lstm.sequences import draws
from video_lstm.sequences.fixed import normalised

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
        device: where batches are made. Patches that fit on a GPU are kept there.

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
            self.mean, self.std = float(file.attrs["mean"]), float(file.attrs["std"])
        rows = artifacts.map_dataset(path, part)
        self.seed, self.device = seed, torch.device(device)
        self.frames, self.frame_size = rows.shape[1], int(np.prod(rows.shape[2:]))
        kept = max(1, len(rows) // _HELD_OUT) if part == "train" else 0
        self._drawn = len(rows) - kept
        self._held_out = np.arange(self._drawn, len(rows))
        self._rows: np.ndarray | torch.Tensor = rows
        if self.device.type == "cuda" and rows.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
            self._rows = torch.from_numpy(np.array(rows)).to(self.device)

    def batch(self, step: int, size: int) -> torch.Tensor:
        """The training batch of a step: follows from the seed, the step and the size alone.

        Returns:
            (frames, size, frame_size) float32, normalised, on the device.
        """
        rng = draws.generator(self.seed, draws.TRAINING, step)
        return self._normalised(rng.integers(self._drawn, size=size))

    def validation(self, size: int) -> list[torch.Tensor]:
        """Fixed batches of sequences that are in no training batch, each as `batch` returns it.

        At most four, of `size` sequences or of all that are kept, if those are fewer; none of the
        test sequences.
        """
        if not len(self._held_out):
            return []
        size = min(size, len(self._held_out))
        count = min(_VALIDATION_BATCHES, len(self._held_out) // size)
        rng = draws.generator(self.seed, draws.VALIDATION)
        chosen = rng.permutation(self._held_out)[: count * size]
        return [self._normalised(rows) for rows in chosen.reshape(count, size)]

    def _normalised(self, index: np.ndarray) -> torch.Tensor:
        if isinstance(self._rows, torch.Tensor):
            pixels = self._rows[torch.from_numpy(index).to(self.device)]
        else:
            pixels = torch.from_numpy(self._rows[index]).to(self.device)
        return normalised(pixels, self.mean, self.std)
