"""The numbers of a run as tables: `scores.csv`, one line a number, and what is made of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import h5py
import pandas as pd

from video_lstm.artifacts import atomic_write, open_artifact
from video_lstm.errors import UserError
from video_lstm.evaluation.classifier_scores import read_classifier_accuracy
from video_lstm.evaluation.measures import ACCURACY, frame_measure_unit
from video_lstm.evaluation.trivial_baselines import TRIVIAL_BASELINES
from video_lstm.settings.base import Stream
from video_lstm.settings.training import BaselineRepresentation, VariantName

IDENTIFIED_BY = ["measure", "corpus", "split", "stream", "variant", "labels", "draw"]
"""Columns that identify a number in `scores.csv`; empty where they do not apply."""
ROWS = ["single_frame", "lstm_baseline", *get_args(VariantName)]
"""Models in the order of the tables."""
BASELINE_REPRESENTATIONS = get_args(BaselineRepresentation)
"""Representations without training, such as the mean percept and a random encoder."""


def collect_scores(finetuned: Sequence[Path], predictions: Sequence[Path]) -> pd.DataFrame:
    """Every number of the artifacts, one line each, with all that identifies it.

    Args:
        finetuned: artifacts with classifiers' scores; one line per draw: `accuracy`, in percent.
        predictions: artifacts with frame errors; one line per measure: the mean over frames.

    Returns:
        Columns measure, value, unit, corpus, split, stream, variant, labels, draw, softmax_init
        (what a classifier's softmax started from); all but `value` are strings. Sorted, whatever
        the order of the files.

    Raises:
        UserError: two files tell the same number.
    """
    lines = [line for path in finetuned for line in _accuracies(path)]
    lines += [line for path in predictions for line in _errors(path)]
    scores = pd.DataFrame(lines, columns=["value", "unit", "path", *IDENTIFIED_BY, "softmax_init"])
    twice = scores[scores.duplicated(IDENTIFIED_BY, keep=False)]
    if len(twice):
        first, second = sorted(twice["path"].unique())[:2]
        raise UserError(
            f"{second}: expected numbers of its own, found those that {first} tells too; "
            "name one of the two"
        )
    scores = scores.sort_values(IDENTIFIED_BY, key=rank, ignore_index=True)
    return scores[["measure", "value", "unit", *IDENTIFIED_BY[1:], "softmax_init"]]


def table2(scores: pd.DataFrame) -> pd.DataFrame:
    """The model variants side by side (paper, tables 2 and 3).

    Args:
        scores: as `collect_scores` returns.

    Returns:
        One row per model that was measured, in the order of `ROWS`, and one per trivial baseline of
        predicted frames. Columns: `variant`;
        `mnist_cross_entropy` and `patches_squared_error`, errors of the predicted future; then for
        each data set, stream and labelled subset `{dataset}_{stream}_{labels}_mean` and
        `..._std`, accuracy in percent over draws and splits (standard deviation of the sample,
        hence none for one number). NaN
        where a model has no such number.
    """
    columns = {}
    for corpus, error in (("mnist", "cross_entropy"), ("patches", "squared_error")):
        here = scores[scores["corpus"] == corpus]
        errors = here[here["measure"] == f"future_{error}"].groupby("variant")["value"].mean()
        for name in TRIVIAL_BASELINES:  # every model's artifact tells the same number
            errors[name] = here[here["measure"] == f"{name}_future_{error}"]["value"].mean()
        columns[f"{corpus}_{error}"] = errors
    accuracies = scores[scores["measure"] == "accuracy"]
    cells = accuracies[["corpus", "stream", "labels"]].drop_duplicates()
    for cell in cells.sort_values(["corpus", "stream", "labels"], key=rank).itertuples():
        rows = accuracies[
            (accuracies["corpus"] == cell.corpus)
            & (accuracies["stream"] == cell.stream)
            & (accuracies["labels"] == cell.labels)
        ].groupby("variant")["value"]
        name = f"{cell.corpus}_{cell.stream}_{cell.labels}"
        columns[f"{name}_mean"], columns[f"{name}_std"] = rows.mean(), rows.std()
    measured = [variant for variant in ROWS if variant in set(scores["variant"])]
    rows = pd.Index([*measured, *TRIVIAL_BASELINES], name="variant")
    return pd.DataFrame(columns).reindex(rows).reset_index()


def write_csv(table: pd.DataFrame, path: Path, decimals: int) -> None:
    """Write a table, the same bytes for the same numbers; whole or not at all."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format=f"%.{decimals}f", lineterminator="\n")


def read_scores(path: Path) -> pd.DataFrame:
    """Read `scores.csv` back.

    Raises:
        UserError: it is not there, or lacks a column.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: expected the scores of a run, found no file; run collect_scores")
    # Labels are "1" and "all": strings, as are splits and draws.
    scores = pd.read_csv(
        path, dtype=dict.fromkeys([*IDENTIFIED_BY, "softmax_init"], str), keep_default_na=False
    )
    missing = [name for name in ("value", *IDENTIFIED_BY, "softmax_init") if name not in scores]
    if missing:
        raise UserError(f"{path}: expected columns {missing}, which it lacks; run collect_scores")
    return scores


def _accuracies(path: Path) -> list[dict[str, object]]:
    classifier = read_classifier_accuracy(path)
    row = {
        "measure": classifier.measure,
        "unit": ACCURACY.unit,
        "path": str(path),
        "corpus": classifier.dataset,
        "split": str(classifier.split),
        "stream": classifier.stream,
        "variant": classifier.variant,
        "labels": classifier.labels,
        "softmax_init": classifier.softmax_init,
    }
    return [
        row | {"draw": str(draw), "value": 100 * accuracy}
        for draw, accuracy in enumerate(classifier.accuracy)
    ]


def _errors(path: Path) -> list[dict[str, object]]:
    with open_artifact(path, "predictions") as file:
        attributes = {name: str(file.attrs[name]) for name in ("variant", "corpus")}
        attributes |= dict.fromkeys(("split", "stream", "labels", "draw", "softmax_init"), "") | {
            "path": str(path)
        }
        return [
            attributes
            | {
                "measure": measure,
                "unit": frame_measure_unit(measure),
                "value": float(steps[()].mean()),
            }
            for measure, steps in file["errors"].items()
            if isinstance(steps, h5py.Dataset)
        ]


def rank(column: pd.Series) -> pd.Series:
    """Sort key: models and streams in their order, numbers before "all", the rest by name."""
    order = {
        name: f"{place:04d}"
        for place, name in enumerate([*BASELINE_REPRESENTATIONS, *ROWS, *get_args(Stream)])
    }
    return column.map(lambda name: order.get(name, name.zfill(8) if name.isdigit() else name))
