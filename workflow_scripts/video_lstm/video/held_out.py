"""Exclude test videos of the labelled data sets from the unlabelled videos."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from video_lstm.artifacts import open_artifact, read_strings
from video_lstm.errors import UserError
from video_lstm.video.files import FileTable, VideoFile
from video_lstm.video.split_parts import TEST


@dataclass(frozen=True)
class LabelledTestVideos:
    """Test videos of labelled data sets, identified by path and by content."""

    paths: frozenset[str]
    """Absolute paths, without symbolic links."""
    sha256: frozenset[str]
    """SHA-256 digests of the files' bytes."""

    def contain(self, root: str, file: VideoFile) -> bool:
        """Return whether a file below a root is a test video, or a copy of one."""
        return file.sha256 in self.sha256 or _real_path(root, file.path) in self.paths


def read_test_videos(
    indices: Sequence[Path], use_splits: Mapping[str, Sequence[int]]
) -> LabelledTestVideos:
    """Read the test videos of labelled data sets.

    Args:
        indices: Artifacts of schema `videos`, one for each labelled data set.
        use_splits: Numbers of the splits in use, from 1, by the artifact's file name without
            suffix; all splits of a data set that is not named.

    Raises:
        UserError: A data set lacks a split.
    """
    paths: set[str] = set()
    digests: set[str] = set()
    for index in indices:
        with open_artifact(index, "videos") as file:
            root, splits = str(file.attrs["root"]), file["splits"][()]
            columns = ("path", "sha256", "transcoded")
            names, sha256, copies = (np.array(read_strings(file, name)) for name in columns)
        split_numbers = list(use_splits.get(index.stem, range(1, splits.shape[1] + 1)))
        if split_numbers and max(split_numbers) > splits.shape[1]:
            raise UserError(
                f"{index}: expected split {max(split_numbers)}, found {splits.shape[1]} splits; "
                "index the videos again"
            )
        is_test = (splits[:, [number - 1 for number in split_numbers]] == TEST).any(axis=1)
        paths.update(_real_path(root, name) for name in names[is_test].tolist())
        # A transcoded copy has other bytes than the original.
        paths.update(os.path.realpath(copy) for copy in copies[is_test].tolist() if copy)
        digests.update(sha256[is_test].tolist())
    return LabelledTestVideos(frozenset(paths), frozenset(digests - {""}))


def remove_test_videos(
    table: FileTable, test_videos: LabelledTestVideos
) -> tuple[FileTable, list[str]]:
    """Remove the test videos of labelled data sets from the unlabelled videos.

    Args:
        table: The unlabelled videos.
        test_videos: Test videos of the labelled data sets.

    Returns:
        The table without the test videos, and the paths of those that were usable.

    Raises:
        UserError: No usable video remains.
    """
    left_out = [file.path for file in table.usable if test_videos.contain(table.root, file)]
    left_out_paths = set(left_out)
    remaining = replace(
        table, files=[file for file in table.files if file.path not in left_out_paths]
    )
    if left_out and not remaining.usable:
        raise UserError(
            f"{table.root}: expected unlabelled videos that are not test videos, found only test "
            f"videos of the labelled sets ({len(left_out)}, first '{left_out[0]}'); add other "
            "videos, or test on fewer (splits, use_splits)"
        )
    return remaining, left_out


def _real_path(root: str, name: str) -> str:
    return os.path.realpath(f"{root}/{name}")
