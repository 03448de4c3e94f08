"""Find the files of a data set: what lies where in `folders`, `ucf101`, `hmdb51`, `unlabelled`."""

import re
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path

from video_lstm.errors import UserError
from video_lstm.settings.videos import VideoSource
from video_lstm.video import splits
from video_lstm.video.file_scan import Entry, find_files, list_root, require_folder
from video_lstm.video.split_parts import UNUSED
from video_lstm.video.video_lists import join_examples


@dataclass(frozen=True)
class Layout:
    """A data set before any file was opened."""

    entries: list[Entry]
    """Sorted by path."""
    classes: list[str]
    """In the order of their labels."""
    assignments: list[tuple[int, ...]]
    """For every entry, its part in every split: 0 unused, 1 training, 2 test."""
    notes: list[str] = field(default_factory=list)
    """What a person should know."""


def find_videos(source: VideoSource, seed: int, usable: Container[str] | None = None) -> Layout:
    """Files, classes, groups and splits of a data set.

    Args:
        source: kind, root and splits of the data set.
        seed: Random seed for splits that are drawn.
        usable: paths of the files that can be used, which splits are drawn over; None: not known.

    Raises:
        UserError: the root or a list is missing or empty, a list names files that are not there, or
            the splits do not fit the files.
    """
    root = Path(source.root)
    require_folder(root)
    find: dict[str, Callable[[VideoSource, Path, int, Container[str] | None], Layout]] = {
        "folders": _folders,
        "ucf101": _ucf101,
        "hmdb51": _hmdb51,
        "unlabelled": _unlabelled,
    }
    layout = find[source.kind](source, root, seed, usable)
    if not layout.entries:
        wanted = "videos" if source.kind == "unlabelled" else "a folder for each class, with videos"
        raise UserError(
            f"{root}: expected {wanted}, found none; set 'root' to where they are"
            + "".join(f" ({note})" for note in layout.notes)
        )
    if len(layout.classes) == 1:
        raise UserError(
            f"{root}: expected two classes or more to tell apart, found '{layout.classes[0]}' "
            "alone; set 'root' to the folder that holds the classes' folders"
        )
    if source.kind != "unlabelled":
        layout.notes.extend(_outside_classes(source, layout.entries))
    return layout


def list_files(source: VideoSource) -> list[Path]:
    """The lists that classes and splits of a data set are read from.

    Raises:
        UserError: there should be official lists, and are none.
    """
    if source.kind in _OFFICIAL_LISTS:
        return sorted(_lists_folder(source).glob("*.txt"))
    if source.kind == "folders" and source.splits.by == "list":
        return [Path(name) for name in (*source.splits.train, *source.splits.test)]
    return []


def _unlabelled(
    source: VideoSource, root: Path, seed: int, usable: Container[str] | None
) -> Layout:
    entries = find_files(root, False, source.follow_links)
    return Layout(entries, [], [() for _ in entries])


def _folders(source: VideoSource, root: Path, seed: int, usable: Container[str] | None) -> Layout:
    entries = find_files(root, True, source.follow_links)
    classes = sorted({entry.class_name for entry in entries})
    _refuse_parts(root, classes)
    how = source.splits
    notes: list[str] = []
    if how.by == "group":
        entries = [
            Entry(e.path, e.class_name, _named_group(e.path, how.pattern), e.refusal)
            for e in entries
        ]
        _require_groups([e for e in entries if _is_usable(e, usable)], how.pattern, usable)
    # What cannot be used is not drawn, nor counted where a share is.
    candidates = [e for e in entries if _is_usable(e, usable) and (e.group or how.by != "group")]
    if how.by == "list":
        candidates, lists = entries, (list(map(Path, how.train)), list(map(Path, how.test)))
        assignments = splits.by_list([entry.path for entry in entries], *lists, usable, notes)
    elif how.by == "group":
        known = [entry.group for entry in entries if entry.group]
        assignments = splits.by_group(
            [e.group for e in candidates], how.test_groups, how.num_splits, seed, known
        )
    else:
        members = [(entry.class_name, entry.path) for entry in candidates]
        assignments = splits.by_fraction(members, how.test_fraction, how.num_splits, seed)
    parts = dict(zip((entry.path for entry in candidates), assignments, strict=True))
    unused = (UNUSED,) * len(next(iter(assignments), ()))
    return Layout(entries, classes, [parts.get(e.path, unused) for e in entries], notes)


def _outside_classes(source: VideoSource, entries: list[Entry]) -> list[str]:
    """Notes on files beside the folders of the classes, and on folders without videos."""
    folders, files = list_root(Path(source.root))
    with_videos = {entry.path.split("/")[0] for entry in entries}
    without = [name for name in folders if name not in with_videos]
    notes = []
    if files:
        notes.append(f"{len(files)} files in no class's folder, left out: {join_examples(files)}")
    if without and source.kind == "folders":  # of official classes it is told already
        notes.append(f"{len(without)} folders without videos, no classes: {join_examples(without)}")
    return notes


_PART = re.compile(
    r"(.*[-_. ])?(train(ing|val)?|val(id(ation)?)?|test(ing)?|eval(uation)?|dev(elopment)?"
    r"|held[-_ ]?out|hold[-_ ]?out)([-_. ]?(set|split|videos?|data|full|mini|\d+))*",
    re.IGNORECASE,
)


