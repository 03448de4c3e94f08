"""Detect data sets that may share videos, by sizes and first bytes of the files."""

import os
import stat
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_HEAD_BYTES = 1 << 16


def may_share_videos(
    root: Path,
    files: Mapping[str, os.stat_result],
    other_root: Path,
    other_files: Mapping[str, os.stat_result],
) -> bool:
    """Return whether two data sets may share a video, or a copy of one.

    Never False if both have a file with the same bytes. Files of equal size are compared by their
    first bytes.

    Args:
        root: Root folder of the first data set.
        files: Files of the first data set, from `video_lstm.video.file_scan.stat_files`.
        other_root: Root folder of the second data set.
        other_files: Files of the second data set.
    """
    first, second = Path(os.path.realpath(root)), Path(os.path.realpath(other_root))
    if first.is_relative_to(second) or second.is_relative_to(first):
        return True
    paths_by_size = defaultdict(list)
    for path, status in other_files.items():
        paths_by_size[_file_size(other_root / path, status)].append(path)
    heads: dict[int, set[bytes | None]] = {}
    for path, status in files.items():
        size = _file_size(root / path, status)
        if size and size in paths_by_size:
            if size not in heads:
                heads[size] = {_read_head(other_root / p) for p in paths_by_size[size]} - {None}
            if _read_head(root / path) in heads[size]:
                return True
    return False


def _file_size(path: Path, status: os.stat_result) -> int:
    """Return the size of a file, or of the target of a link, in bytes; 0 for a broken link."""
    if not stat.S_ISLNK(status.st_mode):
        return status.st_size
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_head(path: Path) -> bytes | None:
    """Read the first bytes of a file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return None
