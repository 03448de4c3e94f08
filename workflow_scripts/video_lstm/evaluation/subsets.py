"""Which training videos have a label: nested subsets, and whole groups kept for validation."""

from typing import Literal

import numpy as np

from video_lstm.errors import UserError


def labelled_subset(
    labels: np.ndarray, per_class: int | Literal["all"], seed: int, draw: int
) -> np.ndarray:
    """The training videos whose labels a classifier may see (paper, section 3.3).

    Each class has an order of its own that follows from (seed, draw, class); a subset is the start
    of it, so that the subset of 1 is inside the subset of 10, and the classes do not disturb each
    other. A class of fewer than `per_class` videos gives all it has.

    Args:
        labels: (videos,) int, class of each training video.
        per_class: labelled videos of each class, or "all".
        seed: of the run.
        draw: which of the subsets that are drawn.

    Returns:
        (n,) int64, rows of `labels`, rising.
    """
    labels = np.asarray(labels)
    if per_class == "all":
        return np.arange(len(labels))
    chosen = [
        np.random.default_rng([seed, draw, int(label)]).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate([order[:per_class] for order in chosen]))


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
