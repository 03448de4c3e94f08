"""A labelled set as the stages that learn from it see it: which video, which class, which side."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.artifacts import open_artifact, read_strings
from video_lstm.errors import UserError


@dataclass(frozen=True)
class Labelled:
    """The videos of an index, with their parts in one split.

    Attributes:
        names: (n,) str, paths in the data set.
        sides: (n,) int8: `UNUSED`, `TRAIN` or `TEST`.
        labels: (n,) int32, numbers of the classes.
        groups: (n,) str; empty where a video has none.
        classes: names, by number.
        rate: frames per second of the clips; None for each file's own.
    """

    names: np.ndarray
    sides: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: list[str]
    rate: float | None


def read_labelled(path: Path, split: int) -> Labelled:
    """The videos of an artifact of schema `videos`.

    Args:
        path: the artifact.
        split: which one, from 1.

    Raises:
        UserError: there is no such split.
    """
    with open_artifact(path, "videos") as file:
        names, groups = (np.array(read_strings(file, of), str) for of in ("path", "group"))
        splits, labels = file["splits"][()], file["label"][()]
        classes, rate = read_strings(file, "classes"), float(file.attrs["rate"])
    if not 1 <= split <= splits.shape[1]:
        raise UserError(
            f"{path}: expected split {split}, found {splits.shape[1]} splits; index with more"
        )
    own = math.isnan(rate)
    return Labelled(names, splits[:, split - 1], labels, groups, classes, None if own else rate)
