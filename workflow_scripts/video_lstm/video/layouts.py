"""Find the files, classes, groups and splits of a data set of any kind."""

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
    """The files of a data set with classes and splits, found without opening any file."""

    entries: list[Entry]
    """Files, sorted by path."""
    classes: list[str]
    """Class names in the order of their labels."""
    assignments: list[tuple[int, ...]]
    """Part of every entry in every split: `UNUSED`, `TRAIN` or `TEST`."""
    notes: list[str] = field(default_factory=list)
    """Warnings about the data set."""


def find_videos(source: VideoSource, seed: int, usable: Container[str] | None = None) -> Layout:
    """Find the files, classes, groups and splits of a data set.

    Args:
        source: Kind, root and splits of the data set.
        seed: Random seed for splits that are drawn.
        usable: Paths of the files that can be used; splits are drawn over these. None: not known.

    Raises:
        UserError: The root or a list is missing or empty, a list names files that do not exist, or
            the splits do not fit the files.
    """
    root = Path(source.root)
    require_folder(root)
    finders: dict[str, Callable[[VideoSource, Path, int, Container[str] | None], Layout]] = {
        "folders": _find_folders,
        "ucf101": _find_ucf101,
        "hmdb51": _find_hmdb51,
        "unlabelled": _find_unlabelled,
    }
    layout = finders[source.kind](source, root, seed, usable)
    if not layout.entries:
        is_labelled = source.kind != "unlabelled"
        expected = "a folder for each class, with videos" if is_labelled else "videos"
        raise UserError(
            f"{root}: expected {expected}, found none; set 'root' to where they are"
            + "".join(f" ({note})" for note in layout.notes)
        )
    if len(layout.classes) == 1:
        raise UserError(
            f"{root}: expected two classes or more to tell apart, found '{layout.classes[0]}' "
            "alone; set 'root' to the folder that holds the classes' folders"
        )
    if source.kind != "unlabelled":
        layout.notes.extend(_note_ignored_paths(source, layout.entries))
    return layout


def find_lists(source: VideoSource) -> list[Path]:
    """Return the lists that the classes and splits of a data set are read from.

    Raises:
        UserError: The official lists are missing.
    """
    if source.kind in _OFFICIAL_LISTS:
        return sorted(_find_lists_folder(source).glob("*.txt"))
    if source.kind == "folders" and source.splits.by == "list":
        return [Path(name) for name in (*source.splits.train, *source.splits.test)]
    return []


def _find_unlabelled(
    source: VideoSource, root: Path, seed: int, usable: Container[str] | None
) -> Layout:
    entries = find_files(root, False, source.follow_links)
    return Layout(entries, [], [() for _ in entries])


def _find_folders(
    source: VideoSource, root: Path, seed: int, usable: Container[str] | None
) -> Layout:
    entries = find_files(root, True, source.follow_links)
    classes = sorted({entry.class_name for entry in entries})
    _refuse_split_folders(root, classes)
    settings = source.splits
    notes: list[str] = []
    if settings.by == "group":
        entries = [
            Entry(e.path, e.class_name, _find_group(e.path, settings.pattern), e.refusal)
            for e in entries
        ]
        _require_groups([e for e in entries if _is_usable(e, usable)], settings.pattern, usable)
    # Only usable videos are drawn, and only they count for a fraction.
    candidates = [
        e for e in entries if _is_usable(e, usable) and (e.group or settings.by != "group")
    ]
    if settings.by == "list":
        candidates = entries
        lists = list(map(Path, settings.train)), list(map(Path, settings.test))
        assignments = splits.split_by_list([entry.path for entry in entries], *lists, usable, notes)
    elif settings.by == "group":
        all_groups = [entry.group for entry in entries if entry.group]
        assignments = splits.split_by_group(
            [entry.group for entry in candidates],
            settings.test_groups,
            settings.num_splits,
            seed,
            all_groups,
        )
    else:
        class_paths = [(entry.class_name, entry.path) for entry in candidates]
        assignments = splits.split_by_fraction(
            class_paths, settings.test_fraction, settings.num_splits, seed
        )
    parts = dict(zip((entry.path for entry in candidates), assignments, strict=True))
    unused = (UNUSED,) * len(next(iter(assignments), ()))
    return Layout(entries, classes, [parts.get(e.path, unused) for e in entries], notes)


def _note_ignored_paths(source: VideoSource, entries: list[Entry]) -> list[str]:
    """Note files outside the class folders, and folders without videos."""
    folders, files = list_root(Path(source.root))
    with_videos = {entry.path.split("/")[0] for entry in entries}
    empty = [name for name in folders if name not in with_videos]
    notes = []
    if files:
        notes.append(f"{len(files)} files in no class's folder, left out: {join_examples(files)}")
    if empty and source.kind == "folders":  # missing official classes have a note already
        notes.append(f"{len(empty)} folders without videos, no classes: {join_examples(empty)}")
    return notes


_SPLIT_PART = re.compile(
    r"(.*[-_. ])?(train(ing|val)?|val(id(ation)?)?|test(ing)?|eval(uation)?|dev(elopment)?"
    r"|held[-_ ]?out|hold[-_ ]?out)([-_. ]?(set|split|videos?|data|full|mini|\d+))*",
    re.IGNORECASE,
)


