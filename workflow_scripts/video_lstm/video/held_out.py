"""Test videos of the labelled sets: they are kept out of the unlabelled videos."""

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
    """Test videos of labelled sets, by where they are and by what they hold."""

    paths: frozenset[str]
    """Absolute paths, without symbolic links."""
    sha256: frozenset[str]
    """Digests of the files' bytes."""

    def include(self, root: str, file: VideoFile) -> bool:
        """Whether a file below a root is one of them, or a copy of one under another name."""
        return file.sha256 in self.sha256 or _real_path(root, file.path) in self.paths


def read_test_videos(
    indices: Sequence[Path], use_splits: Mapping[str, Sequence[int]]
) -> LabelledTestVideos:
    """Read which videos are test videos.

    Args:
        indices: artifacts of schema `videos`, one for each labelled set.
        use_splits: numbers of the splits that are run, from 1, by the name of the artifact without
            its ending; of a set that is not here the test videos of every split are read.

    Raises:
        UserError: a set lacks a split.
    """
    paths: set[str] = set()
    digests: set[str] = set()
    for index in indices:
        with open_artifact(index, "videos") as file:
            root, splits = str(file.attrs["root"]), file["splits"][()]
            columns = ("path", "sha256", "transcoded")
            names, sha256, copies = (np.array(read_strings(file, of)) for of in columns)
        numbers = list(use_splits.get(index.stem, range(1, splits.shape[1] + 1)))
        if numbers and max(numbers) > splits.shape[1]:
            raise UserError(
                f"{index}: expected split {max(numbers)}, found {splits.shape[1]} splits; index "
                "the videos again"
            )
        rows = (splits[:, [number - 1 for number in numbers]] == TEST).any(axis=1)
        paths.update(_real_path(root, name) for name in names[rows].tolist())
        # A copy that was encoded again has other bytes.
        paths.update(os.path.realpath(copy) for copy in copies[rows].tolist() if copy)
        digests.update(sha256[rows].tolist())
    return LabelledTestVideos(frozenset(paths), frozenset(digests - {""}))


def without_test_videos(
    table: FileTable, videos: LabelledTestVideos
) -> tuple[FileTable, list[str]]:
    """Leave the test videos of labelled sets out of the unlabelled videos.

    Returns:
        The table without them; their paths in the table, as far as they could be used.

    Raises:
        UserError: nothing is left.
    """
    left_out = [file.path for file in table.usable if videos.include(table.root, file)]
    unwanted = set(left_out)
    rest = replace(table, files=[file for file in table.files if file.path not in unwanted])
    if left_out and not rest.usable:
        raise UserError(
            f"{table.root}: expected unlabelled videos that are no test videos, found only test "
            f"videos of the labelled sets ({len(left_out)}, '{left_out[0]}' the first); add other "
            "videos, or test on fewer (splits, use_splits)"
        )
    return rest, left_out


def _real_path(root: str, name: str) -> str:
    return os.path.realpath(f"{root}/{name}")
