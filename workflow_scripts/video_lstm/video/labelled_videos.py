"""A labelled set as the stages that learn from it see it: which video, which class, which side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.artifacts import open_artifact, read_strings
from video_lstm.errors import UserError
from video_lstm.video.clips import ClipName


@dataclass(frozen=True)
class LabelledVideos:
    """The videos of an index, with their parts in one split.

    Attributes:
        path: File of the index.
        names: (n,) str, paths in the data set.
        sides: (n,) int8: `UNUSED`, `TRAIN` or `TEST`.
        labels: (n,) int32, numbers of the classes.
        groups: (n,) str; empty where a video has none.
        classes: names, by number.
    """

    path: Path
    names: np.ndarray
    sides: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: list[str]

    def clips(self, part: int, names: Sequence[ClipName]) -> tuple[np.ndarray, np.ndarray]:
        """The videos of a part of the split, and where their clips are among the names.

        Returns:
            (n,) int64, rows of the index; (n,) int64, rows of the names.

        Raises:
            UserError: a video is not among them, or more than once.
        """
        row_of = {name.video: row for row, name in enumerate(names)}
        if len(row_of) < len(names):
            videos = [name.video for name in names]
            twice = next(video for video in videos if videos.count(video) > 1)
            raise UserError(
                f"{self.path}: expected each of its videos in one shard, found '{twice}' in two; "
                "name shards of one run"
            )
        rows = np.flatnonzero(self.sides == part)
        lacking = [name for name in self.names[rows] if name not in row_of]
        if lacking:
            raise UserError(
                f"{self.path}: expected shards with all of its videos, found none of "
                f"{len(lacking)}, '{lacking[0]}' the first; name all shards"
            )
        return rows, np.array([row_of[name] for name in self.names[rows]], np.int64)


def read_labelled_videos(path: Path, split: int) -> LabelledVideos:
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
        classes = read_strings(file, "classes")
    if not 1 <= split <= splits.shape[1]:
        raise UserError(
            f"{path}: expected split {split}, found {splits.shape[1]} splits; index with more"
        )
    side = splits[:, split - 1]
    return LabelledVideos(path, names, side, labels, groups, classes)
