"""Scores of frozen representations: nearest neighbours, a linear probe and retrieval.

The number of neighbours, the probe's regularisation and the part of the representation are chosen
on validation videos: whole groups of the training videos.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from video_lstm.artifacts import open_artifact, read_arrays
from video_lstm.evaluation.representation_classifiers import (
    RETRIEVAL,
    Predictor,
    list_classifiers,
    score_retrieval,
    standardise_features,
)
from video_lstm.sequences.labelled_subsets import draw_labelled_subset
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.settings.training import Labels
from video_lstm.video.clips import ClipName, read_names
from video_lstm.video.labelled_videos import LabelledVideos
from video_lstm.video.split_parts import TEST, TRAIN

_NUM_VALIDATION_SETS = 5
"""Number of random validation sets that a choice is averaged over."""
_MAX_REPEATED_VIDEOS = 2000
"""Number of labelled videos above which a single validation set is used."""

Parts = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class VideoRepresentations:
    """Representations of a data set's videos by one encoder.

    Attributes:
        dataset: Name of the labelled set.
        split: Split whose training videos the encoder may have been trained on.
        stream: Stream of the percepts that the encoder reads.
        variant: Variant of the encoder, or `percepts`, `movement`, `random`.
        names: Clip of each video.
        parts: (n, size) float32 by name, such as `state` and `mean`; in alphabetical order.
    """

    dataset: str
    split: int
    stream: str
    variant: str
    names: list[ClipName]
    parts: Parts


def read_representations(path: Path) -> VideoRepresentations:
    """Read the videos of an artifact of schema `representations`.

    Raises:
        UserError: The file is not such an artifact.
    """
    with open_artifact(path, "representations") as file:
        dataset, stream, variant = (str(file.attrs[k]) for k in ("dataset", "stream", "variant"))
        split, parts = int(file.attrs["split"]), read_arrays(file, "videos")
        return VideoRepresentations(dataset, split, stream, variant, read_names(file), parts)


class Choice(NamedTuple):
    """Choice made on validation videos."""

    part: str
    """Part of the representation."""
    value: float
    """Number of neighbours, or C."""
    validation: float
    """Accuracy on the validation videos, in percent."""


@dataclass(frozen=True)
class TrainingVideos:
    """Training videos of a split, the only videos that choices depend on.

    Attributes:
        parts: (m, size) float32 by name, standardised.
        labels: (m,) int.
        groups: (m,) str; empty for a video without a group.
        validation_fraction: Fraction of the videos that choices are validated on.
        seed: Random seed of the run.
    """

    parts: Parts
    labels: np.ndarray
    groups: np.ndarray
    validation_fraction: float
    seed: int

    def draw_validation_sets(self, per_class: Labels) -> list[tuple[np.ndarray, np.ndarray]]:
        """Draw validation sets, and labelled subsets of the remaining videos.

        Args:
            per_class: Labelled videos per class, or "all".

        Returns:
            Rows to train on and rows to validate on, for each draw.
        """
        row_pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for draw in range(_NUM_VALIDATION_SETS):
            is_validation = draw_validation_videos(
                self.labels, list(self.groups), self.validation_fraction, self.seed, draw
            )
            remaining = np.flatnonzero(~is_validation)
            subset = draw_labelled_subset(self.labels[remaining], per_class, self.seed, draw)
            rows = remaining[subset]
            row_pairs.append((rows, np.flatnonzero(is_validation)))
            if len(rows) > _MAX_REPEATED_VIDEOS:
                break
        return row_pairs

    def choose_settings(
        self, predict: Predictor, values: Sequence[float], per_class: Labels
    ) -> Choice:
        """Choose the part and the value with the best validation accuracy; the first in a tie.

        Args:
            predict: Classifier.
            values: Candidates for its number of neighbours, or C.
            per_class: Labelled videos per class, or "all".
        """
        row_pairs = self.draw_validation_sets(per_class)

        def validate(x: np.ndarray) -> np.ndarray:
            draws = [
                predict(x[rows], self.labels[rows], x[validation_rows], values)
                == self.labels[validation_rows]
                for rows, validation_rows in row_pairs
            ]
            return 100 * np.mean([is_correct.mean(1) for is_correct in draws], axis=0)

        accuracies = {part: validate(x) for part, x in self.parts.items()}
        part = max(accuracies, key=lambda name: accuracies[name].max())
        best = int(accuracies[part].argmax())
        return Choice(part, values[best], float(accuracies[part][best]))

    def choose_retrieval_part(self) -> tuple[str, dict[str, float]]:
        """Choose the part with the best mean average precision on validation videos.

        Returns:
            The part, and its measures on the validation videos, in percent.
        """
        row_pairs = self.draw_validation_sets("all")

        def validate(x: np.ndarray) -> dict[str, float]:
            draws = [
                score_retrieval(
                    x[rows], self.labels[rows], x[validation_rows], self.labels[validation_rows]
                )
                for rows, validation_rows in row_pairs
            ]
            return {name: 100 * float(np.mean([draw[name].mean() for draw in draws]))
                    for name in RETRIEVAL}  # fmt: skip

        measures = {part: validate(x) for part, x in self.parts.items()}
        part = max(measures, key=lambda name: measures[name][RETRIEVAL[-1]])
        return part, measures[part]


def score_representation(
    representations: VideoRepresentations,
    labelled: LabelledVideos,
    draws: Mapping[Labels, int],
    validation_fraction: float,
    seed: int,
) -> pd.DataFrame:
    """Score one representation on the test videos of its split.

    Args:
        representations: Representations of all training and test videos.
        labelled: Labelled videos of the same split.
        draws: Number of draws of the labelled subset, by labelled videos per class; the subsets
            are those that classifiers are fine-tuned on.
        validation_fraction: Fraction of the training videos that choices are validated on.
        seed: Random seed of the run.

    Returns:
        One row per independent number: `corpus`, `split`, `stream`, `variant`, `measure`, `labels`
        ("none" for retrieval); `over`, the kind of `unit`: "draws" of the labelled subset or, if
        nothing is drawn, "test groups" (a video without a group is a group); `videos`, the number
        of videos that `value` (percent) is the mean over; `validation`, the same measure on
        validation videos, in percent; `part` and `choice`, the choices made on these.

    Raises:
        UserError: A video has no representation, or no group of training videos can be held out.
    """
    (train, train_rows), (test, test_rows) = (
        labelled.match_clips(part, representations.names) for part in (TRAIN, TEST)
    )
    parts = {name: standardise_features(x, train_rows) for name, x in representations.parts.items()}
    training = TrainingVideos(
        {name: x[train_rows] for name, x in parts.items()},
        labelled.labels[train],
        labelled.groups[train],
        validation_fraction,
        seed,
    )
    test_labels = labelled.labels[test]
    max_per_class = int(np.bincount(training.labels).max())
    groups = np.where(labelled.groups[test] == "", labelled.names[test], labelled.groups[test])
    split, tables = representations.split, []
    for per_class, count in draws.items():
        limit = max_per_class if per_class == "all" else min(per_class, max_per_class)
        for measure, (predict, name, values) in list_classifiers(limit).items():
            choice = training.choose_settings(predict, values, per_class)
            x, queries = training.parts[choice.part], parts[choice.part][test_rows]
            subsets = [
                draw_labelled_subset(training.labels, per_class, seed, draw)
                # Without a choice of videos all draws are the same.
                for draw in range(1 if limit == max_per_class else count)
            ]
            is_correct = np.stack([
                predict(x[rows], training.labels[rows], queries, [choice.value])[0]
                == test_labels
                for rows in subsets
            ])  # fmt: skip
            tables.append(_tabulate_units(is_correct, groups, split).assign(
                measure=measure, labels=str(per_class), validation=choice.validation,
                part=choice.part, choice=f"{name}={choice.value:g}",
            ))  # fmt: skip
    part, validation = training.choose_retrieval_part()
    retrieval = score_retrieval(
        training.parts[part], training.labels, parts[part][test_rows], test_labels
    )
    for measure, values in retrieval.items():
        tables.append(_tabulate_units(values[None], groups, split).assign(
            measure=measure, labels="none", validation=validation[measure], part=part, choice="",
        ))  # fmt: skip
    keys = {"corpus": representations.dataset, "split": split,
             "stream": representations.stream, "variant": representations.variant}  # fmt: skip
    return pd.concat(tables, ignore_index=True).assign(**keys)


def _tabulate_units(values: np.ndarray, groups: np.ndarray, split: int) -> pd.DataFrame:
    """Tabulate the mean of independent units: draws or, for one draw, groups of test videos.

    Args:
        values: (draws, n), score of each test video, 0 to 1.
        groups: (n,) str.
        split: Number of the split.
    """
    if len(values) > 1:
        units = [f"split {split}, draw {draw}" for draw in range(len(values))]
        return pd.DataFrame({"over": "draws", "unit": units, "videos": values.shape[1],
                             "value": 100 * values.mean(1)})  # fmt: skip
    by_group = pd.Series(100.0 * values[0]).groupby(groups)
    return pd.DataFrame({"over": "test groups", "unit": by_group.size().index,
                         "videos": by_group.size().to_numpy(),
                         "value": by_group.mean().to_numpy()})  # fmt: skip
