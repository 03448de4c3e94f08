"""Read lists of videos as people have them, and find the files that their lines mean.

A line is a path below the root, as it is or with what other programs add: a number of frames or a
label, commas, quotes, backslashes, the root's own folder or an absolute path before it, another
ending than the file has, or none. What may mean two files is refused.
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

_ENDING = re.compile(r"\.([a-z]\w{1,4}|3gp|3g2)$", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+([.,:]\d+)*")
_HEADER = {"path", "file", "files", "filename", "file_name", "filepath", "file_path", "video",
           "videos", "video_path", "video_name", "video_id", "youtube_id", "name", "id", "clip",
           "label", "class"}  # fmt: skip
"""Words of a first line that names columns; one of them is enough."""


class FileNames:
    """The files of a data set, to be found by what lists call them.

    Args:
        paths: Paths of the files, relative to the root.
        classes: names of the classes; folders above a class's own do not count.
        usable: those of the paths that can be used, which are meant where names fit several; None:
            not known, and any is taken.
    """

    def __init__(
        self, paths: Iterable[str], classes: Iterable[str], usable: Container[str] | None = None
    ) -> None:
        self._classes = {_folded(name) for name in classes}
        self._usable = usable
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._folded: dict[str, list[str]] = defaultdict(list)
        self._without_ending: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            self._exact[unicodedata.normalize("NFC", path)].append(path)
            key = self._key(path)
            # By the class's folder and all below it; and by the file's name alone.
            for name in {key, key.rsplit("/", 1)[-1]}:
                self._folded[name].append(path)
                self._without_ending[_ENDING.sub("", name)].append(path)

    def find(self, line: str) -> str | None:
        """The path of the file that a line of a list means; None where there is none.

        Raises:
            UserError: two usable files or more fit.
        """
        # As it is, and with escapes as in an address: %20.
        for text in dict.fromkeys((line, unquote(line))):
            for name in dict.fromkeys(self._names(text)):
                path = self._look_up(name)
                if path is not None:
                    return path
        return None

    def other_class(self, line: str, path: str) -> str | None:
        """The class that a line names beside the path of a file of another class, if it does."""
        words = map(_unquoted, re.split(r"[,;\t|]|\s+(?=\S+$)", line))
        named = {_folded(word) for word in words if not _is_path(word)} & self._classes
        return min((name for name in named if name not in _folded(path)), default=None)

    def _look_up(self, name: str) -> str | None:
        name = unicodedata.normalize("NFC", posixpath.normpath(name.replace("\\", "/")))
        if name in self._exact:
            return self._only(self._exact[name], name)
        for key in self._keys(name):
            tables = (
                (self._folded, key),
                (self._without_ending, key),
                (self._without_ending, _ENDING.sub("", key)),
            )
            for table, wanted in tables:
                if wanted in table:
                    return self._only(table[wanted], name)
        return None

    def _only(self, paths: list[str], name: str) -> str:
        if self._usable is not None and len(paths) > 1:
            paths = [path for path in paths if path in self._usable] or paths[:1]
        if self._usable is not None and len(paths) > 1:
            raise UserError(
                f"expected one file that '{name}' means, found {join_examples(paths)}; remove one, "
                "or list "
                "paths relative to the root"
            )
        return paths[0]

    def _key(self, path: str) -> str:
        """A path in small letters from the folder of the class on, doubled folders once."""
        *folders, name = _folded(path).split("/")
        first = next((n for n, folder in enumerate(folders) if folder in self._classes), 0)
        folders = folders[first:]
        once = [f for n, f in enumerate(folders) if n == 0 or f != folders[n - 1]]
        return "/".join([*once, name])

    def _keys(self, name: str) -> Iterator[str]:
        """What a name of a list may be known by."""
        yield self._key(name)
        if re.match(r"/|[a-zA-Z]:/", name):  # a folder above the root may be called as a class is
            parts = _folded(name).split("/")
            for n, part in enumerate(parts[:-1]):
                if part in self._classes:
                    yield self._key("/".join(parts[n:]))

    def _names(self, line: str) -> Iterator[str]:
        """What of a line may be the file's name, the likeliest first."""
        yield line
        yield _unquoted(line)
        for delimiter in ",;\t|":
            if delimiter in line:
                try:
                    reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
                    fields = [_unquoted(field) for field in next(reader)]
                except (csv.Error, StopIteration):
                    continue
                names = [field for field in fields if _is_path(field)]
                if not names:
                    names = [field for field in fields if not self._is_label(field)] or fields
                for name in names[:1]:
                    yield from self._in_class(name, fields)
                yield from _kinetics_names(fields)
        for blank in reversed(list(re.finditer(r"\s+", line))):
            before, after = _unquoted(line[: blank.start()]), line[blank.end() :]
            if _ENDING.search(before) or all(map(self._is_label, after.split())):
                yield from self._in_class(before, after.split())
            if all(map(self._is_label, before.split())):
                yield from self._in_class(_unquoted(after), before.split())

    def _in_class(self, name: str, words: Iterable[str]) -> Iterator[str]:
        """A name, before it the name in the folder of the class that stands beside it."""
        if "/" not in name and "\\" not in name:
            yield from (f"{word}/{name}" for word in words if _folded(word) in self._classes)
        yield name

    def _is_label(self, word: str) -> bool:
        return _NUMBER.fullmatch(word) is not None or _folded(word) in self._classes


