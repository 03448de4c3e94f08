"""Training, validation and test videos of a split of a labelled data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.video.clips import ClipName
from video_lstm.video.labelled_videos import LabelledVideos, read_labelled_videos
from video_lstm.video.split_parts import TEST, TRAIN


@dataclass(frozen=True)
class LabelledClips:
    """Labelled videos, each with one clip that covers the whole video.

    Attributes:
        rows: Rows of the artifact `videos`, (n,) int32.
        clips: Rows of a `PerceptStore` or `FlowStore`, (n,) int64.
        labels: Classes, (n,) int32.
        groups: Group of each video; empty where it has none.
    """

    rows: np.ndarray
    clips: np.ndarray
    labels: np.ndarray
    groups: list[str]

    def __getitem__(self, selection: np.ndarray) -> "LabelledClips":
        """Select videos by a mask or an array of indices."""
        groups = list(np.array(self.groups, dtype=object)[selection])
        return LabelledClips(
            self.rows[selection], self.clips[selection], self.labels[selection], groups
        )

    def __len__(self) -> int:
        return len(self.rows)


def read_split(
    path: Path, split: int, names: Sequence[ClipName]
) -> tuple[LabelledClips, LabelledClips, LabelledVideos]:
    """Read the training and test videos of a split, and the data set they belong to.

    Args:
        path: Artifact of schema `videos`.
        split: Number of the split, from 1.
        names: Names of the stored clips, one for each video of the data set.

    Raises:
        UserError: The split does not exist, has no training or no test videos, or a video has no
            clip.
    """
    data_set = read_labelled_videos(path, split)

    def select_part(part: int) -> LabelledClips:
        rows, clips = data_set.match_clips(part, names)
        return LabelledClips(
            rows.astype(np.int32), clips, data_set.labels[rows], list(data_set.groups[rows])
        )

    train, test = select_part(TRAIN), select_part(TEST)
    if not len(train) or not len(test):
        raise UserError(
            f"{path}: expected training and test videos in split {split}, found {len(train)} and "
            f"{len(test)}; check the split lists of the data set"
        )
    return train, test, data_set


def split_off_validation(
    train: LabelledClips, fraction: float, seed: int
) -> tuple[LabelledClips, LabelledClips]:
    """Split training videos into training and validation videos, keeping groups together.

    Raises:
        UserError: No group can be held out.
    """
    is_validation = draw_validation_videos(train.labels, train.groups, fraction, seed)
    return train[~is_validation], train[is_validation]