def _refuse_parts(root: Path, classes: list[str]) -> None:
    """Folders of training and test videos above those of the classes are no classes."""
    parts: dict[str, dict[str, str]] = {}  # by what stands before the word: name -> word
    for name in classes:
        if match := _PART.fullmatch(name):
            prefix = re.sub(r"\d", "", match[1] or "").lower()
            parts.setdefault(prefix, {})[name] = match[2].lower()
    for words in parts.values():
        kinds = {word[:2] for word in words.values()}
        if len(kinds) > 1 and ("tr" in kinds or len(words) == len(classes)):
            raise UserError(
                f"{root}: expected a folder for each class, found the parts of a split "
                f"({', '.join(words)}); set 'root' to a folder in which all videos of a class lie "
                "in one folder (links will do, with follow_links), and name the parts by lists, "
                "splits: {by: list}"
            )


def _is_usable(entry: Entry, usable: Container[str] | None) -> bool:
    return not entry.refusal if usable is None else entry.path in usable


def _ucf101(source: VideoSource, root: Path, seed: int, usable: Container[str] | None) -> Layout:
    lists = _lists_folder(source)
    classes = splits.ucf101_classes(lists)
    entries = [
        # `v_Archery_g07_c02`: the clips of one number in a class were cut from the same film.
        Entry(e.path, e.class_name, _film(e, r"_(g\d+)_c\d+", f"{e.class_name}/"), e.refusal)
        for e in _find_official(source, root, classes)
    ]
    assignments, notes = splits.ucf101([e.path for e in entries], classes, lists, usable)
    return _official(entries, classes, assignments, notes)


def _hmdb51(source: VideoSource, root: Path, seed: int, usable: Container[str] | None) -> Layout:
    lists = _lists_folder(source)
    classes = splits.hmdb51_classes(lists)
    entries = [
        # `FILM_CLASS_f_cm_np1_...`: what stands before the class is the film.
        Entry(e.path, e.class_name, _film(e, rf"^(.*)_{re.escape(e.class_name)}_"), e.refusal)
        for e in _find_official(source, root, classes)
    ]
    assignments, notes = splits.hmdb51([e.path for e in entries], classes, lists, usable)
    return _official(entries, classes, assignments, notes)


def _find_official(source: VideoSource, root: Path, classes: list[str]) -> list[Entry]:
    """The files, with the official class of each: the first folder of its path that is one.

    Archives are unpacked into folders of their own: UCF-101/UCF-101, CLASS/CLASS.
    """
    known = {name.casefold(): name for name in classes}
    entries = []
    for e in find_files(root, True, source.follow_links):
        folders = [known.get(name.casefold()) for name in e.path.split("/")[:-1]]
        name = next((name for name in folders if name), e.class_name)
        entries.append(Entry(e.path, name, e.group, e.refusal))
    return entries


def _official(
    entries: list[Entry], classes: list[str], assignments: list[tuple[int, ...]], notes: list[str]
) -> Layout:
    """Leave out folders that are no class, and classes that have no folder."""
    remaining = [
        (entry, mark)
        for entry, mark in zip(entries, assignments, strict=True)
        if entry.class_name in classes
    ]
    others = sorted({entry.class_name for entry in entries} - set(classes))
    if others:
        notes = [*notes, f"no official class, left out: {', '.join(others)}"]
    present = {entry.class_name for entry, _ in remaining}
    return Layout(
        [entry for entry, _ in remaining],
        [name for name in classes if name in present],
        [mark for _, mark in remaining],
        notes,
    )


_OFFICIAL_LISTS = {
    "ucf101": ("ucfTrainTestlist", "classInd.txt"),
    "hmdb51": ("testTrainMulti_7030_splits", "*_test_split1.txt"),
}
"""The folder that a download unpacks to, and a file that is in it."""


def _lists_folder(source: VideoSource) -> Path:
    """Where the official lists are: as set, or where the download unpacks."""
    root, (usual, sample) = Path(source.root), _OFFICIAL_LISTS[source.kind]
    if source.lists is not None:
        places = [Path(source.lists)]
    else:
        places = [root.parent / usual, root / usual, root.parent, root]
    for place in places:
        if any(place.glob(sample)):
            return place
    raise UserError(
        f"{places[0]}: expected the official lists of {source.kind} ({sample}, ...), found none; "
        "unpack them there or set 'lists' to their folder"
    )


def _named_group(path: str, pattern: str) -> str:
    match = re.search(pattern, path.rsplit("/", 1)[-1])
    return (match["group"] or "") if match else ""


def _require_groups(entries: list[Entry], pattern: str, usable: Container[str] | None) -> None:
    """Every video needs a group; what is no video needs none, where that is known."""
    lacking = [entry.path for entry in entries if not entry.group]
    if lacking and (usable is not None or len(lacking) == len(entries)):
        raise UserError(
            f"splits.pattern: expected '{pattern}' to find a group in every file's name, found "
            f"none in '{lacking[0]}'; mend the pattern or move the file out"
        )


def _film(entry: Entry, pattern: str, prefix: str = "") -> str:
    match = re.search(pattern, entry.path.rsplit("/", 1)[-1])
    return f"{prefix}{match[1]}" if match else ""
