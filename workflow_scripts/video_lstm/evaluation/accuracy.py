"""Accuracies with their uncertainty, against the baseline."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from video_lstm.evaluation.tables import rank

CELL = ["corpus", "stream", "labels"]
"""Columns that say what a model was trained and tested on."""


def interval(values: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """95% confidence interval of the mean of independent numbers (Student's t).

    Args:
        values: (n,).
        weights: (n,), how many videos each number is the mean of, where that differs: the mean is
            then that of the videos, and the interval robust to their clusters. None: all alike.

    Returns:
        Its ends; NaN for fewer than two numbers.
    """
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    shares = np.full(count, 1 / count) if weights is None else weights / np.sum(weights)
    mean = np.sum(shares * values)
    error = np.sqrt(count / (count - 1) * np.sum((shares * (values - mean)) ** 2))
    half = stats.t.ppf(0.975, count - 1) * error
    return float(mean - half), float(mean + half)


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Every model on every data set, stream and labelled subset, and what it gains.

    A gain is over `lstm_baseline` on the same labelled videos of the same split, draw by draw:
    with one labelled video per class, which video it is matters more than the model.

    Args:
        scores: as `tables.collect_scores` returns.

    Returns:
        One row per corpus, stream, labels and variant, with `n` draws over all splits; `mean`,
        `std` (of the sample), `low` and `high` (95% interval of the mean) of the accuracy in
        percent; `gain`, `gain_low`, `gain_high` in points, NaN where there is no baseline;
        `softmax_init`, what the classifiers' softmax started from.
    """
    accuracies = scores[scores["measure"] == "accuracy"]
    draw = [*CELL, "split", "draw"]
    baseline = accuracies[accuracies["variant"] == "lstm_baseline"].set_index(draw)["value"]
    paired = accuracies.join(baseline.rename("baseline"), on=draw)
    rows = []
    for cell, group in paired.groupby([*CELL, "variant"], sort=False):
        values, gains = group["value"], (group["value"] - group["baseline"]).dropna()
        low, high = interval(values.to_numpy())
        row = dict(zip([*CELL, "variant"], cell, strict=True)) | {"n": len(values)}
        row |= {"mean": values.mean(), "std": values.std(), "low": low, "high": high}
        if cell[-1] != "lstm_baseline":
            row["gain"] = gains.mean()
            row["gain_low"], row["gain_high"] = interval(gains.to_numpy())
        rows.append(row | {"softmax_init": "/".join(sorted(set(group["softmax_init"])))})
    columns = [*CELL, "variant", "n", "mean", "std", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "gain", "gain_low", "gain_high", "softmax_init"])
    return table.sort_values([*CELL, "variant"], key=rank, ignore_index=True)


def hours_table(scores: Mapping[float, pd.DataFrame], baseline: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of a model against the hours of unlabelled video that it was pretrained on.

    Args:
        scores: by the hours, as `tables.collect_scores` returns.
        baseline: the same of `lstm_baseline`, on the same draws.

    Returns:
        The rows of `summarise` with the column `hours`, rising for each data set, stream and number
        of labels; the baseline, which is not pretrained, has none.
    """
    tables = [summarise(baseline)]
    for hours, own in sorted(scores.items()):
        table = summarise(pd.concat([own, baseline], ignore_index=True))
        tables.append(table[table["variant"] != "lstm_baseline"].assign(hours=hours))
    table = pd.concat(tables, ignore_index=True)
    table.insert(len(CELL), "hours", table.pop("hours"))
    return table.sort_values(CELL, key=rank, kind="stable", ignore_index=True)
