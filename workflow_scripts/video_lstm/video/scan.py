"""Files below the folder of a data set: which of them may be videos, and which job reads which."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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


_LINKED_FOLDER = "a symbolic link to a folder: not followed"


def find_files(root: Path, labelled: bool) -> list[Entry]:
    """Every file below a folder that is not hidden and no text, sorted by path.

    Nothing outside the root is read: links that lead out of it, and links to folders, are entries
    with a refusal.

    Args:
        root: the data set's folder.
        labelled: only those below the folder of a class; one that lies beside these has none.
    """
    inside = root.resolve()
    entries = []
    for path in _walk(root):
        refusal = _refusal(root / path, inside)
        if refusal is None or (labelled and "/" not in path and refusal != _LINKED_FOLDER):
            continue
        name = shown(path)
        if name != path:
            refusal = "its name is not valid UTF-8"
        entries.append(Entry(name, name.split("/")[0] if labelled else "", refusal=refusal))
    return sorted(entries, key=lambda entry: entry.path)


def shard_of(path: str, shards: int) -> int:
    """Which job a video belongs to, from 0: by its name alone, so that no other video moves it."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) % shards


def stat_files(root: Path) -> dict[str, os.stat_result]:
    """Sizes and times of the files below a root that may be videos, by path; of links their own.

    Args:
        root: the data set's folder; one that is not there has no files.
    """
    found = {}
    for path in _walk(root):
        with contextlib.suppress(FileNotFoundError):  # removed this moment
            status = os.lstat(f"{root}/{path}")
            if not stat.S_ISDIR(status.st_mode):
                found[path] = status
    return found


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
        digests[shard_of(shown(path), shards)].update(repr(line).encode())
    return [digest.hexdigest() for digest in digests]


def _walk(root: Path) -> Iterator[str]:
    """Paths below a root of all that may be a video; folders are among them, as some are links."""
    for folder, folders, files in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = os.path.relpath(folder, root)
        for name in [*folders, *sorted(files)]:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() not in _TEXT:  # noqa: PTH122
                yield name if place == "." else f"{place}/{name}"


def shown(path: str) -> str:
    """A path as text: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _refusal(path: Path, inside: Path) -> str | None:
    """Why a file is not opened; empty: it is; None: it is a plain folder."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        return None
    if stat.S_ISLNK(mode):
        if path.is_dir():
            return _LINKED_FOLDER
        if not path.resolve().is_relative_to(inside):
            return "a symbolic link out of the data set's folder: not followed"
    return ""
