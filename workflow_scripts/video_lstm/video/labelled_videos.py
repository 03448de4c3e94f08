"""The labelled videos of one split, as training and evaluation read them."""

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
        names: Paths in the data set, (n,) str.
        parts: `UNUSED`, `TRAIN` or `TEST`, (n,) int8.
        labels: Numbers of the classes, (n,) int32.
        groups: Groups of the videos, (n,) str; empty for a video without a group.
        classes: Class names in the order of their numbers.
    """

    path: Path
    names: np.ndarray
    parts: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: list[str]

    def match_clips(self, part: int, names: Sequence[ClipName]) -> tuple[np.ndarray, np.ndarray]:
        """Match the videos of a part of the split with their clips.

        Args:
            part: `UNUSED`, `TRAIN` or `TEST`.
            names: Names of the clips.

        Returns:
            Rows of the videos in the index and of their clips in ``names``, each (n,) int64.

        Raises:
            UserError: A video has no clip, or more than one.
        """
        clip_rows = {name.video: row for row, name in enumerate(names)}
        if len(clip_rows) < len(names):
            videos = [name.video for name in names]
            duplicate = next(video for video in videos if videos.count(video) > 1)
            raise UserError(
                f"{self.path}: expected each of its videos in one shard, found '{duplicate}' in "
                "two; name the shards of one run"
            )
        rows = np.flatnonzero(self.parts == part)
        missing = [name for name in self.names[rows] if name not in clip_rows]
        if missing:
            raise UserError(
                f"{self.path}: expected shards with all of its videos, found no clip of "
                f"{len(missing)}, first '{missing[0]}'; name all shards"
            )
        return rows, np.array([clip_rows[name] for name in self.names[rows]], np.int64)


def read_labelled_videos(path: Path, split: int) -> LabelledVideos:
    """Read the videos of an artifact of schema `videos`.

    Args:
        path: The artifact.
        split: Number of the split, from 1.

    Raises:
        UserError: The split does not exist.
    """
    with open_artifact(path, "videos") as file:
        names, groups = (np.array(read_strings(file, column), str) for column in ("path", "group"))
        splits, labels = file["splits"][()], file["label"][()]
        classes = read_strings(file, "classes")
    if not 1 <= split <= splits.shape[1]:
        raise UserError(
            f"{path}: expected split {split}, found {splits.shape[1]} splits; name one of these, "
            "or define more splits"
        )
    return LabelledVideos(path, names, splits[:, split - 1], labels, groups, classes)
