"""Comparison of measured accuracies with those published in the paper's tables."""

from pathlib import Path
from typing import Literal

import pandas as pd

from video_lstm.evaluation.accuracy import TASK_COLUMNS, summarise_accuracy
from video_lstm.evaluation.tables import MODEL_ORDER, map_to_sort_keys

PaperTable = Literal["table1", "table3", "table4"]

_PUBLISHED = Path(__file__).with_name("published.csv")


def compare_with_published(scores: pd.DataFrame, table: PaperTable) -> pd.DataFrame:
    """Tabulate measured accuracies next to those of a table of the paper.

    Args:
        scores: Table returned by `tables.collect_scores`, of the models to compare.
        table: Table of the paper.

    Returns:
        Rows of `summarise_accuracy` without gains, with columns `published`, `verified` (whether
        the number was checked in a second source) and `source`; and one row per published number
        of a measured corpus that was not measured.
    """
    measured = summarise_accuracy(scores).drop(columns=["gain", "gain_low", "gain_high"])
    published = pd.read_csv(_PUBLISHED, dtype=str, keep_default_na=False)
    published = published[published["table"] == table].rename(
        columns={"model": "variant", "value": "published"}
    )
    published = published[published["corpus"].isin(measured["corpus"])]
    published["published"] = published["published"].astype(float)
    keys = [*TASK_COLUMNS, "variant"]
    columns = [*keys, "published", "verified", "source"]
    comparison = measured.merge(published[columns], how="outer", on=keys).astype({"n": "Int64"})
    return comparison.sort_values(keys, key=map_to_sort_keys, ignore_index=True)


def pivot_by_model(table: pd.DataFrame) -> pd.DataFrame:
    """Reshape the table of `compare_with_published` as in the paper: one row per model.

    Returns:
        Column `variant`, then for each data set, stream and number of labels
        `{dataset}_{stream}_{labels}_` with `mean`, `std`, `softmax_init`, `published`, `verified`.
    """
    columns = {}
    for cell, group in table.groupby(TASK_COLUMNS, sort=False):
        rows = group.set_index("variant")
        for name in ("mean", "std", "softmax_init", "published", "verified"):
            columns["_".join((*cell, name))] = rows[name]
    models = [name for name in MODEL_ORDER if name in set(table["variant"])]
    return pd.DataFrame(columns).reindex(pd.Index(models, name="variant")).reset_index()
