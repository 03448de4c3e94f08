"""Validation videos: whole groups of training videos, held out to select settings."""

import numpy as np

from video_lstm.errors import UserError


def draw_validation_videos(
    labels: np.ndarray, groups: list[str], fraction: float, seed: int, draw: int = 0
) -> np.ndarray:
    """Draw validation videos from the training videos, in whole groups.

    Groups (subjects; UCF-101's gXX) are drawn in random order until the fraction is reached. A
    group with all remaining training videos of a class is skipped, so that every class keeps some.

    Args:
        labels: Class of each training video, (videos,) int.
        groups: Group of each training video; a video with an empty name is its own group.
        fraction: Fraction of the videos to hold out, between 0 and 1.
        seed: Random seed of the run.
        draw: Number of the draw.

    Returns:
        Mask of the validation videos, (videos,) bool; at least one is true.

    Raises:
        UserError: No group can be held out.
    """
    labels = np.asarray(labels)
    names = [group or f"\0{row}" for row, group in enumerate(groups)]
    _, group_indices, sizes = np.unique(
        np.array(names, dtype=object), return_inverse=True, return_counts=True
    )
    members = np.split(np.argsort(group_indices, kind="stable"), np.cumsum(sizes)[:-1])
    is_validation, count = np.zeros(len(labels), bool), 0
    training_counts = np.bincount(labels)  # videos of each class that are not held out
    for group in np.random.default_rng([seed, draw]).permutation(len(members)):
        rows = members[group]
        classes, class_counts = np.unique(labels[rows], return_counts=True)
        # A group is added if that brings the count closer to the fraction.
        if (training_counts[classes] > class_counts).all() and (
            not count or count + len(rows) / 2 <= fraction * len(labels)
        ):
            is_validation[rows] = True
            training_counts[classes] -= class_counts
            count += len(rows)
    if not is_validation.any():
        raise UserError(
            f"validation: of {len(members)} groups of training videos none can be held out: each "
            "has the only training videos of some class; add videos, or use smaller groups"
        )
    return is_validation
