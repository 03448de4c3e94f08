"""Which videos a split trains on and tests on: drawn, by group, or from lists.

All functions give, for every video in the order given, a tuple with its part in every split.
"""

import hashlib
import math
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from video_lstm.errors import UserError
from video_lstm.video.parts import TEST, TRAIN, UNUSED

Marks = list[tuple[int, ...]]


def by_fraction(
    members: Sequence[tuple[str, str]], fraction: float, count: int, seed: int
) -> Marks:
    """Draw a share of every class for testing.

    The order in which a class's videos are drawn hangs on the seed and their own names only, so
    that a video that is added or taken away moves few others.

    Args:
        members: class and path of every video.
        fraction: share that is tested; at least one video, and at least one is left to train on.
        count: how many splits.
        seed: of the draws.
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


def by_group(groups: Sequence[str], test: list[list[str]] | int, count: int, seed: int) -> Marks:
    """Keep groups (subjects, say) whole: no group is on both sides of a split.

    Args:
        groups: the group of every video.
        test: the test groups of every split; or how many groups each of ``count`` splits tests,
            taken in turn from one seeded order, so that no group is tested again before every
            other one was tested.
        count: how many splits, where ``test`` is a number.
        seed: of the order.

    Raises:
        UserError: a test group that no video is in, or no group left to train on.
    """
    known = sorted(set(groups))
    if isinstance(test, int):
        if test >= len(known):
            raise UserError(
                f"splits.test: expected fewer test groups than there are ({len(known)}), found "
                f"{test}; lower it"
            )
        order = _drawn(known, seed, 0)
        test = [[order[(s * test + i) % len(order)] for i in range(test)] for s in range(count)]
    strangers = sorted({name for names in test for name in names} - set(known))
    if strangers:
        raise UserError(
            f"splits.test: expected groups that the file names have ({', '.join(known[:20])}), "
            f"found {', '.join(strangers)}; mend the names or the pattern"
        )
    return [tuple(TEST if group in names else TRAIN for names in test) for group in groups]


def by_list(paths: Sequence[str], train: list[Path], test: list[Path]) -> Marks:
    """Splits from files with a path, relative to the root, on every line.

    A line may end in a number after a blank (a label, as in UCF-101's lists), which is not used.

    Raises:
        UserError: a list that is not there or names files that are not there, or a video that is
            on both sides of a split.
    """
    known = {path: path for path in paths}
    columns = [_two_sided(paths, known, a, b) for a, b in zip(train, test, strict=True)]
    return list(zip(*columns, strict=True))


def ucf101_classes(lists: Path) -> list[str]:
    """UCF-101's classes in the order of their labels, from classInd.txt (``1 ApplyEyeMakeup``)."""
    return [line.split(None, 1)[1].strip() for line in _lines(lists / "classInd.txt")]


def ucf101(paths: Sequence[str], classes: list[str], lists: Path) -> tuple[Marks, list[str]]:
    """The three official splits of UCF-101, and what of it is missing.

    The archive and the lists spell some names differently (HandstandPushups): letter case does not
    count. Classes without a folder are left out; the notes say so.
    """
    known, absent, notes = _official(paths, classes)
    columns = []
    for split in (1, 2, 3):
        train, test = lists / f"trainlist0{split}.txt", lists / f"testlist0{split}.txt"
        columns.append(_two_sided(paths, known, train, test, absent))
    return list(zip(*columns, strict=True)), notes


def hmdb51_classes(lists: Path) -> list[str]:
    """HMDB-51's classes in alphabetical order: those that have a list."""
    ending = "_test_split1.txt"
    return sorted(path.name.removesuffix(ending) for path in lists.glob(f"*{ending}"))


def hmdb51(paths: Sequence[str], classes: list[str], lists: Path) -> tuple[Marks, list[str]]:
    """The three official splits of HMDB-51 (``name.avi 1``: 0 unused, 1 training, 2 test)."""
    known, absent, notes = _official(paths, classes)
    columns = []
    for split in (1, 2, 3):
        marks: dict[str, int] = {}
        for name in classes:
            if name.casefold() in absent:
                continue
            source = lists / f"{name}_test_split{split}.txt"
            listed = dict(_marked(line, source) for line in _lines(source))
            found = _look_up([f"{name}/{file}" for file in listed], known, source)
            marks.update(zip(found, listed.values(), strict=True))
        columns.append([marks.get(path, UNUSED) for path in paths])
    return list(zip(*columns, strict=True)), notes


def _official(
    paths: Sequence[str], classes: list[str]
) -> tuple[dict[str, str], set[str], list[str]]:
    """Paths by their spelling in small letters; classes without a folder; a note on these."""
    known = {path.casefold(): path for path in paths}
    if len(known) < len(paths):
        twice = Counter(path.casefold() for path in paths).most_common(1)[0][0]
        raise UserError(
            f"'{known[twice]}': expected one file of this name, found another that differs in "
            "letter case only; remove one"
        )
    folders = {path.split("/")[0].casefold() for path in paths}
    absent = [name for name in classes if name.casefold() not in folders]
    notes = []
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        notes = [
            f"only {len(classes) - len(absent)} of the {len(classes)} official classes are there "
            f"(missing: {shown}); the rest runs on that part"
        ]
    return known, {name.casefold() for name in absent}, notes


def _two_sided(
    paths: Sequence[str],
    known: dict[str, str],
    train: Path,
    test: Path,
    absent: Iterable[str] = (),
) -> list[int]:
    """The parts of all videos in the split of two lists."""
    sides = []
    for source in (train, test):
        listed = [
            posixpath.normpath(line)
            for line in _lines(source)
            if line.split("/")[0].casefold() not in absent
        ]
        sides.append(set(_look_up(listed, known, source)))
    both = sorted(sides[0] & sides[1])
    if both:
        raise UserError(
            f"{test}: expected no video of {train.name}, found {_some(both)}; a test video must "
            "not be trained on: take it out of one list"
        )
    return [TRAIN if p in sides[0] else TEST if p in sides[1] else UNUSED for p in paths]


def _look_up(listed: list[str], known: dict[str, str], source: Path) -> list[str]:
    """The paths that a list means."""
    found, lost = [], []
    for name in listed:
        # With and without a label at the end; as it stands, and in small letters.
        bare = re.sub(r"\s+\d+$", "", name)
        names = [name, name.casefold(), bare, bare.casefold()]
        path = next((known[n] for n in names if n in known), None)
        if path is None:
            lost.append(bare)
        else:
            found.append(path)
    if lost:
        raise UserError(
            f"{source}: expected every file that it lists below the data set's root, found "
            f"{len(lost)} of {len(listed)} missing: {_some(lost)}; complete the files or the list"
        )
    return found


def _marked(line: str, source: Path) -> tuple[str, int]:
    name, _, mark = line.rpartition(" ")
    if not name.strip() or mark not in ("0", "1", "2"):
        raise UserError(
            f"{source}: expected lines of a file name and 0, 1 or 2, found '{line}'; take the "
            "official list"
        )
    return name.strip(), int(mark)


def _lines(path: Path) -> list[str]:
    """Lines of a list that are not blank, without the blanks around them."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: expected a list of videos, found no file; correct 'splits' or 'lists', where "
            "paths count from where snakemake runs"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: expected a list of videos as UTF-8 text, found {error}; mend the file"
        ) from error
    return [line.strip() for line in lines if line.strip()]


def _drawn(names: Iterable[str], seed: int, split: int) -> list[str]:
    """Names in a random order that hangs on the seed, the split and each name alone."""
    return sorted(
        names, key=lambda name: hashlib.sha256(f"{seed}/{split}/{name}".encode()).digest()
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (", ..." if len(names) > 5 else "")
