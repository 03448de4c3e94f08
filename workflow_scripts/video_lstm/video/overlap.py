"""Whether two folders may hold the same videos, by sizes and first bytes of the files."""

import os
import stat
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_HEAD = 1 << 16


def may_share_videos(
    root: Path,
    files: Mapping[str, os.stat_result],
    other: Path,
    others: Mapping[str, os.stat_result],
) -> bool:
    """Whether a video may be below both of two folders, or a copy of one below the other.

    Never False where the same bytes are below both. Files of one size are opened, and True is the
    answer once two of them begin with the same bytes.

    Args:
        root: Root folder of the first data set.
        files: Its files, from `video_lstm.video.file_scan.stat_files`.
        other: Root folder of the second data set.
        others: Files of the second data set.
    """
    one, two = Path(os.path.realpath(root)), Path(os.path.realpath(other))
    if one.is_relative_to(two) or two.is_relative_to(one):
        return True
    by_size = defaultdict(list)
    for path, status in others.items():
        by_size[_size(other / path, status)].append(path)
    heads: dict[int, set[bytes | None]] = {}
    for path, status in files.items():
        size = _size(root / path, status)
        if size and size in by_size:
            if size not in heads:
                heads[size] = {_head(other / same) for same in by_size[size]} - {None}
            if _head(root / path) in heads[size]:
                return True
    return False


def _size(path: Path, status: os.stat_result) -> int:
    """Bytes of a file, or of what a link leads to."""
    if not stat.S_ISLNK(status.st_mode):
        return status.st_size
    try:
        return path.stat().st_size
    except OSError:  # it leads nowhere
        return 0


def _head(path: Path) -> bytes | None:
    """The first bytes of a file; None where it cannot be read, and so is no video either."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return None
