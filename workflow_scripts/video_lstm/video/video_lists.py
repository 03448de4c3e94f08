"""Read lists of videos in many formats, and find the files that their lines name.

A line is a path below the root, possibly with additions of other programs: a number of frames or a
label, commas, quotes, backslashes, the root folder or an absolute path in front, another suffix
than that of the file, or none. A line that matches two files is an error.
"""

import csv
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from video_lstm.errors import UserError

_SUFFIX = re.compile(r"\.([a-z]\w{1,4}|3gp|3g2)$", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+([.,:]\d+)*")
_HEADER = {"path", "file", "files", "filename", "file_name", "filepath", "file_path", "video",
           "videos", "video_path", "video_name", "video_id", "youtube_id", "name", "id", "clip",
           "label", "class"}  # fmt: skip
"""Column names; a first line with one of them is a header."""


class FileNames:
    """The files of a data set, searchable by the names that lists use.

    Args:
        paths: Paths of the files, relative to the root.
        classes: Names of the classes; folders above a class folder are ignored.
        usable: Paths of the files that can be used; a name that matches several files means the
            usable one. None: not known, and the first match is returned.
    """

    def __init__(
        self, paths: Iterable[str], classes: Iterable[str], usable: Container[str] | None = None
    ) -> None:
        self._classes = {_normalise(name) for name in classes}
        self._usable = usable
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._normalised: dict[str, list[str]] = defaultdict(list)
        self._without_suffix: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            self._exact[unicodedata.normalize("NFC", path)].append(path)
            key = self._make_key(path)
            # By the path from the class folder on, and by the file name alone.
            for name in {key, key.rsplit("/", 1)[-1]}:
                self._normalised[name].append(path)
                self._without_suffix[_SUFFIX.sub("", name)].append(path)

    def find(self, line: str) -> str | None:
        """Return the path of the file that a line names, or None.

        Raises:
            UserError: Two or more usable files match.
        """
        # The line itself, and with decoded URL escapes such as %20.
        for text in dict.fromkeys((line, unquote(line))):
            for name in dict.fromkeys(self._candidate_names(text)):
                path = self._look_up(name)
                if path is not None:
                    return path
        return None

    def find_other_class(self, line: str, path: str) -> str | None:
        """Return the class in a line if the file is in the folder of another class, else None."""
        words = map(_unquote, re.split(r"[,;\t|]|\s+(?=\S+$)", line))
        classes = {_normalise(word) for word in words if not _is_path(word)} & self._classes
        return min((name for name in classes if name not in _normalise(path)), default=None)

    def _look_up(self, name: str) -> str | None:
        """Return the path of a file by its exact name, or by its name without class or suffix."""
        name = unicodedata.normalize("NFC", posixpath.normpath(name.replace("\\", "/")))
        if name in self._exact:
            return self._select_usable(self._exact[name], name)
        for key in self._candidate_keys(name):
            tables = (
                (self._normalised, key),
                (self._without_suffix, key),
                (self._without_suffix, _SUFFIX.sub("", key)),
            )
            for paths_by_name, candidate in tables:
                if candidate in paths_by_name:
                    return self._select_usable(paths_by_name[candidate], name)
        return None

    def _select_usable(self, paths: list[str], name: str) -> str:
        """Return the usable one of several paths; two usable ones are an error."""
        if self._usable is not None and len(paths) > 1:
            paths = [path for path in paths if path in self._usable] or paths[:1]
        if self._usable is not None and len(paths) > 1:
            raise UserError(
                f"expected one file for '{name}', found {join_examples(paths)}; remove one, or "
                "list paths relative to the root"
            )
        return paths[0]

    def _make_key(self, path: str) -> str:
        """Return a path in lower case from the class folder on, repeated folders once."""
        *folders, name = _normalise(path).split("/")
        first = next((n for n, folder in enumerate(folders) if folder in self._classes), 0)
        folders = folders[first:]
        unique = [f for n, f in enumerate(folders) if n == 0 or f != folders[n - 1]]
        return "/".join([*unique, name])

    def _candidate_keys(self, name: str) -> Iterator[str]:
        """Yield the keys under which a listed name may be stored."""
        yield self._make_key(name)
        if re.match(r"/|[a-zA-Z]:/", name):  # a folder above the root may have the name of a class
            parts = _normalise(name).split("/")
            for n, part in enumerate(parts[:-1]):
                if part in self._classes:
                    yield self._make_key("/".join(parts[n:]))

    def _candidate_names(self, line: str) -> Iterator[str]:
        """Yield the parts of a line that may be the file name, the most likely first."""
        yield line
        yield _unquote(line)
        for delimiter in ",;\t|":
            if delimiter in line:
                try:
                    reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
                    fields = [_unquote(field) for field in next(reader)]
                except (csv.Error, StopIteration):
                    continue
                names = [field for field in fields if _is_path(field)]
                if not names:
                    names = [field for field in fields if not self._is_label(field)] or fields
                for name in names[:1]:
                    yield from self._add_class_folders(name, fields)
                yield from _kinetics_names(fields)
        for blank in reversed(list(re.finditer(r"\s+", line))):
            before, after = _unquote(line[: blank.start()]), line[blank.end() :]
            if _SUFFIX.search(before) or all(map(self._is_label, after.split())):
                yield from self._add_class_folders(before, after.split())
            if all(map(self._is_label, before.split())):
                yield from self._add_class_folders(_unquote(after), before.split())

    def _add_class_folders(self, name: str, words: Iterable[str]) -> Iterator[str]:
        """Yield a name within each class folder named in the line, then the name alone."""
        if "/" not in name and "\\" not in name:
            yield from (f"{word}/{name}" for word in words if _normalise(word) in self._classes)
        yield name

    def _is_label(self, word: str) -> bool:
        return _NUMBER.fullmatch(word) is not None or _normalise(word) in self._classes


def find_listed(
    source: Path, lines: Sequence[str], names: FileNames, folder: str = ""
) -> tuple[list[str | None], list[str]]:
    """Find the files that the lines of a list name.

    Args:
        source: The list, for messages.
        lines: Its lines.
        names: Files of the data set.
        folder: Folder of the files in lines without a folder.

    Returns:
        The path for each line, None if the file is missing; and notes on missing files.

    Raises:
        UserError: No line names a file, or a line matches two files.
    """
    matches, missing, other_class = [], [], []
    for number, line in enumerate(lines):
        needs_folder = folder and not re.search(r"[/\\]", line)
        try:
            path = names.find(f"{folder}/{line}" if needs_folder else line)
        except UserError as error:
            raise UserError(f"{source}: line '{line[:200]}': {error}") from error
        matches.append(path)
        is_comment = re.match(r"#(\s|$)", line) or (number == 0 and _is_header(line))
        if path is None and not is_comment:
            missing.append(line[:200])
        elif path is not None and names.find_other_class(line, path):
            other_class.append(line[:200])
    result = f"found {len(missing)} of {len(lines)} missing: {join_examples(missing)}"
    if missing and not any(matches):
        raise UserError(
            f"{source}: expected every file that it lists below the data set's root, {result}; "
            "looked for these paths below the root, one a line, in any letter case and with any "
            "suffix; complete the files or the list"
        )
    notes = [f"{source}: {result}; left out"] if missing else []
    if other_class:
        notes.append(
            f"{source}: {len(other_class)} lines name another class than that of the file's "
            f"folder, which counts: {join_examples(other_class)}"
        )
    return matches, notes


def read_lines(path: Path) -> list[str]:
    """Read the lines of a list that are not blank, stripped of white space.

    Raises:
        UserError: The file does not exist, or contains no text.
    """
    expected = f"{path}: expected a list of videos as UTF-8 text, found"
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: expected a list of videos, found no file; correct 'splits' or 'lists'; "
            "paths are relative to the folder where snakemake runs"
        ) from error
    except OSError as error:
        raise UserError(f"{expected} {error.strerror}; name a file that can be read") from error
    # Windows editors start a text with a byte order mark.
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start)
        line = content.split(b"\n")[number][:99].decode("latin-1").encode("unicode_escape").decode()
        raise UserError(
            f"{expected} other bytes in line {number + 1} ('{line}'); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise UserError(
            f"{expected} zero bytes, as in UTF-16 or binary files; save it as UTF-8 text"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path}: expected a name on every line, found none; get the list again")
    return lines


def join_examples(names: Sequence[str]) -> str:
    """Join the first five names, in quotes."""
    return ", ".join(f"'{name}'" for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _normalise(name: str) -> str:
    """Normalise a name for comparison: slashes, Unicode and letter case."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _unquote(text: str) -> str:
    """Strip white space and one pair of quotes."""
    text = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if is_quoted else text


def _is_path(text: str) -> bool:
    return re.search(r"[/\\]", text) is not None or _SUFFIX.search(text) is not None


def _kinetics_names(fields: Sequence[str]) -> Iterator[str]:
    """Yield Kinetics file names, id_000001_000011, from the fields id, start and end (seconds)."""
    integers = [field for field in fields if re.fullmatch(r"\d{1,6}(\.0)?", field)]
    seconds = [int(float(field)) for field in integers[:2]]
    if len(seconds) == 2:
        yield from ("_".join([field, *(f"{s:06}" for s in seconds)]) for field in fields if field)


def _is_header(line: str) -> bool:
    words = {_unquote(word).lower() for word in re.split(r"[,;\t ]+", line)}
    return not _is_path(line) and bool(words & _HEADER)
