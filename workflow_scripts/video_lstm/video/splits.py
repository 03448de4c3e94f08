"""Which videos a split trains on and tests on: drawn, by group, or from lists.

All functions give, for every video in the order given, a tuple with its part in every split.
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


def by_fraction(
    members: Sequence[tuple[str, str]], fraction: float, count: int, seed: int
) -> SplitAssignments:
    """Draw a share of every class for testing.

    The order in which a class's videos are drawn hangs on the seed and their own names only, so
    that a video that is added or taken away moves few others.

    Args:
        members: class and path of every video.
        fraction: share that is tested; at least one video, and at least one is left to train on.
        count: how many splits.
        seed: Random seed for drawing videos.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for name, path in members:
        classes[name].append(path)
    columns = []
    for split in range(count):
        tested: set[str] = set()
        for paths in classes.values():
            number = max(1, min(len(paths) - 1, math.floor(fraction * len(paths) + 0.5)))
            tested.update(_drawn(paths, seed, split)[:number])
        columns.append([TEST if path in tested else TRAIN for _, path in members])
    return list(zip(*columns, strict=True))


def by_group(
    groups: Sequence[str],
    test: list[list[str]] | int,
    count: int,
    seed: int,
    others: Iterable[str] = (),
) -> SplitAssignments:
    """Keep groups (subjects, say) whole: no group is on both sides of a split.

    Args:
        groups: the group of every video.
        test: the test groups of every split; or how many groups each of ``count`` splits tests,
            taken in turn from one seeded order, so that no group is tested again before every
            other one was tested.
        count: how many splits, where ``test`` is a number.
        seed: Random seed for the order of groups.
        others: groups that no video is left of, which may be named too.

    Raises:
        UserError: a test group that no video is in, or no group left to train on.
    """
    known = sorted(set(groups))
    if isinstance(test, int):
        if test >= len(known):
            raise UserError(
                f"splits.test_groups: expected fewer test groups than there are ({len(known)}), "
                "found "
                f"{test}; lower it"
            )
        order = _drawn(known, seed, 0)
        test = [[order[(s * test + i) % len(order)] for i in range(test)] for s in range(count)]
    strangers = sorted({name for names in test for name in names} - {*known, *others})
    if strangers:
        raise UserError(
            f"splits.test_groups: expected groups that the file names have "
            f"({', '.join(known[:20])}), "
            f"found {', '.join(strangers)}; mend the names or the pattern"
        )
    return [tuple(TEST if group in names else TRAIN for names in test) for group in groups]


def by_list(
    paths: Sequence[str],
    train: list[Path],
    test: list[Path],
    usable: Container[str] | None = None,
    notes: list[str] | None = None,
) -> SplitAssignments:
    """Splits from files that name a video on every line; see `video_lstm.video.video_lists`.

    Args:
        paths: Paths of all videos, relative to the root.
        train: a list for each split.
        test: a list for each split.
        usable: those of the paths that can be used; None: not known.
        notes: what a person should know is appended to it.

    Raises:
        UserError: a list that is not there or names no files that are there, or a video that is
            on both sides of a split.
    """
    names = FileNames(paths, {path.split("/")[0] for path in paths}, usable)
    notes = [] if notes is None else notes
    columns = [_two_sided(paths, names, a, b, notes) for a, b in zip(train, test, strict=True)]
    return list(zip(*columns, strict=True))


def ucf101_classes(lists: Path) -> list[str]:
    """UCF-101's classes in the order of their labels, from classInd.txt (``1 ApplyEyeMakeup``).

    Commas may separate them, the number may stand behind the class or be left out.

    Raises:
        UserError: a line has no class, or two lines have the same one.
    """
    source = lists / "classInd.txt"
    classes = [_class_line(line, source) for line in read_lines(source)]
    (twice, times), *_ = Counter(name.casefold() for _, name in classes).most_common(1)
    if times > 1:
        raise UserError(
            f"{source}: expected each class on one line, found '{twice}' on {times}; remove one"
        )
    if all(number is not None for number, _ in classes):
        classes.sort()
    return [name for _, name in classes]


def _class_line(line: str, source: Path) -> tuple[int | None, str]:
    """Number, where there is one, and name of a class."""
    # `1. Archery` and `1) Archery` too.
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


