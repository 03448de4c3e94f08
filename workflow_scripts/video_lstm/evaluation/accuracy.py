"""Mean accuracies with confidence intervals, and gains over the baseline."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from video_lstm.evaluation.tables import map_to_sort_keys

TASK_COLUMNS = ["corpus", "stream", "labels"]
"""Columns that identify the data that a model is trained and tested on."""


def compute_confidence_interval(
    values: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the 95% confidence interval of the mean of independent values (Student's t).

    Args:
        values: (n,) float.
        weights: (n,), number of videos that each value is the mean over; the interval is then
            that of the mean over videos, robust to clusters. None: equal weights.

    Returns:
        Lower and upper bound; NaN for fewer than two values.
    """
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    fractions = np.full(count, 1 / count) if weights is None else weights / np.sum(weights)
    mean = np.sum(fractions * values)
    error = np.sqrt(count / (count - 1) * np.sum((fractions * (values - mean)) ** 2))
    half_width = stats.t.ppf(0.975, count - 1) * error
    return float(mean - half_width), float(mean + half_width)


def summarise_accuracy(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise the accuracy of every model, with its gain over `lstm_baseline`.

    Gains are paired, draw by draw, over the same labelled videos of the same split: with one
    labelled video per class, the choice of this video matters more than the model.

    Args:
        scores: Table returned by `tables.collect_scores`.

    Returns:
        One row per corpus, stream, labels and variant: `n` (draws over all splits); `mean`, `std`
        (of the sample), `low` and `high` (95% interval of the mean) of the accuracy in percent;
        `gain`, `gain_low` and `gain_high` in points, NaN without a baseline; `softmax_init`, the
        initial values of the softmax layer.
    """
    accuracies = scores[scores["measure"] == "accuracy"]
    draw = [*TASK_COLUMNS, "split", "draw"]
    baseline = accuracies[accuracies["variant"] == "lstm_baseline"].set_index(draw)["value"]
    paired = accuracies.join(baseline.rename("baseline"), on=draw)
    rows = []
    for cell, group in paired.groupby([*TASK_COLUMNS, "variant"], sort=False):
        values, gains = group["value"], (group["value"] - group["baseline"]).dropna()
        low, high = compute_confidence_interval(values.to_numpy())
        row = dict(zip([*TASK_COLUMNS, "variant"], cell, strict=True)) | {"n": len(values)}
        row |= {"mean": values.mean(), "std": values.std(), "low": low, "high": high}
        if cell[-1] != "lstm_baseline":
            row["gain"] = gains.mean()
            row["gain_low"], row["gain_high"] = compute_confidence_interval(gains.to_numpy())
        rows.append(row | {"softmax_init": "/".join(sorted(set(group["softmax_init"])))})
    columns = [*TASK_COLUMNS, "variant", "n", "mean", "std", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "gain", "gain_low", "gain_high", "softmax_init"])
    return table.sort_values([*TASK_COLUMNS, "variant"], key=map_to_sort_keys, ignore_index=True)


def tabulate_hours(scores: Mapping[float, pd.DataFrame], baseline: pd.DataFrame) -> pd.DataFrame:
    """Tabulate accuracy against the hours of unlabelled video that a model was pretrained on.

    Args:
        scores: Tables returned by `tables.collect_scores`, by hours of unlabelled video.
        baseline: Scores of `lstm_baseline` on the same draws.

    Returns:
        Rows of `summarise_accuracy` with a column `hours`, in ascending order for each data set,
        stream and number of labels; NaN for the baseline, which is not pretrained.
    """
    tables = [summarise_accuracy(baseline)]
    for hours, hours_scores in sorted(scores.items()):
        table = summarise_accuracy(pd.concat([hours_scores, baseline], ignore_index=True))
        tables.append(table[table["variant"] != "lstm_baseline"].assign(hours=hours))
    table = pd.concat(tables, ignore_index=True)
    table.insert(len(TASK_COLUMNS), "hours", table.pop("hours"))
    return table.sort_values(TASK_COLUMNS, key=map_to_sort_keys, kind="stable", ignore_index=True)
