"""Divide videos into training and test: at random, by group, or from lists.

All functions return, for every video in the order of the input, its part in every split.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from video_lstm.errors import UserError
from video_lstm.video.split_parts import TEST, TRAIN, UNUSED
from video_lstm.video.video_lists import FileNames, find_listed, join_examples, read_lines

SplitAssignments = list[tuple[int, ...]]


def split_by_fraction(
    class_paths: Sequence[tuple[str, str]], fraction: float, num_splits: int, seed: int
) -> SplitAssignments:
    """Draw a fraction of the videos of every class for testing.

    The order of a class's videos depends on the seed and their names only, so that adding or
    removing a video changes the part of few others.

    Args:
        class_paths: Class and path of every video.
        fraction: Fraction of test videos; each class has at least one test and one training video.
        num_splits: Number of splits.
        seed: Random seed for drawing videos.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for name, path in class_paths:
        classes[name].append(path)
    columns = []
    for split in range(num_splits):
        test_paths: set[str] = set()
        for paths in classes.values():
            num_test = max(1, min(len(paths) - 1, math.floor(fraction * len(paths) + 0.5)))
            test_paths.update(_shuffle(paths, seed, split)[:num_test])
        columns.append([TEST if path in test_paths else TRAIN for _, path in class_paths])
    return list(zip(*columns, strict=True))


def split_by_group(
    groups: Sequence[str],
    test_groups: list[list[str]] | int,
    num_splits: int,
    seed: int,
    all_groups: Iterable[str] = (),
) -> SplitAssignments:
    """Divide whole groups, such as subjects, into training and test.

    Args:
        groups: Group of every video.
        test_groups: Test groups of every split; or the number of test groups in each of
            ``num_splits`` splits, taken in turn from one random order, so that all groups are
            tested about equally often.
        num_splits: Number of splits, used if ``test_groups`` is a number.
        seed: Random seed for the order of groups.
        all_groups: Further names that ``test_groups`` may have: groups without usable videos.

    Raises:
        UserError: A test group has no video, or no group remains for training.
    """
    names = sorted(set(groups))
    if isinstance(test_groups, int):
        size = test_groups
        if size >= len(names):
            raise UserError(
                f"splits.test_groups: expected fewer test groups than there are ({len(names)}), "
                f"found {size}; lower it"
            )
        order = _shuffle(names, seed, 0)
        test_groups = [
            [order[(split * size + i) % len(order)] for i in range(size)]
            for split in range(num_splits)
        ]
    unknown = sorted({name for split in test_groups for name in split} - {*names, *all_groups})
    if unknown:
        raise UserError(
            "splits.test_groups: expected groups that the file names have "
            f"({', '.join(names[:20])}), found {', '.join(unknown)}; correct the names or the "
            "pattern"
        )
    return [tuple(TEST if group in split else TRAIN for split in test_groups) for group in groups]


def split_by_list(
    paths: Sequence[str],
    train: list[Path],
    test: list[Path],
    usable: Container[str] | None = None,
    notes: list[str] | None = None,
) -> SplitAssignments:
    """Read splits from files with a video on every line; see `video_lstm.video.video_lists`.

    Args:
        paths: Paths of all videos, relative to the root.
        train: List of training videos for each split.
        test: List of test videos for each split.
        usable: Paths of the videos that can be used; None: not known.
        notes: Warnings are appended to this list.

    Raises:
        UserError: A list is missing, none of its files exists, or a video is both a training and a
            test video of a split.
    """
    names = FileNames(paths, {path.split("/")[0] for path in paths}, usable)
    notes = [] if notes is None else notes
    columns = [_read_split(paths, names, *lists, notes) for lists in zip(train, test, strict=True)]
    return list(zip(*columns, strict=True))


def read_ucf101_classes(lists: Path) -> list[str]:
    """Read UCF-101's classes in the order of their labels, from classInd.txt.

    A line is a number and a class (``1 ApplyEyeMakeup``), in either order and with or without
    commas; the number may be missing.

    Raises:
        UserError: A line has no class, or two lines have the same class.
    """
    source = lists / "classInd.txt"
    classes = [_parse_class_line(line, source) for line in read_lines(source)]
    (duplicate, count), *_ = Counter(name.casefold() for _, name in classes).most_common(1)
    if count > 1:
        raise UserError(
            f"{source}: expected each class on one line, found '{duplicate}' on {count}; remove one"
        )
    if all(number is not None for number, _ in classes):
        classes.sort()
    return [name for _, name in classes]


def _parse_class_line(line: str, source: Path) -> tuple[int | None, str]:
    """Return the number of a class, None if there is none, and its name."""
    # `1. Archery` and `1) Archery` are valid too.
    words = [
        word for word in re.split(r"""[\s,;:"'|]+""", re.sub(r"^(\d+)[.)]\s", r"\1 ", line)) if word
    ]
    numbers = [int(word) for word in words if word.isdecimal()]
    names = [word for word in words if not word.isdecimal()]
    if len(names) != 1 or len(numbers) > 1:
        raise UserError(
            f"{source}: expected lines of a number and a class, such as '1 ApplyEyeMakeup', found "
            f"'{line}'; take the official list"
        )
    return (numbers[0] if numbers else None), names[0]


