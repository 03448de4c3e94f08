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
_CANDIDATES = 20  # sequences that are looked at for one that shows what moves
_LIVELY = 4  # one in so many of them


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

    def moving(self, count: int, seen: int, device: torch.device | str) -> torch.Tensor:
        """Sequences in which something moves that could be foreseen; no model is asked.

        Of many from everywhere in the set, the quarter that changes the most; of these the
        steadiest, whose frames are the most like the one before (correlation around the mean over
        time). Both are of the frames that are seen or of those after, whichever has less.

        Args:
            count: how many, at most all.
            seen: frames that models read.
            device: where they are wanted.

        Returns:
            (frames, count, frame_size), as `batches` gives them, the steadiest first.
        """
        rows = np.linspace(0, len(self.pixels) - 1, _CANDIDATES * count).astype(np.int64)
        pixels = torch.from_numpy(self.pixels[np.unique(rows)])
        frames = pixels.flatten(2).float()
        parts = frames[:, :seen], frames[:, seen:]
        around = [part - part.mean(1, keepdim=True) for part in parts]
        change = [part.square().sum((1, 2)) for part in around]
        covariance = [(part[:, 1:] * part[:, :-1]).sum((1, 2)) for part in around]
        steadiness = torch.minimum(
            *(of / total.clamp_min(1) for of, total in zip(covariance, change, strict=True))
        )
        lively = torch.minimum(*change).argsort(descending=True, stable=True)
        lively = lively[: max(count, len(lively) // _LIVELY)]
        steadiest = lively[steadiness[lively].argsort(descending=True, stable=True)[:count]]
        return normalised(pixels[steadiest].to(device), self.mean, self.std)

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

    def to_uint8(self, frames: torch.Tensor) -> np.ndarray:
        """The same as bytes, sequence by sequence: (n, T, height, width[, 3]) uint8."""
        return to_uint8(frames, self.mean, self.std, self.mean_frame.shape)


@contextlib.contextmanager
def open_test_set(path: Path) -> Iterator[TestSet]:
    """Open the test set of an artifact of schema "moving_mnist" or "patches".

    Raises:
        UserError: it is neither.
    """
    schema = artifacts.schema_of(path) or "moving_mnist"
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


def to_uint8(frames: torch.Tensor, mean: float, std: float, shape: tuple[int, ...]) -> np.ndarray:
    """The same as bytes, sequence by sequence: (n, T, height, width[, 3]) uint8."""
    made = (255 * pictures(frames, mean, std, shape)).round().byte().permute(1, 0, 3, 4, 2)
    return made.cpu().numpy().reshape(*made.shape[:2], *shape)
