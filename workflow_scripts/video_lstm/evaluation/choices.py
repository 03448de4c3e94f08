"""Choices of settings side by side, by validation videos."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from video_lstm.sequences.validation import read_validated


def choices_table(paths: Sequence[Path]) -> pd.DataFrame:
    """How well classifiers did on validation videos, by the choice of their settings.

    Args:
        paths: artifacts of schema `finetuned` with scores of validation videos; those of one
            classifier in the order of `finetuning.choices`.

    Returns:
        Columns corpus, split, stream, variant, labels, choice (its number), n (draws), mean and
        std of the validation accuracy in percent, chosen, settings (JSON).

    Raises:
        UserError: one of them was scored on test videos.
    """
    rows = []
    for path in paths:
        attributes, accuracy = read_validated(path)
        percent = pd.Series(100 * accuracy)
        row = {"corpus": attributes["dataset"]}
        row |= {name: attributes[name] for name in ("split", "stream", "variant", "labels")}
        row |= {"n": len(percent), "mean": percent.mean(), "std": percent.std()}
        rows.append(row | {"settings": attributes["finetuning"]})
    table = pd.DataFrame(rows)
    same = table.groupby(["corpus", "split", "stream", "variant", "labels"])
    table.insert(5, "choice", same.cumcount())
    table.insert(9, "chosen", table.index.isin(same["mean"].idxmax()))
    return table
