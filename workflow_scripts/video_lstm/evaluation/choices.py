"""Validation accuracy of classifiers by the choice of their settings."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from video_lstm.evaluation.classifier_scores import read_validation_accuracy


def tabulate_choices(paths: Sequence[Path]) -> pd.DataFrame:
    """Tabulate the validation accuracy of each classifier and choice of settings.

    Args:
        paths: Artifacts of schema `finetuned` scored on validation videos; those of one classifier
            in the order of `finetuning.choices`.

    Returns:
        Columns corpus, split, stream, variant, labels, choice (its number), n (draws), mean and
        std of the validation accuracy in percent, chosen, settings (JSON).

    Raises:
        UserError: A classifier was scored on test videos.
    """
    keys = ["corpus", "split", "stream", "variant", "labels"]
    rows = []
    for classifier in map(read_validation_accuracy, paths):
        percent = pd.Series(100 * classifier.accuracy)
        rows.append(
            {
                "corpus": classifier.dataset,
                "split": classifier.split,
                "stream": classifier.stream,
                "variant": classifier.variant,
                "labels": classifier.labels,
                "n": len(percent),
                "mean": percent.mean(),
                "std": percent.std(),
                "settings": classifier.finetuning,
            }
        )
    table = pd.DataFrame(rows)
    classifiers = table.groupby(keys)
    table.insert(len(keys), "choice", classifiers.cumcount())
    table.insert(9, "chosen", table.index.isin(classifiers["mean"].idxmax()))
    return table
