"""Files below the folder of a data set: which of them may be videos, and which job reads which."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from video_lstm.errors import UserError

# Notes and lists that lie among videos. Everything else is taken for a video until it is opened.
_TEXT = {".txt", ".csv", ".tsv", ".json", ".md", ".yaml", ".yml", ".html", ".pdf"}


@dataclass(frozen=True)
class Entry:
    """A file that may be a video."""

    path: str
    """Relative to the root, with forward slashes; bytes that are not UTF-8 are escaped."""
    class_name: str = ""
    """The first folder of the path; empty without classes."""
    group: str = ""
    """Videos of one group show one subject or were cut from one film; empty: of its own."""
    refusal: str = ""
    """Why it is not even opened."""


_LINKED_FOLDER = "a symbolic link to a folder, not followed without the setting follow_links"
_LINKED_OUT = (
    "a symbolic link out of the data set's folder, not followed without the setting follow_links"
)
_LOOP = "a symbolic link to a folder that it lies in, a loop"
_BROKEN_LINK = "a symbolic link that leads to no file (of git-annex or DataLad: get its content)"


def find_files(root: Path, labelled: bool, follow_links: bool = False) -> list[Entry]:
    """Every file below a folder that is not hidden and no text, sorted by path.

    Without ``follow_links`` nothing outside the root is read: links that lead out of it, and links
    to folders, are entries with a refusal.

    Args:
        root: the data set's folder.
        labelled: only those below the folder of a class; one that lies beside these has none.
        follow_links: whether symbolic links are followed, wherever they lead.

    Raises:
        UserError: a folder cannot be listed.
    """

    def stop(error: OSError) -> None:
        raise UserError(
            f"{error.filename}: expected a folder that can be listed, found '{error.strerror}'; "
            "give yourself the permission to read it, or move it out of the data set"
        ) from error

    inside = os.path.realpath(root)
    entries = []
    for path in _walk(root, follow_links, stop):
        refusal = _refusal(root, path, inside, follow_links)
        is_folder = refusal in (_LINKED_FOLDER, _LOOP)
        if refusal is None or (labelled and "/" not in path and not is_folder):
            continue
        name = printable_path(path)
        if name != path:
            refusal = "its name is not valid UTF-8"
        entries.append(Entry(name, name.split("/")[0] if labelled else "", refusal=refusal))
    return sorted(entries, key=lambda entry: entry.path)


def require_folder(root: Path) -> None:
    """Raise a UserError, with what is there instead, unless the root of a data set is a folder."""
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
    """Names of the folders in a root, and of the files beside them that are no texts; sorted.

    What is hidden does not count; links to folders are folders.
    """
    folders: list[str] = []
    files: list[str] = []
    for path in sorted(root.iterdir()):
        if not path.name.startswith(".") and path.suffix.lower() not in _TEXT:
            is_folder = os.path.isdir(path)  # noqa: PTH112 - never raises
            (folders if is_folder else files).append(printable_path(path.name))
    return folders, files


def shard_of(path: str, shards: int) -> int:
    """Which job a video belongs to, from 0: by its name alone, so that no other video moves it."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) % shards


def stat_files(root: Path, follow_links: bool = False) -> dict[str, os.stat_result]:
    """Sizes and times of the files below a root that may be videos, by path.

    A folder that cannot be listed stands among them, so that it is noticed.

    Args:
        root: the data set's folder; one that is not there has no files.
        follow_links: whether links are followed; if not, a link's own size and time count.
    """
    statuses: dict[str, os.stat_result] = {}

    def note(error: OSError) -> None:
        with contextlib.suppress(OSError):
            statuses[os.path.relpath(error.filename, root)] = os.lstat(error.filename)

    for path in _walk(root, follow_links, note):
        place = f"{root}/{path}"
        with contextlib.suppress(OSError):  # removed this moment; or the job says why
            status = os.lstat(place)
            if follow_links and stat.S_ISLNK(status.st_mode) and os.path.exists(place):  # noqa: PTH110
                status = os.stat(place)  # noqa: PTH116
            if not stat.S_ISDIR(status.st_mode):
                statuses[path] = status
    return statuses


def fingerprints(
    root: Path, shards: int, files: Mapping[str, os.stat_result] | None = None
) -> list[str]:
    """Digest of the names, sizes and times of each shard's files: another one, another shard.

    Args:
        root: the data set's folder; one that is not there has no files.
        shards: how many jobs the data set is cut into.
        files: what `stat_files` says of it, where that is known.
    """
    digests = [hashlib.sha256() for _ in range(shards)]
    for path, status in (stat_files(root) if files is None else files).items():
        line = (path, status.st_size, status.st_mtime_ns)
        digests[shard_of(printable_path(path), shards)].update(repr(line).encode())
    return [digest.hexdigest() for digest in digests]


def _walk(root: Path, follow_links: bool, on_error: Callable[[OSError], None]) -> Iterator[str]:
    """Paths below a root of all that may be a video; folders are among them, as some are links.

    Args:
        root: the data set's folder.
        follow_links: whether links to folders are followed, but for loops.
        on_error: called with the error of a folder that cannot be listed.
    """
    for folder, folders, files in os.walk(root, onerror=on_error, followlinks=follow_links):
        place = os.path.relpath(folder, root)
        prefix = "" if place == "." else f"{place}/"
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *sorted(files)]:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() not in _TEXT:  # noqa: PTH122
                yield prefix + name
        if follow_links:
            folders[:] = [name for name in folders if not _is_loop(root, prefix + name)]


def _is_loop(root: Path, path: str) -> bool:
    """Whether a link below a root leads to a folder on its own way, or to one that holds such."""
    if not os.path.islink(f"{root}/{path}"):  # noqa: PTH114
        return False
    target = os.path.realpath(f"{root}/{path}")
    names = path.split("/")
    way = (os.path.realpath("/".join([str(root), *names[:n]])) for n in range(len(names)))
    return any(Path(folder).is_relative_to(target) for folder in way)


def printable_path(path: str) -> str:
    """A path as text: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _refusal(root: Path, path: str, inside: str, follow_links: bool) -> str | None:
    """Why a file is not opened; empty: it is; None: it is a folder whose files are looked at."""
    place = root / path
    try:
        mode = place.lstat().st_mode
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if stat.S_ISDIR(mode):
        return None
    if stat.S_ISLNK(mode):
        if os.path.isdir(place):  # noqa: PTH112 - never raises
            if not follow_links:
                return _LINKED_FOLDER
            return _LOOP if _is_loop(root, path) else None
        if not os.path.exists(place):  # noqa: PTH110
            return _BROKEN_LINK
        if not follow_links and not Path(os.path.realpath(place)).is_relative_to(inside):
            return _LINKED_OUT
    return ""