def ucf101(
    paths: Sequence[str], classes: list[str], lists: Path, usable: Container[str] | None = None
) -> tuple[SplitAssignments, list[str]]:
    """The three official splits of UCF-101, and what of it is missing.

    The archive and the lists spell some names differently (HandstandPushups): letter case does not
    count. Classes without a folder are left out; the notes say so.
    """
    absent, notes = _absent(paths, classes)
    names = FileNames(paths, classes, usable)
    columns = []
    for split in (1, 2, 3):
        train, test = lists / f"trainlist0{split}.txt", lists / f"testlist0{split}.txt"
        columns.append(_two_sided(paths, names, train, test, notes, absent))
    return list(zip(*columns, strict=True)), notes


def hmdb51_classes(lists: Path) -> list[str]:
    """HMDB-51's classes in alphabetical order: those that have a list."""
    ending = "_test_split1.txt"
    return sorted(path.name.removesuffix(ending) for path in lists.glob(f"*{ending}"))


def hmdb51(
    paths: Sequence[str], classes: list[str], lists: Path, usable: Container[str] | None = None
) -> tuple[SplitAssignments, list[str]]:
    """The three official splits of HMDB-51, and what of it is missing.

    Classes without a folder are left out; the notes say so.
    """
    absent, notes = _absent(paths, classes)
    names = FileNames(paths, classes, usable)
    columns = []
    for split in (1, 2, 3):
        assignments: dict[str, int] = {}
        for name in classes:
            if name.casefold() in absent:
                continue
            source = lists / f"{name}_test_split{split}.txt"
            listed = [_marked(line, source) for line in read_lines(source)]
            matches, missing_notes = find_listed(
                source, [file for file, _ in listed], names, folder=name
            )
            notes += missing_notes
            assignments |= {
                path: mark
                for path, (_, mark) in zip(matches, listed, strict=True)
                if path is not None
            }
        columns.append([assignments.get(path, UNUSED) for path in paths])
    return list(zip(*columns, strict=True)), notes


def _absent(paths: Sequence[str], classes: list[str]) -> tuple[set[str], list[str]]:
    """Classes without a folder, in small letters; a note on these."""
    folders = {folder for path in paths for folder in path.casefold().split("/")[:-1]}
    absent = [name for name in classes if name.casefold() not in folders]
    notes = []
    if absent:
        examples = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        notes = [
            f"only {len(classes) - len(absent)} of the {len(classes)} official classes are there "
            f"(missing: {examples}); the rest runs on that part"
        ]
    return {name.casefold() for name in absent}, notes


def _two_sided(
    paths: Sequence[str],
    names: FileNames,
    train: Path,
    test: Path,
    notes: list[str],
    absent: Container[str] = (),
) -> list[int]:
    """The parts of all videos in the split of two lists; what is missing is added to the notes."""
    sides = []
    for source in (train, test):
        lines = [
            line
            for line in read_lines(source)
            if not any(part in absent for part in re.split(r"[/\\]", line.casefold())[:-1])
        ]
        matches, missing_notes = find_listed(source, lines, names)
        notes += missing_notes
        sides.append(set(matches) - {None})
    both = sorted(sides[0] & sides[1])
    if both:
        raise UserError(
            f"{test}: expected no video of {train.name}, found {join_examples(both)}; a test video "
            "must "
            "not be trained on: take it out of one list" + "".join(f" ({note})" for note in notes)
        )
    return [TRAIN if p in sides[0] else TEST if p in sides[1] else UNUSED for p in paths]


def _marked(line: str, source: Path) -> tuple[str, int]:
    """The name and the mark of a line of HMDB-51's lists."""
    match = re.fullmatch(r"(.*\S)[\s,;]+\"?([012])\"?[\s,;]*", line)
    if match is None:
        raise UserError(
            f"{source}: expected lines of a file name and 0, 1 or 2, found '{line}'; take the "
            "official list"
        )
    return match[1].strip(" \t,;").strip('"'), int(match[2])


def _drawn(names: Iterable[str], seed: int, split: int) -> list[str]:
    """Names in a random order that hangs on the seed, the split and each name alone."""
    return sorted(
        names, key=lambda name: hashlib.sha256(f"{seed}/{split}/{name}".encode()).digest()
    )
