"""Scores of frozen representations: nearest neighbours, a linear probe and retrieval.

Everything that could be chosen (how many neighbours, the probe's regularisation, which part of an
encoder's state is read) is chosen on validation videos: whole groups of the training videos.
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
from video_lstm.evaluation.accuracy import interval
from video_lstm.evaluation.tables import BASELINE_REPRESENTATIONS, rank
from video_lstm.sequences.labelled_subsets import draw_labelled_subset
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.settings.training import Labels
from video_lstm.video.clips import ClipName, read_names
from video_lstm.video.labelled_videos import LabelledVideos
from video_lstm.video.split_parts import TEST, TRAIN

RETRIEVAL = ["recall_1", "recall_5", "recall_10", "mean_average_precision"]
"""The measures of retrieval; a part of the state is chosen by the last."""

_NEIGHBOURS = (1, 3, 5, 10, 20)
_REGULARISATION = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Values of scikit-learn's C for the probe: small is strong."""
_CUTS, _MANY = 5, 2000
"""Validation cuts to average over, and the number of training videos above which one cut serves."""
_ITERATIONS = 200
_CELL = ["corpus", "stream", "labels", "measure", "variant"]

Parts = Mapping[str, np.ndarray]
Predict = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[float]], np.ndarray]


@dataclass(frozen=True)
class Representations:
    """The representations of a data set's videos by one encoder.

    Attributes:
        dataset: name of the labelled set.
        split: whose training videos the encoder may have been trained on.
        stream: Stream of the percepts that the encoder read.
        variant: Variant of the encoder, or `percepts`, `movement`, `random`.
        names: the videos, each one clip.
        parts: (n, size) float32 by name, such as `state` and `mean`; in alphabetical order.
    """

    dataset: str
    split: int
    stream: str
    variant: str
    names: list[ClipName]
    parts: Parts


def read_representations(path: Path) -> Representations:
    """Read the videos of an artifact of schema `representations`.

    Raises:
        UserError: it is no such artifact.
    """
    with open_artifact(path, "representations") as file:
        dataset, stream, variant = (str(file.attrs[k]) for k in ("dataset", "stream", "variant"))
        split, parts = int(file.attrs["split"]), read_arrays(file, "videos")
        return Representations(dataset, split, stream, variant, read_names(file), parts)


