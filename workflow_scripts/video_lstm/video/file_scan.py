"""Find the files of a data set that may be videos, and assign them to shards."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from video_lstm.errors import UserError

# Suffixes of texts among the videos. Every other file is opened as a video.
_TEXT_SUFFIXES = {".txt", ".csv", ".tsv", ".json", ".md", ".yaml", ".yml", ".html", ".pdf"}


@dataclass(frozen=True)
class Entry:
    """A file that may be a video, before it is opened."""

    path: str
    """Path relative to the root, with forward slashes; bytes that are not UTF-8 are escaped."""
    class_name: str = ""
    """First folder of the path; empty in an unlabelled data set."""
    group: str = ""
    """Subject or film that several videos share; empty if the video has no group."""
    refusal: str = ""
    """Reason for not opening the file; empty if it is opened."""


_LINKED_FOLDER = "a symbolic link to a folder, not followed without the setting follow_links"
_LINKED_OUT = (
    "a symbolic link out of the data set's folder, not followed without the setting follow_links"
)
_LOOP = "a symbolic link to a folder that it lies in, a loop"
_BROKEN_LINK = "a symbolic link that leads to no file (of git-annex or DataLad: get its content)"


def find_files(root: Path, labelled: bool, follow_links: bool = False) -> list[Entry]:
    """List the files below a folder that are neither hidden nor texts, sorted by path.

    Without ``follow_links`` nothing outside the root is read: links out of it, and links to
    folders, are entries with a refusal.

    Args:
        root: Folder of the data set.
        labelled: Whether to list only files in the folder of a class.
        follow_links: Whether to follow symbolic links, wherever they lead.

    Raises:
        UserError: A folder cannot be listed.
    """

    def raise_error(error: OSError) -> None:
        raise UserError(
            f"{error.filename}: expected a folder that can be listed, found '{error.strerror}'; "
            "set the permission to read it, or move it out of the data set"
        ) from error

    real_root = os.path.realpath(root)
    entries = []
    for path in _walk(root, follow_links, raise_error):
        refusal = _find_refusal(root, path, real_root, follow_links)
        is_folder = refusal in (_LINKED_FOLDER, _LOOP)
        if refusal is None or (labelled and "/" not in path and not is_folder):
            continue
        name = escape_path(path)
        if name != path:
            refusal = "its name is not valid UTF-8"
        entries.append(Entry(name, name.split("/")[0] if labelled else "", refusal=refusal))
    return sorted(entries, key=lambda entry: entry.path)


def require_folder(root: Path) -> None:
    """Raise a UserError unless the root of a data set is a folder."""
    try:
        actual = None if stat.S_ISDIR(os.stat(root).st_mode) else "a file"  # noqa: PTH116
    except OSError as error:
        actual = f"none that can be read ({error.strerror})"
    if actual:
        raise UserError(
            f"{root}: expected the folder of a data set's videos, found {actual}; set 'root' to "
            "where they are"
        )


def list_root(root: Path) -> tuple[list[str], list[str]]:
    """List the folders in a root, and the files there that are not texts; both sorted by name.

    Hidden ones are skipped; links to folders count as folders.
    """
    folders: list[str] = []
    files: list[str] = []
    for path in sorted(root.iterdir()):
        if not path.name.startswith(".") and path.suffix.lower() not in _TEXT_SUFFIXES:
            is_folder = os.path.isdir(path)  # noqa: PTH112 - never raises
            (folders if is_folder else files).append(escape_path(path.name))
    return folders, files


def assign_shard(path: str, num_shards: int) -> int:
    """Return a video's shard, from 0. It depends on its path alone, not on the other videos."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) % num_shards


def stat_files(root: Path, follow_links: bool = False) -> dict[str, os.stat_result]:
    """Read the sizes and times of the files below a root that may be videos, by path.

    A folder that cannot be listed is an entry too, so that it changes the fingerprint.

    Args:
        root: Folder of the data set; a missing one has no files.
        follow_links: Whether to follow links; if not, a link's own size and time are read.
    """
    statuses: dict[str, os.stat_result] = {}

    def add_folder(error: OSError) -> None:
        with contextlib.suppress(OSError):
            statuses[os.path.relpath(error.filename, root)] = os.lstat(error.filename)

    for path in _walk(root, follow_links, add_folder):
        full_path = f"{root}/{path}"
        with contextlib.suppress(OSError):  # just removed, or the job reports the error
            status = os.lstat(full_path)
            if follow_links and stat.S_ISLNK(status.st_mode) and os.path.exists(full_path):  # noqa: PTH110
                status = os.stat(full_path)  # noqa: PTH116
            if not stat.S_ISDIR(status.st_mode):
                statuses[path] = status
    return statuses


def compute_fingerprints(
    root: Path, num_shards: int, files: Mapping[str, os.stat_result] | None = None
) -> list[str]:
    """Hash the names, sizes and times of each shard's files; a changed hash, a changed shard.

    Args:
        root: Folder of the data set; a missing one has no files.
        num_shards: Number of shards of the data set.
        files: Result of `stat_files` for the root; None: it is computed here.
    """
    digests = [hashlib.sha256() for _ in range(num_shards)]
    for path, status in (stat_files(root) if files is None else files).items():
        line = (path, status.st_size, status.st_mtime_ns)
        digests[assign_shard(escape_path(path), num_shards)].update(repr(line).encode())
    return [digest.hexdigest() for digest in digests]


def _walk(root: Path, follow_links: bool, on_error: Callable[[OSError], None]) -> Iterator[str]:
    """Yield the paths below a root that may be videos, and all folders, some of which are links.

    Args:
        root: Folder of the data set.
        follow_links: Whether to follow links to folders, except loops.
        on_error: Called with the error of a folder that cannot be listed.
    """
    for folder, folders, files in os.walk(root, onerror=on_error, followlinks=follow_links):
        relative = os.path.relpath(folder, root)
        prefix = "" if relative == "." else f"{relative}/"
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *sorted(files)]:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() not in _TEXT_SUFFIXES:  # noqa: PTH122
                yield prefix + name
        if follow_links:
            folders[:] = [name for name in folders if not _is_loop(root, prefix + name)]


def _is_loop(root: Path, path: str) -> bool:
    """Return whether a path is a link to a folder that contains it."""
    if not os.path.islink(f"{root}/{path}"):  # noqa: PTH114
        return False
    target = os.path.realpath(f"{root}/{path}")
    names = path.split("/")
    parents = (os.path.realpath("/".join([str(root), *names[:n]])) for n in range(len(names)))
    return any(Path(parent).is_relative_to(target) for parent in parents)


def escape_path(path: str) -> str:
    """Return a path as text, with bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _find_refusal(root: Path, path: str, real_root: str, follow_links: bool) -> str | None:
    """Return why a file is not opened; "" if it is opened, None for a folder that is walked."""
    full_path = root / path
    try:
        mode = full_path.lstat().st_mode
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if stat.S_ISDIR(mode):
        return None
    if stat.S_ISLNK(mode):
        if os.path.isdir(full_path):  # noqa: PTH112 - never raises
            if not follow_links:
                return _LINKED_FOLDER
            return _LOOP if _is_loop(root, path) else None
        if not os.path.exists(full_path):  # noqa: PTH110
            return _BROKEN_LINK
        if not follow_links and not Path(os.path.realpath(full_path)).is_relative_to(real_root):
            return _LINKED_OUT
    return ""
