"""Which training videos have a label: nested subsets of each class."""

from typing import Literal

import numpy as np


def draw_labelled_subset(
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