def _refuse_split_folders(root: Path, classes: list[str]) -> None:
    """Raise a UserError if the folders are parts of a split, not classes."""
    parts: dict[str, dict[str, str]] = {}  # prefix of the word -> folder -> word
    for name in classes:
        if match := _SPLIT_PART.fullmatch(name):
            prefix = re.sub(r"\d", "", match[1] or "").lower()
            parts.setdefault(prefix, {})[name] = match[2].lower()
    for words in parts.values():
        kinds = {word[:2] for word in words.values()}
        if len(kinds) > 1 and ("tr" in kinds or len(words) == len(classes)):
            raise UserError(
                f"{root}: expected a folder for each class, found the parts of a split "
                f"({', '.join(words)}); set 'root' to a folder in which all videos of a class are "
                "in one folder (symbolic links work with follow_links), and define the split by "
                "lists, splits: {by: list}"
            )


def _is_usable(entry: Entry, usable: Container[str] | None) -> bool:
    return not entry.refusal if usable is None else entry.path in usable


def _find_ucf101(
    source: VideoSource, root: Path, seed: int, usable: Container[str] | None
) -> Layout:
    lists = _find_lists_folder(source)
    classes = splits.read_ucf101_classes(lists)
    entries = [
        # `v_Archery_g07_c02`: clips of a class with the same g number are from the same film.
        Entry(e.path, e.class_name, _find_film(e, r"_(g\d+)_c\d+", f"{e.class_name}/"), e.refusal)
        for e in _find_official(source, root, classes)
    ]
    assignments, notes = splits.split_ucf101([e.path for e in entries], classes, lists, usable)
    return _select_official(entries, classes, assignments, notes)


def _find_hmdb51(
    source: VideoSource, root: Path, seed: int, usable: Container[str] | None
) -> Layout:
    lists = _find_lists_folder(source)
    classes = splits.list_hmdb51_classes(lists)
    entries = [
        # `FILM_CLASS_f_cm_np1_...`: the film is named before the class.
        Entry(e.path, e.class_name, _find_film(e, rf"^(.*)_{re.escape(e.class_name)}_"), e.refusal)
        for e in _find_official(source, root, classes)
    ]
    assignments, notes = splits.split_hmdb51([e.path for e in entries], classes, lists, usable)
    return _select_official(entries, classes, assignments, notes)


def _find_official(source: VideoSource, root: Path, classes: list[str]) -> list[Entry]:
    """Find the files, each with the first folder of its path that is an official class.

    The archives unpack into nested folders: UCF-101/UCF-101, CLASS/CLASS.
    """
    official_names = {name.casefold(): name for name in classes}
    entries = []
    for e in find_files(root, True, source.follow_links):
        folders = [official_names.get(name.casefold()) for name in e.path.split("/")[:-1]]
        name = next((name for name in folders if name), e.class_name)
        entries.append(Entry(e.path, name, e.group, e.refusal))
    return entries


def _select_official(
    entries: list[Entry], classes: list[str], assignments: list[tuple[int, ...]], notes: list[str]
) -> Layout:
    """Leave out folders that are not official classes, and classes without a folder."""
    remaining = [
        (entry, parts)
        for entry, parts in zip(entries, assignments, strict=True)
        if entry.class_name in classes
    ]
    other_folders = sorted({entry.class_name for entry in entries} - set(classes))
    if other_folders:
        notes = [*notes, f"no official class, left out: {', '.join(other_folders)}"]
    present = {entry.class_name for entry, _ in remaining}
    return Layout(
        [entry for entry, _ in remaining],
        [name for name in classes if name in present],
        [parts for _, parts in remaining],
        notes,
    )


_OFFICIAL_LISTS = {
    "ucf101": ("ucfTrainTestlist", "classInd.txt"),
    "hmdb51": ("testTrainMulti_7030_splits", "*_test_split1.txt"),
}
"""Folder that the download unpacks to, and a pattern of a file in it."""


def _find_lists_folder(source: VideoSource) -> Path:
    """Return the folder of the official lists: as set, or where the download unpacks."""
    root, (default_name, pattern) = Path(source.root), _OFFICIAL_LISTS[source.kind]
    if source.lists is not None:
        folders = [Path(source.lists)]
    else:
        folders = [root.parent / default_name, root / default_name, root.parent, root]
    for folder in folders:
        if any(folder.glob(pattern)):
            return folder
    raise UserError(
        f"{folders[0]}: expected the official lists of {source.kind} ({pattern}, ...), found none; "
        "unpack them there or set 'lists' to their folder"
    )


def _find_group(path: str, pattern: str) -> str:
    """Return the group that a pattern finds in a file name; empty if there is none."""
    match = re.search(pattern, path.rsplit("/", 1)[-1])
    return (match["group"] or "") if match else ""


def _require_groups(entries: list[Entry], pattern: str, usable: Container[str] | None) -> None:
    """Raise a UserError if a video has no group; files that cannot be used need none."""
    without_group = [entry.path for entry in entries if not entry.group]
    if without_group and (usable is not None or len(without_group) == len(entries)):
        raise UserError(
            f"splits.pattern: expected '{pattern}' to find a group in every file's name, found "
            f"none in '{without_group[0]}'; correct the pattern or move the file out"
        )


def _find_film(entry: Entry, pattern: str, prefix: str = "") -> str:
    """Return the film that a file name starts with or numbers; empty if it has none."""
    match = re.search(pattern, entry.path.rsplit("/", 1)[-1])
    return f"{prefix}{match[1]}" if match else ""