def split_ucf101(
    paths: Sequence[str], classes: list[str], lists: Path, usable: Container[str] | None = None
) -> tuple[SplitAssignments, list[str]]:
    """Read the three official splits of UCF-101; return them and notes on missing videos.

    Letter case is ignored, because the archive and the lists spell some names differently
    (HandstandPushups). Classes without a folder are left out, with a note.
    """
    missing_classes, notes = _find_missing_classes(paths, classes)
    names = FileNames(paths, classes, usable)
    columns = []
    for split in (1, 2, 3):
        train, test = lists / f"trainlist0{split}.txt", lists / f"testlist0{split}.txt"
        columns.append(_read_split(paths, names, train, test, notes, missing_classes))
    return list(zip(*columns, strict=True)), notes


def list_hmdb51_classes(lists: Path) -> list[str]:
    """List HMDB-51's classes in alphabetical order, by the names of the official lists."""
    suffix = "_test_split1.txt"
    return sorted(path.name.removesuffix(suffix) for path in lists.glob(f"*{suffix}"))


def split_hmdb51(
    paths: Sequence[str], classes: list[str], lists: Path, usable: Container[str] | None = None
) -> tuple[SplitAssignments, list[str]]:
    """Read the three official splits of HMDB-51; return them and notes on missing videos.

    Classes without a folder are left out, with a note.
    """
    missing_classes, notes = _find_missing_classes(paths, classes)
    names = FileNames(paths, classes, usable)
    columns = []
    for split in (1, 2, 3):
        assignments: dict[str, int] = {}
        for name in classes:
            if name.casefold() in missing_classes:
                continue
            source = lists / f"{name}_test_split{split}.txt"
            listed = [_parse_hmdb51_line(line, source) for line in read_lines(source)]
            matches, missing_notes = find_listed(
                source, [file for file, _ in listed], names, folder=name
            )
            notes += missing_notes
            assignments |= {
                path: part
                for path, (_, part) in zip(matches, listed, strict=True)
                if path is not None
            }
        columns.append([assignments.get(path, UNUSED) for path in paths])
    return list(zip(*columns, strict=True)), notes


def _find_missing_classes(paths: Sequence[str], classes: list[str]) -> tuple[set[str], list[str]]:
    """Return the classes without a folder, in lower case, and a note that names them."""
    folders = {folder for path in paths for folder in path.casefold().split("/")[:-1]}
    missing = [name for name in classes if name.casefold() not in folders]
    notes = []
    if missing:
        examples = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        notes = [
            f"only {len(classes) - len(missing)} of the {len(classes)} official classes are there "
            f"(missing: {examples}); the rest runs on that part"
        ]
    return {name.casefold() for name in missing}, notes


def _read_split(
    paths: Sequence[str],
    names: FileNames,
    train: Path,
    test: Path,
    notes: list[str],
    missing_classes: Container[str] = (),
) -> list[int]:
    """Return the part of every video in the split of two lists; note missing videos."""
    listed_paths = []
    for source in (train, test):
        lines = [
            line
            for line in read_lines(source)
            if not any(
                folder in missing_classes for folder in re.split(r"[/\\]", line.casefold())[:-1]
            )
        ]
        matches, missing_notes = find_listed(source, lines, names)
        notes += missing_notes
        listed_paths.append(set(matches) - {None})
    both = sorted(listed_paths[0] & listed_paths[1])
    if both:
        raise UserError(
            f"{test}: expected no video of {train.name}, found {join_examples(both)}; a test video "
            "must not be used for training: remove it from one list"
            + "".join(f" ({note})" for note in notes)
        )
    train_paths, test_paths = listed_paths
    return [TRAIN if p in train_paths else TEST if p in test_paths else UNUSED for p in paths]


def _parse_hmdb51_line(line: str, source: Path) -> tuple[str, int]:
    """Return the file name and the part (0, 1 or 2) of a line of HMDB-51's lists."""
    match = re.fullmatch(r"(.*\S)[\s,;]+\"?([012])\"?[\s,;]*", line)
    if match is None:
        raise UserError(
            f"{source}: expected lines of a file name and 0, 1 or 2, found '{line}'; take the "
            "official list"
        )
    return match[1].strip(" \t,;").strip('"'), int(match[2])


def _shuffle(names: Iterable[str], seed: int, split: int) -> list[str]:
    """Shuffle names. Two names keep their order when other names are added or removed."""
    return sorted(
        names, key=lambda name: hashlib.sha256(f"{seed}/{split}/{name}".encode()).digest()
    )
