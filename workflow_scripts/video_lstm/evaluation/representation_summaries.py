"""Summaries of the scores of representations over draws, test groups and splits."""

from pathlib import Path

import numpy as np
import pandas as pd

from video_lstm.errors import UserError
from video_lstm.evaluation.accuracy import compute_confidence_interval
from video_lstm.evaluation.representation_classifiers import RETRIEVAL, list_classifiers
from video_lstm.evaluation.tables import BASELINE_REPRESENTATIONS, map_to_sort_keys

_KEY_COLUMNS = ["corpus", "stream", "labels", "measure", "variant"]


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
    order = {name: f"{index}" for index, name in enumerate([*list_classifiers(1), *RETRIEVAL])}
    return map_to_sort_keys(column).map(lambda name: order.get(name, name))
