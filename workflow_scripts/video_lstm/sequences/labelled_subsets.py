"""Draw labelled subsets of the training videos, nested within each class."""

from typing import Literal

import numpy as np


def draw_labelled_subset(
    labels: np.ndarray, per_class: int | Literal["all"], seed: int, draw: int
) -> np.ndarray:
    """Draw the training videos whose labels a classifier may use (paper, section 3.3).

    (seed, draw, class) determines an order of each class, and a subset is its beginning: subsets
    of 1 are contained in subsets of 10, and classes do not influence each other. A class of fewer
    than `per_class` videos contributes all of them.

    Args:
        labels: Class of each training video, (videos,) int.
        per_class: Labelled videos per class, or "all".
        seed: Random seed of the run.
        draw: Number of the draw.

    Returns:
        Rows of `labels` in ascending order, (n,) int64.
    """
    labels = np.asarray(labels)
    if per_class == "all":
        return np.arange(len(labels))
    permutations = [
        np.random.default_rng([seed, draw, int(label)]).permutation(np.flatnonzero(labels == label))
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate([order[:per_class] for order in permutations]))