def standardise(features: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Features with mean 0 and deviation 1 over the training videos, without a look at labels.

    Args:
        features: (n, size) float.
        training: (m,) int, rows of the training videos.

    Returns:
        (n, size) float32; a value that is the same for all training videos becomes 0.
    """
    mean, deviation = features[training].mean(0), features[training].std(0)
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, deviation))
    return ((features - mean) * scale).astype(np.float32)


# What may be predicted or retrieved ---------------------------------------------------------------


def nearest(training: np.ndarray, queries: np.ndarray, count: int | None = None) -> np.ndarray:
    """Rows of the training videos by their cosine to each query, the nearest first.

    Args:
        training: (m, size).
        queries: (n, size).
        count: how many of each; all by default.

    Returns:
        (n, count) int64; of equals the first row comes first.
    """
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
            for x in (queries, training)]  # fmt: skip
    return np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")[:, :count]


def predict_neighbours(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, counts: Sequence[float]
) -> np.ndarray:
    """Classes by a vote of the k nearest training videos, for several k.

    A tie goes to the class that is nearer: a vote weighs a little less with each place.

    Args:
        training: (m, size) float.
        labels: (m,) int.
        queries: (n, size) float.
        counts: numbers of neighbours, each a k.

    Returns:
        (counts, n) int, predicted classes.
    """
    voters = labels[nearest(training, queries, int(max(counts)))]
    votes = np.zeros((len(queries), labels.max() + 1))
    predicted = {}
    for place, voter in enumerate(voters.T):
        votes[np.arange(len(queries)), voter] += 1 + 1e-3 / (place + 1)
        predicted[place + 1] = votes.argmax(1)
    return np.stack([predicted[min(int(k), len(labels))] for k in counts])


def predict_probe(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Classes by a multinomial logistic regression, for several C.

    With fewer videos than features the videos are rotated into the space that they span, where
    the solution lies: the same predictions, sooner. lbfgs ends after 200 iterations at the latest.

    Args:
        training: (m, size) float, standardised.
        labels: (m,) int, of two classes at least.
        queries: (n, size) float.
        strengths: Inverse regularisation strengths C; rising, so that each starts from the one
            before.

    Returns:
        (strengths, n) int, predicted classes.
    """
    if 2 * len(training) < training.shape[1]:
        axes = np.linalg.svd(training.astype(np.float64), full_matrices=False)[2].T
        training, queries = training @ axes, queries @ axes
    probe = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    predicted = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in strengths:
            predicted.append(probe.set_params(C=strength).fit(training, labels).predict(queries))
    return np.stack(predicted)


def retrieve(
    training: np.ndarray, labels: np.ndarray, queries: np.ndarray, wanted: np.ndarray
) -> dict[str, np.ndarray]:
    """How well each query's own class is ranked among the training videos.

    Args:
        training: (m, size) float.
        labels: (m,) int.
        queries: (n, size) float.
        wanted: (n,) int, classes of the queries.

    Returns:
        (n,) float of each of `RETRIEVAL`: whether one of the 1, 5, 10 nearest is of the class, and
        the average precision; 0 where no training video is of the class.
    """
    hits = labels[nearest(training, queries)] == wanted[:, None]
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    recalls = [hits[:, :k].any(1).astype(float) for k in (1, 5, 10)]
    average = (precision * hits).sum(1) / np.maximum(hits.sum(1), 1)
    return dict(zip(RETRIEVAL, [*recalls, average], strict=True))


# Choices ------------------------------------------------------------------------------------------


class Choice(NamedTuple):
    """What validation videos chose."""

    part: str
    """Part of the representation."""
    value: float
    """Number of neighbours, or C."""
    validation: float
    """Percent of the validation videos that are classified right with these."""


@dataclass(frozen=True)
class Training:
    """A split's training videos: all that a choice may see.

    Attributes:
        parts: (m, size) float32 by name, standardised.
        labels: (m,) int.
        groups: (m,) str; empty where a video has none.
        share: Fraction of the videos that a choice is validated on.
        seed: Random seed of the run.
    """

    parts: Parts
    labels: np.ndarray
    groups: np.ndarray
    share: float
    seed: int

    def cuts(self, per_class: Labels) -> list[tuple[np.ndarray, np.ndarray]]:
        """Labelled subsets of some videos, and the others, which validate: several draws of both.

        Returns:
            Rows to learn from, and rows to validate by, of each draw.
        """
        cuts: list[tuple[np.ndarray, np.ndarray]] = []
        for draw in range(_CUTS):
            is_validation = draw_validation_videos(
                self.labels, list(self.groups), self.share, self.seed, draw
            )
            rest = np.flatnonzero(~is_validation)
            rows = rest[draw_labelled_subset(self.labels[rest], per_class, self.seed, draw)]
            cuts.append((rows, np.flatnonzero(is_validation)))
            if len(rows) > _MANY:
                break
        return cuts

    def choose(self, predict: Predict, values: Sequence[float], per_class: Labels) -> Choice:
        """The part and the value that classify the most validation videos; the first of equals."""
        cuts = self.cuts(per_class)

        def validate(x: np.ndarray) -> np.ndarray:
            draws = [
                predict(x[rows], self.labels[rows], x[validating], values)
                == self.labels[validating]
                for rows, validating in cuts
            ]
            return 100 * np.mean([right.mean(1) for right in draws], axis=0)

        accuracies = {part: validate(x) for part, x in self.parts.items()}
        part = max(accuracies, key=lambda name: accuracies[name].max())
        best = int(accuracies[part].argmax())
        return Choice(part, values[best], float(accuracies[part][best]))

    def choose_retrieval(self) -> tuple[str, dict[str, float]]:
        """The part with the best mean average precision of validation videos, and all measures."""
        cuts = self.cuts("all")

        def validate(x: np.ndarray) -> dict[str, float]:
            draws = [
                retrieve(x[rows], self.labels[rows], x[validating], self.labels[validating])
                for rows, validating in cuts
            ]
            return {name: 100 * float(np.mean([draw[name].mean() for draw in draws]))
                    for name in RETRIEVAL}  # fmt: skip

        measured = {part: validate(x) for part, x in self.parts.items()}
        part = max(measured, key=lambda name: measured[name][RETRIEVAL[-1]])
        return part, measured[part]


# Scores -------------------------------------------------------------------------------------------


def score(
    representations: Representations,
    labelled: LabelledVideos,
    draws: Mapping[Labels, int],
    share: float,
    seed: int,
) -> pd.DataFrame:
    """Score one representation on the test videos of its split.

    Args:
        representations: Representations of all training and test videos.
        labelled: the data set, at the same split.
        draws: how often labelled subsets are drawn, by the number of labelled videos per class; the
            subsets are those that classifiers are fine-tuned on.
        share: Fraction of the training videos that choices are validated on.
        seed: Random seed of the run.

    Returns:
        A row for each independent number: `corpus`, `split`, `stream`, `variant`, `measure`,
        `labels` ("none" for retrieval); `over`, what `unit` is: "draws" of labelled videos, or,
        where nothing is drawn, "test groups" (of videos that belong together; a video without a
        group is one); `videos`, how many the `value`, in percent, is the mean of; `validation`,
        the same measure on validation videos, in percent; `part` and `choice`, what they chose.

    Raises:
        UserError: a video has no representation, or no group of training videos can be held out.
    """
    (train, at), (test, test_at) = (
        labelled.match_clips(part, representations.names) for part in (TRAIN, TEST)
    )
    parts = {name: standardise(x, at) for name, x in representations.parts.items()}
    training = Training({name: x[at] for name, x in parts.items()}, labelled.labels[train],
                        labelled.groups[train], share, seed)  # fmt: skip
    truth, most = labelled.labels[test], int(np.bincount(training.labels).max())
    groups = np.where(labelled.groups[test] == "", labelled.names[test], labelled.groups[test])
    split, tables = representations.split, []
    for per_class, count in draws.items():
        limit = most if per_class == "all" else min(per_class, most)
        for measure, (predict, name, values) in _methods(limit).items():
            choice = training.choose(predict, values, per_class)
            x, queries = training.parts[choice.part], parts[choice.part][test_at]
            subsets = [
                draw_labelled_subset(training.labels, per_class, seed, draw)
                for draw in range(1 if limit == most else count)  # of all there are, one is all
            ]
            right = np.stack([
                predict(x[rows], training.labels[rows], queries, [choice.value])[0] == truth
                for rows in subsets
            ])  # fmt: skip
            tables.append(_independent(right, groups, split).assign(
                measure=measure, labels=str(per_class), validation=choice.validation,
                part=choice.part, choice=f"{name}={choice.value:g}",
            ))  # fmt: skip
    part, validation = training.choose_retrieval()
    answers = retrieve(training.parts[part], training.labels, parts[part][test_at], truth)
    for measure, values in answers.items():
        tables.append(_independent(values[None], groups, split).assign(
            measure=measure, labels="none", validation=validation[measure], part=part, choice="",
        ))  # fmt: skip
    about = {"corpus": representations.dataset, "split": split,
             "stream": representations.stream, "variant": representations.variant}  # fmt: skip
    return pd.concat(tables, ignore_index=True).assign(**about)


def _methods(most: int) -> dict[str, tuple[Predict, str, list[float]]]:
    """The classifiers: what predicts, what is chosen, and between which values.

    Args:
        most: labelled videos of a class; more neighbours than that are of other classes too.
    """
    counts = [k for k in _NEIGHBOURS if k <= most]
    return {
        "nearest_neighbours": (predict_neighbours, "k", counts),
        "linear_probe": (predict_probe, "C", list(_REGULARISATION)),
    }


def _independent(values: np.ndarray, groups: np.ndarray, split: int) -> pd.DataFrame:
    """Numbers that vary independently: draws of labelled videos, or else groups of test videos.

    Args:
        values: (draws, n), how well each test video is done, 0 to 1.
        groups: (n,) str.
        split: which one.
    """
    if len(values) > 1:
        units = [f"split {split}, draw {draw}" for draw in range(len(values))]
        return pd.DataFrame({"over": "draws", "unit": units, "videos": values.shape[1],
                             "value": 100 * values.mean(1)})  # fmt: skip
    by_group = pd.Series(100.0 * values[0]).groupby(groups)
    return pd.DataFrame({"over": "test groups", "unit": by_group.size().index,
                         "videos": by_group.size().to_numpy(),
                         "value": by_group.mean().to_numpy()})  # fmt: skip


def read_scores(path: Path) -> pd.DataFrame:
    """Read back the rows of `score`, as they stand in a CSV file.

    Raises:
        UserError: there is no such file.
    """
    if not Path(path).is_file():
        raise UserError(
            f"{path}: expected scores of representations, found no file; run score_representations"
        )
    words = ("corpus", "stream", "labels", "measure", "variant", "over", "unit", "part", "choice")
    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False)


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise the scores of representations, with gains over untrained baselines.

    Args:
        scores: the rows of `score`, of all representations, splits, streams and data sets.

    Returns:
        One row per corpus, stream, labels, measure and variant: `over`, `n` independent numbers;
        `mean` over all videos, `std` of the draws (NaN where nothing is drawn), `low` and `high`
        (95% interval of the mean), `validation`, all in percent; `chosen`, in every split; and
        `gain_over_percepts`, `..._low`, `..._high`, `gain_over_random`, ...: paired, over the same
        labelled and test videos, in points.
    """
    unit = [*_CELL, "over", "unit"]
    # A group that several splits test is one.
    merged = (
        scores.assign(value=scores["value"] * scores["videos"])
        .groupby(unit, sort=False)[["value", "videos"]].sum().reset_index()
    )  # fmt: skip
    merged["value"] /= merged["videos"]
    keys = [name for name in unit if name != "variant"]
    for other in BASELINE_REPRESENTATIONS:
        same = merged[merged["variant"] == other].set_index(keys)["value"]
        merged = merged.join(same.rename(other), on=keys)
    validated = scores.groupby([*_CELL, "split"], sort=False)[["validation", "part", "choice"]]
    validated = validated.first().groupby(_CELL, sort=False)
    rows = []
    for cell, group in merged.groupby([*_CELL, "over"], sort=False):
        videos, splits = group["videos"].to_numpy(), validated.get_group(cell[:-1])
        row: dict[str, object] = dict(zip([*_CELL, "over"], cell, strict=True)) | {"n": len(group)}
        row |= _mean(group["value"], videos)
        row["std"] = group["value"].std() if cell[-1] == "draws" else np.nan
        row["validation"] = splits["validation"].mean()
        choices = [", ".join(filter(None, pair)) for pair in splits[["part", "choice"]].to_numpy()]
        row["chosen"] = "; ".join(dict.fromkeys(choices))
        for other in BASELINE_REPRESENTATIONS:
            name = f"gain_over_{other}"
            if cell[4] != other and group[other].notna().all():
                gain = _mean(group["value"] - group[other], videos)
                row |= {
                    name: gain["mean"],
                    f"{name}_low": gain["low"],
                    f"{name}_high": gain["high"],
                }
        rows.append(row)
    gains = [
        f"gain_over_{other}{end}"
        for other in BASELINE_REPRESENTATIONS
        for end in ("", "_low", "_high")
    ]
    columns = [*_CELL, "over", "n", "mean", "std", "low", "high", "validation", "chosen", *gains]
    return pd.DataFrame(rows, columns=columns).sort_values(_CELL, key=_sort_key, ignore_index=True)


def _mean(values: pd.Series, videos: np.ndarray) -> dict[str, float]:
    low, high = interval(values.to_numpy(), videos)
    return {"mean": float(np.average(values, weights=videos)), "low": low, "high": high}


def _sort_key(column: pd.Series) -> pd.Series:
    """Sort key: measures as they are listed here, all else as `tables.rank` says."""
    order = {name: f"{n}" for n, name in enumerate([*_methods(1), *RETRIEVAL])}
    return rank(column).map(lambda name: order.get(name, name))
