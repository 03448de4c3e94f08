"""Tables of the errors of predicted frames, with trivial baselines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from video_lstm.artifacts import open_artifact, read_arrays
from video_lstm.evaluation.measures import FRAME_MEASURES
from video_lstm.evaluation.trivial_baselines import TRIVIAL_BASELINES
from video_lstm.training.training_summary import TrainingSummary, read_training_summary

BRANCHES = ["reconstruction", "future"]

LAB_REPORT_MSE = {500: 0.027440, 1500: 0.025928, 2500: 0.019883}
"""Published reconstruction errors by number of units (lab report, table 1)."""


def tabulate_frame_errors(predictions: Sequence[Path]) -> pd.DataFrame:
    """Tabulate the errors of every model by predicted step.

    Args:
        predictions: Artifacts of measure_predictions.

    Returns:
        Columns test (the test set), model (variants, then the trivial baselines), branch, step
        ("1", "2", ... and "mean"; step k of a reconstruction is the k-th last frame), and one per
        measure of FRAME_MEASURES, NaN if it does not apply.
    """
    rows = []
    for path in predictions:
        with open_artifact(path, "predictions") as file:
            errors = read_arrays(file, "errors")
            test, variant = str(file.attrs["test"]), str(file.attrs["variant"])
        for model in (variant, *TRIVIAL_BASELINES):
            prefix = f"{model}_" if model in TRIVIAL_BASELINES else ""
            for branch in BRANCHES:
                branch_errors = _branch_errors(errors, f"{prefix}{branch}_")
                if not branch_errors:
                    continue
                keys = {"test": test, "model": model, "branch": branch}
                steps = pd.DataFrame(branch_errors)
                rows += [
                    keys | {"step": str(step)} | values
                    for step, values in enumerate(steps.to_dict("records"), 1)
                ]
                rows.append(keys | {"step": "mean"} | steps.mean().to_dict())
    table = pd.DataFrame(rows, columns=["test", "model", "branch", "step", *FRAME_MEASURES])
    # Every artifact repeats the trivial baselines of its branches.
    table = table.drop_duplicates(["test", "model", "branch", "step"], ignore_index=True)
    is_baseline = table["model"].isin(TRIVIAL_BASELINES)
    return pd.concat([table[~is_baseline], table[is_baseline]], ignore_index=True)


def tabulate_models(pretrained: Sequence[Path], predictions: Sequence[Path]) -> pd.DataFrame:
    """Tabulate size, training time and errors of models, one row each, and of the baselines.

    Args:
        pretrained: Artifacts of schema `pretrained`; the file's name is the name of the model.
        predictions: Artifacts of measure_predictions on one test set, in the same order.

    Returns:
        Columns model, units (or channels), parameters, steps, seconds (of training), and
        `{branch}_{measure}`, the mean over predicted steps, for the models' branches.
    """
    rows: list[dict[str, object]] = []
    baselines: dict[str, dict[str, object]] = {name: {"model": name} for name in TRIVIAL_BASELINES}
    for path, prediction_path in zip(pretrained, predictions, strict=True):
        training: TrainingSummary = read_training_summary(path)
        with open_artifact(prediction_path, "predictions") as file:
            errors = {name: float(v.mean()) for name, v in read_arrays(file, "errors").items()}
        training_columns = {
            name: getattr(training, name) for name in ("units", "parameters", "steps", "seconds")
        }
        row = {"model": Path(path).stem} | training_columns
        rows.append(row | dict(_error_columns(errors, "")))
        for name in TRIVIAL_BASELINES:
            baselines[name] |= dict(_error_columns(errors, f"{name}_"))
    table = pd.DataFrame([*rows, *baselines.values()])
    # Nullable integers, since the baselines have empty cells.
    return table.astype(dict.fromkeys(("units", "parameters", "steps"), "Int64"))


def tabulate_capacity(pretrained: Sequence[Path], predictions: Sequence[Path]) -> pd.DataFrame:
    """Tabulate models next to the published error for the same number of units."""
    table = tabulate_models(pretrained, predictions)
    return table.assign(published_reconstruction_mse=table["units"].map(LAB_REPORT_MSE))


def _error_columns(errors: dict[str, float], prefix: str) -> Iterator[tuple[str, float]]:
    """Yield name and value of the error columns of a model, or of the baseline `prefix`."""
    for branch in BRANCHES:
        for measure, value in _branch_errors(errors, f"{prefix}{branch}_").items():
            yield f"{branch}_{measure}", value


def _branch_errors(errors: dict, prefix: str) -> dict:
    """Return the errors whose names begin with `prefix`, by measure."""
    return {m: errors[prefix + m] for m in FRAME_MEASURES if prefix + m in errors}


def read_predictions(
    predictions: Sequence[Path], group: Literal["errors", "samples"]
) -> dict[str, dict[str, np.ndarray]]:
    """Read the errors or samples of every model, by variant, in the order of the files."""
    arrays = {}
    for path in predictions:
        with open_artifact(path, "predictions") as file:
            arrays[str(file.attrs["variant"])] = read_arrays(file, group)
    return arrays
