"""Tables of how well frames are predicted, each with its baselines."""

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
"""Published reconstruction errors by units (lab report, table 1)."""


def frame_errors(predictions: Sequence[Path]) -> pd.DataFrame:
    """Errors of every model by predicted step.

    Args:
        predictions: artifacts of measure_predictions.

    Returns:
        Columns test (the test set), model (a variant, then the trivial baselines), branch, step
        ("1", "2", ... and "mean"; step k of a reconstruction is the k-th last frame), and
        FRAME_MEASURES; NaN for a measure that does not apply.
    """
    lines = []
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
                row = {"test": test, "model": model, "branch": branch}
                steps = pd.DataFrame(branch_errors)
                lines += [
                    row | {"step": str(step)} | values
                    for step, values in enumerate(steps.to_dict("records"), 1)
                ]
                lines.append(row | {"step": "mean"} | steps.mean().to_dict())
    table = pd.DataFrame(lines, columns=["test", "model", "branch", "step", *FRAME_MEASURES])
    # Every model's artifact has the trivial baselines of its branches: the same numbers.
    table = table.drop_duplicates(["test", "model", "branch", "step"], ignore_index=True)
    last = table["model"].isin(TRIVIAL_BASELINES)
    return pd.concat([table[~last], table[last]], ignore_index=True)


def models_table(pretrained: Sequence[Path], predictions: Sequence[Path]) -> pd.DataFrame:
    """Models side by side, one row each, and the baselines.

    Args:
        pretrained: the models; a file's name is that of its row.
        predictions: their errors on one test set, in the same order.

    Returns:
        Columns model, units (or channels), parameters, steps, seconds (of training), and
        `{branch}_{measure}`, means over the steps, for what the models make.
    """
    rows: list[dict[str, object]] = []
    baselines: dict[str, dict[str, object]] = {name: {"model": name} for name in TRIVIAL_BASELINES}
    for path, predicted in zip(pretrained, predictions, strict=True):
        history: TrainingSummary = read_training_summary(path)
        with open_artifact(predicted, "predictions") as file:
            errors = {name: float(v.mean()) for name, v in read_arrays(file, "errors").items()}
        summary = {
            name: getattr(history, name) for name in ("units", "parameters", "steps", "seconds")
        }
        rows.append({"model": Path(path).stem} | summary | dict(_columns(errors, "")))
        for name in TRIVIAL_BASELINES:
            baselines[name] |= dict(_columns(errors, f"{name}_"))
    table = pd.DataFrame([*rows, *baselines.values()])
    # Whole numbers stay whole beside the baselines' empty cells.
    return table.astype(dict.fromkeys(("units", "parameters", "steps"), "Int64"))


def capacity_table(pretrained: Sequence[Path], predictions: Sequence[Path]) -> pd.DataFrame:
    """`models_table` with the published error of a model of as many units beside the measured."""
    table = models_table(pretrained, predictions)
    return table.assign(published_reconstruction_mse=table["units"].map(LAB_REPORT_MSE))


def _columns(errors: dict[str, float], prefix: str) -> Iterator[tuple[str, float]]:
    for branch in BRANCHES:
        for measure, value in _branch_errors(errors, f"{prefix}{branch}_").items():
            yield f"{branch}_{measure}", value


def _branch_errors(errors: dict, prefix: str) -> dict:
    return {m: errors[prefix + m] for m in FRAME_MEASURES if prefix + m in errors}


def read_predictions(
    predictions: Sequence[Path], group: Literal["errors", "samples"]
) -> dict[str, dict[str, np.ndarray]]:
    """Errors or samples of every model, by variant in the order of the files."""
    arrays = {}
    for path in predictions:
        with open_artifact(path, "predictions") as file:
            arrays[str(file.attrs["variant"])] = read_arrays(file, group)
    return arrays
