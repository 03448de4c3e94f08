"""Scores of frozen representations: nearest neighbours, a linear probe and retrieval.

The number of neighbours, the probe's regularisation and the part of the representation are chosen
on validation videos: whole groups of the training videos.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from video_lstm.artifacts import open_artifact, read_arrays
from video_lstm.errors import UserError
from video_lstm.evaluation.accuracy import compute_confidence_interval
from video_lstm.evaluation.tables import BASELINE_REPRESENTATIONS, map_to_sort_keys
from video_lstm.sequences.labelled_subsets import draw_labelled_subset
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.settings.training import Labels
from video_lstm.video.clips import ClipName, read_names
from video_lstm.video.labelled_videos import LabelledVideos
from video_lstm.video.split_parts import TEST, TRAIN

RETRIEVAL = ["recall_1", "recall_5", "recall_10", "mean_average_precision"]
"""Measures of retrieval; the part of the representation is chosen by the last."""

_NEIGHBOURS = (1, 3, 5, 10, 20)
_REGULARISATION = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Values of scikit-learn's C for the probe; small values regularise more."""
_NUM_VALIDATION_SETS = 5
"""Number of random validation sets that a choice is averaged over."""
_MAX_REPEATED_VIDEOS = 2000
"""Number of labelled videos above which a single validation set is used."""
_MAX_ITERATIONS = 200
_KEY_COLUMNS = ["corpus", "stream", "labels", "measure", "variant"]

Parts = Mapping[str, np.ndarray]
Predictor = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[float]], np.ndarray]


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


def standardise_features(features: np.ndarray, training_rows: np.ndarray) -> np.ndarray:
    """Standardise features to mean 0 and deviation 1 over the training videos.

    Args:
        features: (n, size) float.
        training_rows: (m,) int, rows of the training videos.

    Returns:
        (n, size) float32; features that are constant over the training videos become 0.
    """
    mean, deviation = features[training_rows].mean(0), features[training_rows].std(0)
    is_constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(is_constant, 0, 1 / np.where(is_constant, 1, deviation))
    return ((features - mean) * scale).astype(np.float32)


# Classification and retrieval --------------------------------------------------------------------


def rank_by_similarity(
    training: np.ndarray, queries: np.ndarray, count: int | None = None
) -> np.ndarray:
    """Rank training videos by their cosine similarity to each query.

    Args:
        training: (m, size) float.
        queries: (n, size) float.
        count: Number of training videos to return for each query; default all.

    Returns:
        (n, count) int64 rows of `training`, the most similar first; ties in ascending order.
    """
    unit_vectors = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
            for x in (queries, training)]  # fmt: skip
    return np.argsort(-(unit_vectors[0] @ unit_vectors[1].T), axis=1, kind="stable")[:, :count]


def predict_by_neighbours(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[float]
) -> np.ndarray:
    """Predict classes by a vote of the k nearest training videos, for several k.

    The weight of a vote decreases slightly with the rank, so that the nearer class wins a tie.

    Args:
        training: (m, size) float.
        labels: (m,) int.
        queries: (n, size) float.
        counts: Numbers of neighbours k.

    Returns:
        (counts, n) int, predicted classes.
    """
    voters = labels[rank_by_similarity(training, queries, int(max(counts)))]
    votes = np.zeros((len(queries), labels.max() + 1))
    predicted = {}
    for rank, voter in enumerate(voters.T, 1):
        votes[np.arange(len(queries)), voter] += 1 + 1e-3 / rank
        predicted[rank] = votes.argmax(1)
    return np.stack([predicted[min(int(k), len(labels))] for k in counts])


