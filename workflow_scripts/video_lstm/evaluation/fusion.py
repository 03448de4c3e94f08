"""Late fusion: streams' class probabilities, averaged with weights (paper, section 3.5)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.artifacts import open_artifact
from video_lstm.errors import UserError
from video_lstm.sequences.validation import best_validated

_STEPS = 20
"""Weights are multiples of one part in so many."""
_LEAST_SCORE = 1e-9
"""One video with a score of 0 for its class does not decide."""


@dataclass(frozen=True)
class ClassifierScores:
    """Scores of some videos by a stream's classifiers.

    Attributes:
        about: data set, split, variant, labels: what must be the same for a fusion.
        stream: whose percepts were classified.
        softmax_init: what the classifiers' softmax started from.
        scores: (draws, videos, K), class probabilities.
        videos: (videos,) rows of the index.
        labels: (videos,) int.
    """

    about: tuple[str, ...]
    stream: str
    softmax_init: str
    scores: np.ndarray
    videos: np.ndarray
    labels: np.ndarray


def read_classifier_scores(path: Path) -> ClassifierScores:
    """Read an artifact of schema `finetuned`."""
    with open_artifact(path, "finetuned") as file:
        about = tuple(str(file.attrs[name]) for name in ("dataset", "split", "variant", "labels"))
        arrays = (file[name][()] for name in ("scores", "video", "label"))
        return ClassifierScores(
            about, str(file.attrs["stream"]), str(file.attrs["softmax_init"]), *arrays
        )


def read_streams(paths: Sequence[Path]) -> list[ClassifierScores]:
    """Several streams' scores of the same videos.

    Raises:
        UserError: they are not of the same data set, split, variant, labels, draws and videos.
    """
    streams = [read_classifier_scores(path) for path in paths]
    first, *others = ((s.about, s.scores.shape, s.videos.tolist()) for s in streams)
    for path, other in zip(paths[1:], others, strict=True):
        if other != first:
            raise UserError(
                f"{path}: expected scores of {first[0]}, {first[1]} (draws, videos, classes) as in "
                f"{paths[0]}, found {other[0]}, {other[1]}; fuse what was trained on the same "
                "videos"
            )
    return streams


def fuse(streams: Sequence[ClassifierScores], weights: np.ndarray) -> np.ndarray:
    """The weighted mean of several streams' scores, (draws, videos, K) float64."""
    return sum(weight * s.scores for weight, s in zip(weights, streams, strict=True))


def accuracies(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of the videos that scores (draws, videos, K) get right, (draws,) float64."""
    return (scores.argmax(2) == labels).mean(1)


def choose_weights(streams: Sequence[str], validated: Sequence[Path]) -> np.ndarray:
    """The weights with the highest accuracy on validation videos.

    Of each stream the settings count that were chosen on the same videos. Weights are multiples of
    0.05 that sum to 1. Few videos leave many of equal accuracy: of these the ones with the lowest
    cross-entropy are taken, and of equals those nearest to equal weights.

    Args:
        streams: their names.
        validated: artifacts of schema `finetuned` with scores of validation videos, of each stream
            one per choice of settings.

    Returns:
        (streams,) float64.

    Raises:
        UserError: a stream has none, they cannot be fused, or are scores of test videos.
    """
    by_stream: dict[str, list[Path]] = {}
    for path in validated:
        by_stream.setdefault(read_classifier_scores(path).stream, []).append(path)
    if missing := set(streams) - by_stream.keys():
        raise UserError(
            f"--validated: expected scores of validation videos of {', '.join(streams)}, found "
            f"none of {', '.join(sorted(missing))}; add them"
        )
    scored = read_streams([best_validated(by_stream[stream]) for stream in streams])
    parts = itertools.product(range(_STEPS + 1), repeat=len(streams))
    weights = np.array([part for part in parts if sum(part) == _STEPS]) / _STEPS
    labels = scored[0].labels
    fused = [fuse(scored, w) for w in weights]
    errors = [1 - accuracies(scores, labels).mean() for scores in fused]
    entropies = [_cross_entropy(scores, labels) for scores in fused]
    unequal = np.square(weights - 1 / len(streams)).sum(1)
    return weights[np.lexsort(np.round((unequal, entropies, errors), 9))[0]]


def _cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of scores (draws, videos, K), in nats."""
    right = scores[:, np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(right, _LEAST_SCORE)).mean())
