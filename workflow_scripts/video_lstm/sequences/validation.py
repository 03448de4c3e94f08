"""Choosing by videos that are kept out of training, in whole groups, and never by a test video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from video_lstm.artifacts import open_artifact
from video_lstm.errors import UserError


def draw_validation_videos(
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
    return paths[int(np.argmax([read_validated(path)[1].mean() for path in paths]))]


def read_validated(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Attributes of an artifact with scores of validation videos, and its accuracies, (draws,).

    Raises:
        UserError: the scores are of test videos.
    """
    with open_artifact(path, "finetuned") as file:
        if (measure := file.attrs["measure"]) != "validation_accuracy":
            raise UserError(
                f"{path}: expected scores of validation videos to choose by, found "
                f"'{measure}'; name what was made with --validation"
            )
        return dict(file.attrs), file["accuracy"][()]
