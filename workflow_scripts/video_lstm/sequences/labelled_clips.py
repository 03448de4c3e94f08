"""The videos of a split: those to learn from, those to choose settings by, those to test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.video.labelled_videos import LabelledVideos, read_labelled_videos
from video_lstm.video.split_parts import TEST, TRAIN


@dataclass(frozen=True)
class LabelledClips:
    """Some videos of a data set, each with one clip that is all of it.

    Attributes:
        rows: (n,) int32, rows of the artifact `videos`.
        clips: (n,) int64, rows of a `PerceptStore`.
        labels: (n,) int32, their classes.
        groups: of each; empty where it has none.
    """

    rows: np.ndarray
    clips: np.ndarray
    labels: np.ndarray
    groups: list[str]

    def __getitem__(self, chosen: np.ndarray) -> "LabelledClips":
        """Those that a mask or an array of indices names."""
        groups = list(np.array(self.groups, dtype=object)[chosen])
        return LabelledClips(self.rows[chosen], self.clips[chosen], self.labels[chosen], groups)

    def __len__(self) -> int:
        return len(self.rows)


def read_split(
    path: Path, split: int, store: PerceptStore
) -> tuple[LabelledClips, LabelledClips, LabelledVideos]:
    """The training and the test videos of a split, and the data set that they are of.

    Args:
        path: artifact of schema `videos`.
        split: from 1.
        store: percepts of all of them.

    Raises:
        UserError: there is no such split, it has no training or no test videos, or one of them has
            no percepts.
    """
    every = read_labelled_videos(path, split)

    def side(part: int) -> LabelledClips:
        rows, clips = every.clips(part, store.names)
        return LabelledClips(
            rows.astype(np.int32), clips, every.labels[rows], list(every.groups[rows])
        )

    train, test = side(TRAIN), side(TEST)
    if not len(train) or not len(test):
        raise UserError(
            f"{path}: expected training and test videos of split {split}, found {len(train)} and "
            f"{len(test)}; look at the index"
        )
    return train, test, every


def split_off_validation(
    train: LabelledClips, share: float, seed: int
) -> tuple[LabelledClips, LabelledClips]:
    """Training videos in two, whole groups on one side: to learn from, and to choose settings by.

    Raises:
        UserError: no group can be held out.
    """
    held = draw_validation_videos(train.labels, train.groups, share, seed)
    return train[~held], train[held]
