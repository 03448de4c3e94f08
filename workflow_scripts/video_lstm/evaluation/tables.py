"""Tables of a run's numbers: `scores.csv`, with one row per number, and Table 2."""

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

KEY_COLUMNS = ["measure", "corpus", "split", "stream", "variant", "labels", "draw"]
"""Columns that identify a number in `scores.csv`; empty if they do not apply."""
MODEL_ORDER = ["single_frame", "lstm_baseline", *get_args(VariantName)]
"""Models in the order of the tables."""
BASELINE_REPRESENTATIONS = get_args(BaselineRepresentation)
"""Representations without pretraining, such as the mean percept and a random encoder."""


def collect_scores(finetuned: Sequence[Path], predictions: Sequence[Path]) -> pd.DataFrame:
    """Collect the numbers of the artifacts in a table, with the columns that identify them.

    Args:
        finetuned: Artifacts of schema `finetuned`; one row per draw: accuracy in percent.
        predictions: Artifacts of schema `predictions`; one row per error: its mean over steps.

    Returns:
        Columns measure, value, unit, corpus, split, stream, variant, labels, draw, softmax_init
        (initial values of a classifier's softmax layer); all but `value` are strings. Sorted,
        independently of the order of the files.

    Raises:
        UserError: Two files contain the same number.
    """
    rows = [row for path in finetuned for row in _read_accuracies(path)]
    rows += [row for path in predictions for row in _read_errors(path)]
    scores = pd.DataFrame(rows, columns=["value", "unit", "path", *KEY_COLUMNS, "softmax_init"])
    duplicates = scores[scores.duplicated(KEY_COLUMNS, keep=False)]
    if len(duplicates):
        first, second = sorted(duplicates["path"].unique())[:2]
        raise UserError(
            f"{second}: expected numbers of another model, split or data set than {first}, found "
            "the same; name one of the two files"
        )
    scores = scores.sort_values(KEY_COLUMNS, key=map_to_sort_keys, ignore_index=True)
    return scores[["measure", "value", "unit", *KEY_COLUMNS[1:], "softmax_init"]]


def make_table2(scores: pd.DataFrame) -> pd.DataFrame:
    """Make the table of all model variants (paper, tables 2 and 3).

    Args:
        scores: Table returned by `collect_scores`.

    Returns:
        One row per measured model, in the order of `MODEL_ORDER`, then one per trivial baseline.
        Columns: `variant`; `mnist_cross_entropy` and `patches_squared_error`, errors of the
        predicted future; then for each data set, stream and number of labels
        `{dataset}_{stream}_{labels}_mean` and `..._std`, accuracy in percent over draws and splits
        (sample deviation, NaN for a single number). NaN if a model was not measured.
    """
    columns = {}
    for corpus, error in (("mnist", "cross_entropy"), ("patches", "squared_error")):
        corpus_scores = scores[scores["corpus"] == corpus]
        is_error = corpus_scores["measure"] == f"future_{error}"
        errors = corpus_scores[is_error].groupby("variant")["value"].mean()
        for name in TRIVIAL_BASELINES:  # every model's artifact has the same number
            is_error = corpus_scores["measure"] == f"{name}_future_{error}"
            errors[name] = corpus_scores[is_error]["value"].mean()
        columns[f"{corpus}_{error}"] = errors
    accuracies = scores[scores["measure"] == "accuracy"]
    cells = accuracies[["corpus", "stream", "labels"]].drop_duplicates()
    for cell in cells.sort_values(
        ["corpus", "stream", "labels"], key=map_to_sort_keys
    ).itertuples():
        rows = accuracies[
            (accuracies["corpus"] == cell.corpus)
            & (accuracies["stream"] == cell.stream)
            & (accuracies["labels"] == cell.labels)
        ].groupby("variant")["value"]
        name = f"{cell.corpus}_{cell.stream}_{cell.labels}"
        columns[f"{name}_mean"], columns[f"{name}_std"] = rows.mean(), rows.std()
    measured = [variant for variant in MODEL_ORDER if variant in set(scores["variant"])]
    rows = pd.Index([*measured, *TRIVIAL_BASELINES], name="variant")
    return pd.DataFrame(columns).reindex(rows).reset_index()


def write_csv(table: pd.DataFrame, path: Path, decimals: int) -> None:
    """Write a table atomically; the same numbers give the same bytes."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, float_format=f"%.{decimals}f", lineterminator="\n")


def read_scores(path: Path) -> pd.DataFrame:
    """Read `scores.csv`.

    Raises:
        UserError: The file or one of its columns is missing.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: expected the scores of a run, found no file; run collect_scores")
    # Labels are "1" and "all": strings, as are splits and draws.
    scores = pd.read_csv(
        path, dtype=dict.fromkeys([*KEY_COLUMNS, "softmax_init"], str), keep_default_na=False
    )
    missing = [name for name in ("value", *KEY_COLUMNS, "softmax_init") if name not in scores]
    if missing:
        raise UserError(
            f"{path}: expected columns {missing}, found {list(scores)}; run collect_scores"
        )
    return scores


def _read_accuracies(path: Path) -> list[dict[str, object]]:
    """Read the rows of an artifact of schema `finetuned`."""
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


def _read_errors(path: Path) -> list[dict[str, object]]:
    """Read the rows of an artifact of schema `predictions`."""
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


def map_to_sort_keys(column: pd.Series) -> pd.Series:
    """Return sort keys: models and streams in their order, numbers before "all", else by name."""
    order = {
        name: f"{index:04d}"
        for index, name in enumerate([*BASELINE_REPRESENTATIONS, *MODEL_ORDER, *get_args(Stream)])
    }
    return column.map(lambda name: order.get(name, name.zfill(8) if name.isdigit() else name))
