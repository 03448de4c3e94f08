"""Late fusion: weighted means of the streams' class probabilities (paper, section 3.5)."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.evaluation.classifier_scores import (
    ClassifierScores,
    read_classifier_accuracy,
    read_classifier_scores,
    select_best_classifier,
)

_STEPS = 20
"""Weights are multiples of 1 / _STEPS."""
_MIN_SCORE = 1e-9
"""Lower bound of a score in the cross-entropy, which a score of 0 would make infinite."""


def read_streams(paths: Sequence[Path]) -> list[ClassifierScores]:
    """Read the scores of the same videos on several streams.

    If a stream has fewer draws than others, only those draws are read: a draw selects the same
    labelled videos on every stream.

    Raises:
        UserError: The data set, split, variant, labels or videos differ.
    """
    streams = [read_classifier_scores(path) for path in paths]
    first_key, *keys = (
        (_classifier_key(stream), stream.scores.shape[1:], stream.videos.tolist())
        for stream in streams
    )
    for path, key in zip(paths[1:], keys, strict=True):
        if key != first_key:
            raise UserError(
                f"{path}: expected scores of {first_key[0]}, {first_key[1]} (videos, classes) as "
                f"in {paths[0]}, found {key[0]}, {key[1]}; fuse classifiers of the same videos"
            )
    draws = min(len(stream.scores) for stream in streams)
    return [
        replace(stream, scores=stream.scores[:draws], accuracy=stream.accuracy[:draws])
        for stream in streams
    ]


def _classifier_key(classifier: ClassifierScores) -> tuple[str, str, str, str]:
    """Return dataset, split, variant and labels, which fused classifiers must share."""
    return classifier.dataset, str(classifier.split), classifier.variant, classifier.labels


def fuse_scores(streams: Sequence[ClassifierScores], weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean of the streams' scores, (draws, videos, classes) float64."""
    return sum(weight * stream.scores for weight, stream in zip(weights, streams, strict=True))


def compute_accuracies(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the fraction of videos that are classified correctly, (draws,) float64.

    Args:
        scores: (draws, videos, classes) float.
        labels: (videos,) int, true classes.
    """
    return (scores.argmax(2) == labels).mean(1)


def choose_weights(streams: Sequence[str], validated: Sequence[Path]) -> np.ndarray:
    """Choose the weights with the highest accuracy on validation videos.

    Each stream is scored with the settings that were chosen on the same videos. Weights are
    multiples of 0.05 that sum to 1. Ties in accuracy, frequent with few videos, are broken by the
    lowest cross-entropy, then by the distance to equal weights.

    Args:
        streams: Names of the streams.
        validated: Artifacts of schema `finetuned` scored on validation videos: for each stream one
            per choice of settings.

    Returns:
        (streams,) float64.

    Raises:
        UserError: A stream has no artifact, the artifacts do not belong together, or one was
            scored on test videos.
    """
    by_stream: dict[str, list[Path]] = {}
    for path in validated:
        by_stream.setdefault(read_classifier_accuracy(path).stream, []).append(path)
    if missing := set(streams) - by_stream.keys():
        raise UserError(
            f"--validated: expected scores of validation videos of {', '.join(streams)}, found "
            f"none of {', '.join(sorted(missing))}; add them"
        )
    classifiers = read_streams([select_best_classifier(by_stream[stream]) for stream in streams])
    grid = itertools.product(range(_STEPS + 1), repeat=len(streams))
    weights = np.array([steps for steps in grid if sum(steps) == _STEPS]) / _STEPS
    labels = classifiers[0].video_labels
    fused = [fuse_scores(classifiers, candidate) for candidate in weights]
    errors = [1 - compute_accuracies(scores, labels).mean() for scores in fused]
    entropies = [_cross_entropy(scores, labels) for scores in fused]
    unequal = np.square(weights - 1 / len(streams)).sum(1)
    return weights[np.lexsort(np.round((unequal, entropies, errors), 9))[0]]


def _cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy of scores (draws, videos, classes), in nats."""
    true_class_scores = scores[:, np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true_class_scores, _MIN_SCORE)).mean())
