"""Accuracies beside the figures that the paper's tables give for the same."""

from pathlib import Path
from typing import Literal

import pandas as pd

from video_lstm.evaluation.accuracy import CELL, summarise
from video_lstm.evaluation.tables import ROWS, rank

PaperTable = Literal["table1", "table3", "table4"]

_PUBLISHED = Path(__file__).with_name("published.csv")


def compare_with_published(scores: pd.DataFrame, table: PaperTable) -> pd.DataFrame:
    """What was measured, with the figures that the paper's table gives for the same.

    Args:
        scores: as `tables.collect_scores` returns, of what the table is made of.
        table: which one.

    Returns:
        The rows of `summarise`, without gains, with the columns `published`, `verified` (whether
        the figure was checked in a second source) and `source`; and a row for each published
        figure of a measured corpus that has no measured counterpart.
    """
    measured = summarise(scores).drop(columns=["gain", "gain_low", "gain_high"])
    published = pd.read_csv(_PUBLISHED, dtype=str, keep_default_na=False)
    published = published[published["table"] == table].rename(
        columns={"model": "variant", "value": "published"}
    )
    published = published[published["corpus"].isin(measured["corpus"])]
    published["published"] = published["published"].astype(float)
    keys = [*CELL, "variant"]
    columns = [*keys, "published", "verified", "source"]
    both = measured.merge(published[columns], how="outer", on=keys).astype({"n": "Int64"})
    return both.sort_values(keys, key=rank, ignore_index=True)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `compare_with_published` as the paper prints them: one per model.

    Returns:
        Columns `variant`, then for each data set, stream and labelled subset
        `{dataset}_{stream}_{labels}_` and `mean`, `std`, `softmax_init`, `published`, `verified`.
    """
    columns = {}
    for cell, group in table.groupby(CELL, sort=False):
        rows = group.set_index("variant")
        for name in ("mean", "std", "softmax_init", "published", "verified"):
            columns["_".join((*cell, name))] = rows[name]
    models = [name for name in ROWS if name in set(table["variant"])]
    return pd.DataFrame(columns).reindex(pd.Index(models, name="variant")).reset_index()
