"""Scores and accuracies of classifiers, as artifacts of schema `finetuned` store them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact
from video_lstm.errors import UserError


@dataclass(frozen=True)
class ClassifierAccuracy:
    """Accuracy of one classifier, or of fused ones, over draws of the labelled subset.

    Attributes:
        dataset: Name of the labelled set.
        split: Number of the split.
        stream: Stream of the percepts; fused streams are joined by "+".
        variant: Pretraining variant of the encoder, `single_frame` or `lstm_baseline`.
        labels: Labelled videos per class, or "all".
        measure: "accuracy" on test videos, or "validation_accuracy".
        softmax_init: Initial values of the softmax layer.
        finetuning: Settings of the training, as JSON; None for fused streams.
        inputs: Identities of the input artifacts, by role.
        accuracy: (draws,) float64, fraction of videos that are classified correctly.
    """

    dataset: str
    split: int
    stream: str
    variant: str
    labels: str
    measure: str
    softmax_init: str
    finetuning: str | None
    inputs: Mapping[str, str]
    accuracy: np.ndarray


@dataclass(frozen=True)
class ClassifierScores(ClassifierAccuracy):
    """Accuracy and class probabilities of a classifier.

    Attributes:
        scores: (draws, videos, classes) class probabilities.
        videos: (videos,) int32, rows of the videos in the index.
        video_labels: (videos,) int32, true class of each video.
    """

    scores: np.ndarray
    videos: np.ndarray
    video_labels: np.ndarray


def read_classifier_accuracy(path: Path) -> ClassifierAccuracy:
    """Read an artifact of schema `finetuned` without its scores, which may be large."""
    with open_artifact(path, "finetuned") as file:
        return ClassifierAccuracy(**_read_accuracy(file))


def read_classifier_scores(path: Path) -> ClassifierScores:
    """Read an artifact of schema `finetuned`."""
    with open_artifact(path, "finetuned") as file:
        return ClassifierScores(
            **_read_accuracy(file),
            scores=file["scores"][()],
            videos=file["video"][()],
            video_labels=file["label"][()],
        )


def read_validation_accuracy(path: Path) -> ClassifierAccuracy:
    """Read an artifact of schema `finetuned` that was scored on validation videos.

    Raises:
        UserError: The scores are of test videos, which must not be used for selection.
    """
    classifier = read_classifier_accuracy(path)
    if classifier.measure != "validation_accuracy":
        raise UserError(
            f"{path}: expected scores of validation videos to choose by, found "
            f"'{classifier.measure}'; name an output of finetune_classifier --validation-fraction"
        )
    return classifier


def select_best_classifier(paths: Sequence[Path]) -> Path:
    """Return the artifact with the highest mean validation accuracy; the first if several have it.

    Raises:
        UserError: One of them was scored on test videos.
    """
    means = [read_validation_accuracy(path).accuracy.mean() for path in paths]
    return paths[int(np.argmax(means))]


def _read_accuracy(file: h5py.File) -> dict[str, Any]:
    """Read the fields of `ClassifierAccuracy`."""
    names = ("dataset", "stream", "variant", "labels", "measure", "softmax_init")
    finetuning = file.attrs.get("finetuning")
    return {name: str(file.attrs[name]) for name in names} | {
        "split": int(file.attrs["split"]),
        "finetuning": None if finetuning is None else str(finetuning),
        "inputs": json.loads(file.attrs["inputs"]),
        "accuracy": file["accuracy"][()],
    }