def find_listed(
    source: Path, lines: Sequence[str], names: FileNames, folder: str = ""
) -> tuple[list[str | None], list[str]]:
    """The files that the lines of a list mean.

    Args:
        source: the list.
        lines: its lines.
        names: the files that are there.
        folder: the folder of lines that name none.

    Returns:
        The path of each line, None where there is no such file; a note on these.

    Raises:
        UserError: no line, or a line that means two files.
    """
    matches, missing, elsewhere = [], [], []
    for number, line in enumerate(lines):
        bare = folder and not re.search(r"[/\\]", line)
        try:
            path = names.find(f"{folder}/{line}" if bare else line)
        except UserError as error:
            raise UserError(f"{source}: line '{line[:200]}': {error}") from error
        matches.append(path)
        is_comment = re.match(r"#(\s|$)", line) or (number == 0 and _is_header(line))
        if path is None and not is_comment:
            missing.append(line[:200])
        elif path is not None and names.other_class(line, path):
            elsewhere.append(line[:200])
    outcome = f"found {len(missing)} of {len(lines)} missing: {join_examples(missing)}"
    if missing and not any(matches):
        raise UserError(
            f"{source}: expected every file that it lists below the data set's root, {outcome}; "
            "looked for these paths below the root, one a line, in any letter case and with any "
            "ending; complete the files or the list"
        )
    notes = [f"{source}: {outcome}; left out"] if missing else []
    if elsewhere:
        notes.append(
            f"{source}: {len(elsewhere)} lines name another class than that of the file's folder, "
            f"which counts: {join_examples(elsewhere)}"
        )
    return matches, notes


def read_lines(path: Path) -> list[str]:
    """Lines of a list that are not blank, without the blanks around them.

    Raises:
        UserError: there is no such file, or no text in it.
    """
    wanted = f"{path}: expected a list of videos as UTF-8 text, found"
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: expected a list of videos, found no file; correct 'splits' or 'lists', where "
            "paths count from where snakemake runs"
        ) from error
    except OSError as error:
        raise UserError(f"{wanted} {error.strerror}; name a file that can be read") from error
    # Windows marks its texts by their first bytes.
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start)
        line = content.split(b"\n")[number][:99].decode("latin-1").encode("unicode_escape").decode()
        raise UserError(
            f"{wanted} other bytes in line {number + 1} ('{line}'); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise UserError(
            f"{wanted} zero bytes, as in UTF-16 or what is no text; save it as UTF-8 text"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path}: expected a name on every line, found none; get the list again")
    return lines


def join_examples(names: Sequence[str]) -> str:
    """The first few of names, in quotes."""
    return ", ".join(f"'{name}'" for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _unquoted(text: str) -> str:
    text = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if is_quoted else text


def _is_path(text: str) -> bool:
    return re.search(r"[/\\]", text) is not None or _ENDING.search(text) is not None


def _kinetics_names(fields: Sequence[str]) -> Iterator[str]:
    """Names of Kinetics, where fields are a label, an id, and seconds: id_000001_000011."""
    whole = [field for field in fields if re.fullmatch(r"\d{1,6}(\.0)?", field)]
    seconds = [int(float(field)) for field in whole[:2]]
    if len(seconds) == 2:
        yield from ("_".join([field, *(f"{s:06}" for s in seconds)]) for field in fields if field)


def _is_header(line: str) -> bool:
    words = {_unquoted(word).lower() for word in re.split(r"[,;\t ]+", line)}
    return not _is_path(line) and bool(words & _HEADER)
