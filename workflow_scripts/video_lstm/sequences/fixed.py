"""The fixed test sets of pixels, Moving MNIST or patches, as their artifacts keep them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from video_lstm import artifacts
from video_lstm.errors import UserError

_CORPORA = {"moving_mnist": "mnist", "patches": "patches"}


@dataclass(frozen=True)
class TestSet:
    """An open test set.

    Attributes:
        corpus: "mnist" or "patches".
        pixels: (n, frames, height, width[, 3]) uint8 data set.
        mean: what is subtracted from pixels before a model is fed them.
        std: what they are divided by.
        mean_frame: (height, width[, 3]) float64, mean of the training frames' pixels.
    """

    corpus: str
    pixels: h5py.Dataset
    mean: float
    std: float
    mean_frame: np.ndarray

    @property
    def frame_size(self) -> int:
        """Values of a frame."""
        return self.mean_frame.size

    def batches(self, size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """All sequences in order, (frames, at most size, frame_size) float32, normalised."""
        for start in range(0, len(self.pixels), size):
            block = torch.from_numpy(self.pixels[start : start + size]).to(device)
            yield normalised(block, self.mean, self.std)

    def spread(self, count: int, device: torch.device | str) -> torch.Tensor:
        """So many sequences from everywhere in the set, as `batches` gives them."""
        rows = np.unique(np.linspace(0, len(self.pixels) - 1, count).astype(np.int64))
        return normalised(torch.from_numpy(self.pixels[rows]).to(device), self.mean, self.std)

    def constant(self, device: torch.device | str) -> torch.Tensor:
        """The mean frame as a model is fed frames, (frame_size,) float32."""
        frame = (self.mean_frame.ravel() - self.mean) / self.std
        return torch.from_numpy(frame.astype(np.float32)).to(device)

    def pictures(self, frames: torch.Tensor) -> torch.Tensor:
        """A model's frames as pictures.

        Args:
            frames: (T, n, frame_size), normalised.

        Returns:
            (T, n, colours, height, width), black 0 and white 1; what lies outside is cut off.
        """
        return pictures(frames, self.mean, self.std, self.mean_frame.shape)

    def as_pixels(self, frames: torch.Tensor) -> np.ndarray:
        """The same as bytes, sequence by sequence: (n, T, height, width[, 3]) uint8."""
        return as_pixels(frames, self.mean, self.std, self.mean_frame.shape)


@contextlib.contextmanager
def open_test_set(path: Path) -> Iterator[TestSet]:
    """Open the test set of an artifact of schema "moving_mnist" or "patches".

    Raises:
        UserError: it is neither.
    """
    schema = "moving_mnist"
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            schema = str(file.attrs.get("schema"))
    if schema not in _CORPORA:
        raise UserError(
            f"{path}: expected a test set, schema {' or '.join(_CORPORA)}, found {schema!r}"
        )
    with artifacts.open_artifact(path, schema) as file:
        yield TestSet(
            corpus=_CORPORA[schema],
            pixels=file["test"],
            mean=float(file.attrs["mean"]),
            std=float(file.attrs["std"]),
            mean_frame=file["mean_frame"][()],
        )


def normalised(pixels: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Frames as models are fed them.

    Args:
        pixels: (size, frames, ...) uint8.
        mean: is subtracted.
        std: is divided by.

    Returns:
        (frames, size, frame_size) float32, contiguous.
    """
    return ((pixels.transpose(0, 1).flatten(2).float() - mean) / std).contiguous()


def pictures(frames: torch.Tensor, mean: float, std: float, shape: tuple[int, ...]) -> torch.Tensor:
    """Undo `normalised`: frames (T, n, frame_size) as pictures.

    Args:
        frames: of a model.
        mean: see `normalised`.
        std: see `normalised`.
        shape: of a frame, (height, width[, 3]).

    Returns:
        (T, n, colours, height, width), black 0 and white 1; what lies outside is cut off.
    """
    values = ((frames.float() * std + mean) / 255).clamp(0, 1)
    height, width, *colours = shape
    return values.unflatten(2, (height, width, *(colours or (1,)))).movedim(-1, 2)


def as_pixels(frames: torch.Tensor, mean: float, std: float, shape: tuple[int, ...]) -> np.ndarray:
    """The same as bytes, sequence by sequence: (n, T, height, width[, 3]) uint8."""
    made = (255 * pictures(frames, mean, std, shape)).round().byte().permute(1, 0, 3, 4, 2)
    return made.cpu().numpy().reshape(*made.shape[:2], *shape)