def predict_by_probe(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Predict classes by multinomial logistic regression, for several C.

    If there are fewer videos than features, features are projected onto the space that the
    training videos span, which contains the solution: the same predictions in less time. lbfgs
    stops after at most 200 iterations.

    Args:
        training: (m, size) float, standardised.
        labels: (m,) int, at least two classes.
        queries: (n, size) float.
        strengths: Inverse regularisation strengths C, in ascending order; each fit starts from the
            weights of the previous one.

    Returns:
        (strengths, n) int, predicted classes.
    """
    if 2 * len(training) < training.shape[1]:
        axes = np.linalg.svd(training.astype(np.float64), full_matrices=False)[2].T
        training, queries = training @ axes, queries @ axes
    probe = LogisticRegression(max_iter=_MAX_ITERATIONS, warm_start=True)
    predicted = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in strengths:
            predicted.append(probe.set_params(C=strength).fit(training, labels).predict(queries))
    return np.stack(predicted)


def score_retrieval(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, query_labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Score the retrieval of training videos of the same class, for each query.

    Args:
        training: (m, size) float.
        labels: (m,) int.
        queries: (n, size) float.
        query_labels: (n,) int, classes of the queries.

    Returns:
        (n,) float for each measure of `RETRIEVAL`: 1 if one of the 1, 5 or 10 nearest training
        videos is of the same class, else 0; and the average precision. 0 if no training video is
        of the class.
    """
    hits = labels[rank_by_similarity(training, queries)] == query_labels[:, None]
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    recalls = [hits[:, :k].any(1).astype(float) for k in (1, 5, 10)]
    average = (precision * hits).sum(1) / np.maximum(hits.sum(1), 1)
    return dict(zip(RETRIEVAL, [*recalls, average], strict=True))


# Choices ------------------------------------------------------------------------------------------


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


# Scores -------------------------------------------------------------------------------------------


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
        for measure, (predict, name, values) in _classifiers(limit).items():
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


def _classifiers(max_neighbours: int) -> dict[str, tuple[Predictor, str, list[float]]]:
    """Return the classifiers by measure: predictor, name and candidate values of its setting.

    Args:
        max_neighbours: Labelled videos of a class; more neighbours would be of several classes.
    """
    counts = [k for k in _NEIGHBOURS if k <= max_neighbours]
    return {
        "nearest_neighbours": (predict_by_neighbours, "k", counts),
        "linear_probe": (predict_by_probe, "C", list(_REGULARISATION)),
    }


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


def read_representation_scores(path: Path) -> pd.DataFrame:
    """Read rows of `score_representation` from a CSV file.

    Raises:
        UserError: The file does not exist.
    """
    if not Path(path).is_file():
        raise UserError(
            f"{path}: expected scores of representations, found no file; run score_representations"
        )
    text_columns = [*_KEY_COLUMNS, "over", "unit", "part", "choice"]
    return pd.read_csv(path, dtype=dict.fromkeys(text_columns, str), keep_default_na=False)


def summarise_representation_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise the scores of representations, with gains over untrained baselines.

    Args:
        scores: Rows of `score_representation`, for all representations, splits, streams and data
            sets.

    Returns:
        One row per corpus, stream, labels, measure and variant: `over` and `n` (kind and number of
        the independent units); `mean` over all videos, `std` of the draws (NaN if nothing is
        drawn), `low` and `high` (95% interval of the mean) and `validation`, in percent; `chosen`,
        the choices of all splits; and the gains `gain_over_percepts`, `..._low`, `..._high`,
        `gain_over_random`, ..., paired over the same labelled and test videos, in points.
    """
    unit = [*_KEY_COLUMNS, "over", "unit"]
    # A test group of several splits is one unit.
    merged = (
        scores.assign(value=scores["value"] * scores["videos"])
        .groupby(unit, sort=False)[["value", "videos"]].sum().reset_index()
    )  # fmt: skip
    merged["value"] /= merged["videos"]
    keys = [name for name in unit if name != "variant"]
    for baseline in BASELINE_REPRESENTATIONS:
        values = merged[merged["variant"] == baseline].set_index(keys)["value"]
        merged = merged.join(values.rename(baseline), on=keys)
    validated = scores.groupby([*_KEY_COLUMNS, "split"], sort=False)[
        ["validation", "part", "choice"]
    ]
    validated = validated.first().groupby(_KEY_COLUMNS, sort=False)
    rows = []
    for cell, group in merged.groupby([*_KEY_COLUMNS, "over"], sort=False):
        videos, splits = group["videos"].to_numpy(), validated.get_group(cell[:-1])
        row: dict[str, object] = dict(zip([*_KEY_COLUMNS, "over"], cell, strict=True)) | {
            "n": len(group)
        }
        row |= _summarise_values(group["value"], videos)
        row["std"] = group["value"].std() if cell[-1] == "draws" else np.nan
        row["validation"] = splits["validation"].mean()
        choices = [", ".join(filter(None, pair)) for pair in splits[["part", "choice"]].to_numpy()]
        row["chosen"] = "; ".join(dict.fromkeys(choices))
        for baseline in BASELINE_REPRESENTATIONS:
            name = f"gain_over_{baseline}"
            if cell[4] != baseline and group[baseline].notna().all():
                gain = _summarise_values(group["value"] - group[baseline], videos)
                row |= {
                    name: gain["mean"],
                    f"{name}_low": gain["low"],
                    f"{name}_high": gain["high"],
                }
        rows.append(row)
    gains = [
        f"gain_over_{baseline}{suffix}"
        for baseline in BASELINE_REPRESENTATIONS
        for suffix in ("", "_low", "_high")
    ]
    columns = [
        *_KEY_COLUMNS,
        "over",
        "n",
        "mean",
        "std",
        "low",
        "high",
        "validation",
        "chosen",
        *gains,
    ]
    return pd.DataFrame(rows, columns=columns).sort_values(
        _KEY_COLUMNS, key=_map_to_sort_keys, ignore_index=True
    )


def _summarise_values(values: pd.Series, videos: np.ndarray) -> dict[str, float]:
    """Return mean and confidence interval of values that are means over numbers of videos."""
    low, high = compute_confidence_interval(values.to_numpy(), videos)
    return {"mean": float(np.average(values, weights=videos)), "low": low, "high": high}


def _map_to_sort_keys(column: pd.Series) -> pd.Series:
    """Return sort keys: measures in their order here, else as in `tables.map_to_sort_keys`."""
    order = {name: f"{index}" for index, name in enumerate([*_classifiers(1), *RETRIEVAL])}
    return map_to_sort_keys(column).map(lambda name: order.get(name, name))
