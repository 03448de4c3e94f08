"""Read the fixed test sets of pixels: Moving MNIST and patches."""

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
_CANDIDATES_PER_SAMPLE = 20
_MOST_MOTION_FRACTION = 4  # the quarter of the candidates with the most motion remains


@dataclass(frozen=True)
class TestSet:
    """An open test set.

    Attributes:
        corpus: "mnist" or "patches".
        pixels: Data set of sequences, (n, frames, height, width[, 3]) uint8.
        mean: Mean pixel value, subtracted to normalise a model's input.
        std: Standard deviation of the pixels, by which the input is then divided.
        mean_frame: Mean of the training frames, (height, width[, 3]) float64.
    """

    corpus: str
    pixels: h5py.Dataset
    mean: float
    std: float
    mean_frame: np.ndarray

    @property
    def frame_size(self) -> int:
        """Number of values in a frame."""
        return self.mean_frame.size

    def batches(self, size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """Yield all sequences in order, (frames, at most size, frame_size) float32, normalised."""
        for start in range(0, len(self.pixels), size):
            block = torch.from_numpy(self.pixels[start : start + size]).to(device)
            yield normalise(block, self.mean, self.std)

    def select_moving_sequences(
        self, count: int, input_frames: int, device: torch.device | str
    ) -> torch.Tensor:
        """Select sequences with predictable motion, without asking any model.

        From candidates spread evenly over the set, take the quarter with the largest changes over
        time, and of these the ones with the smoothest motion: the highest correlation of
        consecutive frames around the mean over time. Each measure is the smaller one of the input
        and the future frames.

        Args:
            count: Number of sequences, at most all.
            input_frames: Frames that models read.
            device: Device of the result.

        Returns:
            Normalised sequences (frames, count, frame_size), the smoothest first.
        """
        rows = np.linspace(0, len(self.pixels) - 1, _CANDIDATES_PER_SAMPLE * count).astype(np.int64)
        pixels = torch.from_numpy(self.pixels[np.unique(rows)])
        frames = pixels.flatten(2).float()
        parts = frames[:, :input_frames], frames[:, input_frames:]
        centred = [part - part.mean(1, keepdim=True) for part in parts]
        variances = [part.square().sum((1, 2)) for part in centred]
        covariances = [(part[:, 1:] * part[:, :-1]).sum((1, 2)) for part in centred]
        smoothness = torch.minimum(
            *(
                covariance / variance.clamp_min(1)
                for covariance, variance in zip(covariances, variances, strict=True)
            )
        )
        candidates = torch.minimum(*variances).argsort(descending=True, stable=True)
        candidates = candidates[: max(count, len(candidates) // _MOST_MOTION_FRACTION)]
        order = smoothness[candidates].argsort(descending=True, stable=True)
        selected = candidates[order[:count]]
        return normalise(pixels[selected].to(device), self.mean, self.std)

    def mean_frame_input(self, device: torch.device | str) -> torch.Tensor:
        """Return the mean frame normalised like a model's input, (frame_size,) float32."""
        frame = (self.mean_frame.ravel() - self.mean) / self.std
        return torch.from_numpy(frame.astype(np.float32)).to(device)

    def to_images(self, frames: torch.Tensor) -> torch.Tensor:
        """Convert a model's frames to images.

        Args:
            frames: Normalised frames, (T, n, frame_size).

        Returns:
            Images (T, n, channels, height, width), clamped to 0 (black) .. 1 (white).
        """
        return to_images(frames, self.mean, self.std, self.mean_frame.shape)

    def to_uint8(self, frames: torch.Tensor) -> np.ndarray:
        """Convert a model's frames to bytes, sequence first: (n, T, height, width[, 3]) uint8."""
        return to_uint8(frames, self.mean, self.std, self.mean_frame.shape)


@contextlib.contextmanager
def open_test_set(path: Path) -> Iterator[TestSet]:
    """Open the test set of an artifact of schema "moving_mnist" or "patches".

    Raises:
        UserError: The artifact has another schema.
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


def normalise(pixels: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Normalise frames for a model.

    Args:
        pixels: Sequences, (size, frames, ...) uint8.
        mean: Value that is subtracted from pixels.
        std: Value by which the difference is divided.

    Returns:
        (frames, size, frame_size) float32, contiguous.
    """
    return ((pixels.transpose(0, 1).flatten(2).float() - mean) / std).contiguous()


def to_images(
    frames: torch.Tensor, mean: float, std: float, shape: tuple[int, ...]
) -> torch.Tensor:
    """Convert normalised frames to images; the inverse of `normalise`.

    Args:
        frames: A model's frames, (T, n, frame_size).
        mean: Mean that was subtracted from pixels.
        std: Standard deviation that they were divided by.
        shape: Shape of a frame, (height, width[, 3]).

    Returns:
        Images (T, n, channels, height, width), clamped to 0 (black) .. 1 (white).
    """
    values = ((frames.float() * std + mean) / 255).clamp(0, 1)
    height, width, *channels = shape
    return values.unflatten(2, (height, width, *(channels or (1,)))).movedim(-1, 2)


def to_uint8(frames: torch.Tensor, mean: float, std: float, shape: tuple[int, ...]) -> np.ndarray:
    """Convert a model's frames to bytes, sequence first: (n, T, height, width[, 3]) uint8."""
    images = (255 * to_images(frames, mean, std, shape)).round().byte().permute(1, 0, 3, 4, 2)
    return images.cpu().numpy().reshape(*images.shape[:2], *shape)
