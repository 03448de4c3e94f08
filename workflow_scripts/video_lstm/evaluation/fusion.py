"""Late fusion: two streams' class probabilities, averaged with a weight (paper, section 3.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.artifacts import open_artifact
from video_lstm.errors import UserError
from video_lstm.evaluation.validation import best_validated

_WEIGHTS = np.arange(21) / 20


@dataclass(frozen=True)
class Scored:
    """What a stream's classifiers say of some videos.

    Attributes:
        about: data set, split, variant, labels: what must be the same for a fusion.
        stream: whose percepts were classified.
        scores: (draws, videos, K), class probabilities.
        videos: (videos,) rows of the index.
        labels: (videos,) int.
    """

    about: tuple[str, ...]
    stream: str
    scores: np.ndarray
    videos: np.ndarray
    labels: np.ndarray


def read_scored(path: Path) -> Scored:
    """Read an artifact of schema `finetuned`."""
    with open_artifact(path, "finetuned") as file:
        about = tuple(str(file.attrs[name]) for name in ("dataset", "split", "variant", "labels"))
        arrays = (file[name][()] for name in ("scores", "video", "label"))
        return Scored(about, str(file.attrs["stream"]), *arrays)


def fuse(first: Path, second: Path) -> tuple[Scored, Scored]:
    """Two streams' classifiers of the same videos.

    Raises:
        UserError: they are not of the same data set, split, variant, labels, draws and videos.
    """
    streams = read_scored(first), read_scored(second)
    one, other = ((s.about, s.scores.shape, s.videos.tolist()) for s in streams)
    if one != other:
        raise UserError(
            f"{second}: expected scores of {one[0]}, {one[1]} (draws, videos, classes) as in "
            f"{first}, found {other[0]}, {other[1]}; fuse what was trained on the same videos"
        )
    return streams


def fused_accuracy(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, weight: float
) -> np.ndarray:
    """Share of the videos that the weighted mean of two streams' scores gets right.

    Args:
        first: (draws, videos, K).
        second: likewise.
        labels: (videos,) int.
        weight: of the first, from 0 to 1.

    Returns:
        (draws,) float64.
    """
    return ((weight * first + (1 - weight) * second).argmax(2) == labels).mean(1)


def choose_weight(first: Sequence[Path], second: Sequence[Path]) -> float:
    """The weight of the first stream that does best on validation videos.

    Of each stream the settings count that were chosen on the same videos. Steps of 0.05; among
    equals the nearest to one half is taken.

    Args:
        first: artifacts of schema `finetuned` with scores of validation videos, one per choice of
            settings.
        second: those of the other stream.

    Raises:
        UserError: they cannot be fused, or are scores of test videos.
    """
    one, other = fuse(best_validated(first), best_validated(second))
    found = [fused_accuracy(one.scores, other.scores, one.labels, w).mean() for w in _WEIGHTS]
    best = _WEIGHTS[np.isclose(found, max(found))]
    return float(best[np.abs(best - 0.5).argmin()])
