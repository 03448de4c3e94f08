"""Choosing by videos that are kept out of training, in whole groups, and never by a test video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from video_lstm.artifacts import open_artifact
from video_lstm.errors import UserError


def validation_cut(
    labels: np.ndarray, groups: list[str], share: float, seed: int, draw: int = 0
) -> np.ndarray:
    """Training videos to hold out for the choice of settings, in whole groups.

    Groups (subjects; UCF-101's gXX) are taken in a seeded order until the share is reached. A group
    that holds the last other videos of a class is passed over: every class keeps training videos.

    Args:
        labels: (videos,) int, class of each training video.
        groups: group of each training video; where it is empty, a video is a group of its own.
        share: of the videos, more than 0 and less than 1.
        seed: of the run.
        draw: which of the cuts that are drawn.

    Returns:
        (videos,) bool, true for the videos held out; at least one is.

    Raises:
        UserError: no group can be held out.
    """
    labels = np.asarray(labels)
    own = [group or f"\0{row}" for row, group in enumerate(groups)]
    _, group_of, sizes = np.unique(
        np.array(own, dtype=object), return_inverse=True, return_counts=True
    )
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    held, count = np.zeros(len(labels), bool), 0
    kept = np.bincount(labels)  # videos of each class that are not held out
    for group in np.random.default_rng([seed, draw]).permutation(len(members)):
        rows = members[group]
        classes, taken = np.unique(labels[rows], return_counts=True)
        # Half a group over the share is nearer to it than half a group under.
        if (kept[classes] > taken).all() and (
            not count or count + len(rows) / 2 <= share * len(labels)
        ):
            held[rows] = True
            kept[classes] -= taken
            count += len(rows)
    if not held.any():
        raise UserError(
            f"validation: of {len(members)} groups of training videos none can be held out, as "
            "every one has the only videos of some class; index more videos, or cut groups "
            "differently"
        )
    return held


def best_validated(paths: Sequence[Path]) -> Path:
    """The artifact of schema `finetuned` with the best accuracy on validation videos.

    The mean over draws counts; the first of equals is taken.

    Raises:
        UserError: one of them was scored on test videos, which nothing may be chosen by.
    """
    return paths[int(np.argmax([_read_validated(path)[1].mean() for path in paths]))]


def _read_validated(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Attributes of an artifact with scores of validation videos, and its accuracies, (draws,)."""
    with open_artifact(path, "finetuned") as file:
        if (measure := file.attrs["measure"]) != "validation_accuracy":
            raise UserError(
                f"{path}: expected scores of validation videos to choose by, found "
                f"'{measure}'; name what was made with --validation"
            )
        return dict(file.attrs), file["accuracy"][()]


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
        attributes, accuracy = _read_validated(path)
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
