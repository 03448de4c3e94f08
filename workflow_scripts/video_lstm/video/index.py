"""The table of a data set: every video once, what it is, its class, and its part in every split."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact, read_strings, write_strings
from video_lstm.errors import UserError
from video_lstm.settings.videos import VideoSource
from video_lstm.video.files import (
    OK,
    FileTable,
    VideoFile,
    read_columns,
    summarise,
    write_files,
)
from video_lstm.video.layouts import find_videos
from video_lstm.video.split_parts import TEST, TRAIN, UNUSED


@dataclass(frozen=True, kw_only=True)
class Video(VideoFile):
    """A row of the table: a file, and what the data set says of it."""

    class_name: str
    label: int
    """Number of the class; -1 without classes."""
    group: str
    """Videos of one group belong on one side of any cut; empty: a group of its own."""
    splits: tuple[int, ...]
    """Part in every split: 0 unused, 1 training, 2 test."""


@dataclass(frozen=True)
class VideoTable:
    """All videos of a data set, sorted by path."""

    root: str
    """Folder that paths are relative to, as the settings give it."""
    rate: float | None
    """Target rate in frames a second; None: every file as it is."""
    classes: list[str]
    """Names by label; empty without classes."""
    videos: list[Video]
    notes: list[str]
    """What a person should know."""


def build_index(source: VideoSource, files: FileTable, seed: int = 0) -> VideoTable:
    """Say of which class and in which part of every split the files of a data set are.

    Args:
        source: where the videos are and how splits are cut.
        files: what probing found.
        seed: Random seed for splits that are drawn.

    Raises:
        UserError: the root or a list is missing, a list names no file that is there, a file was
            not probed, no video can be used, or a class has no training or no test video left in a
            split.
    """
    if files.files and not files.usable:
        raise _nothing_usable(source.root, files.files)
    layout = find_videos(source, seed, {file.path for file in files.usable})
    probed: Mapping[str, VideoFile] = {file.path: file for file in files.files}
    labels = {name: label for label, name in enumerate(layout.classes)}
    videos = []
    for entry, assignments in zip(layout.entries, layout.assignments, strict=True):
        file = probed.get(entry.path)
        if file is None:
            raise UserError(
                f"{source.root}: expected the files that were probed, found '{entry.path}' beside "
                "them; run the same command again"
            )
        video = Video(
            **asdict(file),
            class_name=entry.class_name,
            label=labels.get(entry.class_name, -1),
            group=entry.group,
            # What cannot be used is in no split.
            splits=assignments if file.status == OK else (UNUSED,) * len(assignments),
        )
        videos.append(video)
    table = VideoTable(source.root, files.rate, layout.classes, videos, layout.notes)
    _check(table)
    table.notes.extend(_same_contents(table))
    return table


def write_videos(file: h5py.File, table: VideoTable) -> None:
    """Write a table into an open artifact of schema `videos`."""
    videos = table.videos
    write_files(file, table.root, table.rate, videos)
    write_strings(file, "id", [v.path for v in videos])
    write_strings(file, "class", [v.class_name for v in videos])
    write_strings(file, "group", [v.group for v in videos])
    write_strings(file, "classes", table.classes)
    write_strings(file, "notes", table.notes)
    file["label"] = np.array([v.label for v in videos], np.int32)
    count = len(videos[0].splits) if videos else 0
    file["splits"] = np.array([v.splits for v in videos], np.int8).reshape(len(videos), count)


def read_videos(path: Path) -> VideoTable:
    """Read back what :func:`write_videos` wrote."""
    with open_artifact(path, "videos") as file:
        root, rate, rows = read_columns(file)
        columns = zip(
            rows,
            read_strings(file, "class"),
            file["label"][()].tolist(),
            read_strings(file, "group"),
            map(tuple, file["splits"][()].tolist()),
            strict=True,
        )
        videos = [
            Video(**row, class_name=name, label=label, group=group, splits=splits)
            for row, name, label, group, splits in columns
        ]
        notes = read_strings(file, "notes") if "notes" in file else []
        return VideoTable(root, rate, read_strings(file, "classes"), videos, notes)


def _check(table: VideoTable) -> None:
    """The table must be of use: some videos, and both sides of every split in every class."""
    if not any(video.status == OK for video in table.videos):
        raise _nothing_usable(table.root, table.videos)
    splits = len(table.videos[0].splits)
    for split in range(splits):
        for label, name in enumerate(table.classes):
            members = [video for video in table.videos if video.label == label]
            for part, word in ((TRAIN, "training"), (TEST, "test")):
                if any(video.splits[split] == part for video in members):
                    continue
                broken = [video for video in members if video.status != OK]
                why = f", {len(broken)} cannot be used" if broken else ""
                example = f" ({broken[0].path!r}: {broken[0].status})" if broken else ""
                raise UserError(
                    f"{os.path.join(table.root, name)}: expected {word} videos of class '{name}' "  # noqa: PTH118
                    f"in split {split + 1}, found none among its {len(members)} videos{why}"
                    f"{example}; add videos or change the splits, or move the class's folder out"
                    + "".join(f" ({note})" for note in table.notes)
                )


def _nothing_usable(root: str, files: Sequence[VideoFile]) -> UserError:
    return UserError(f"{root}: expected videos that can be used, {summarise(files)}")


def _same_contents(table: VideoTable) -> list[str]:
    """Notes on videos of the same bytes in training and test of a split, and in two classes."""
    alike: dict[str, list[Video]] = {}
    for video in table.videos:
        if video.status == OK:
            alike.setdefault(video.sha256, []).append(video)
    groups = [videos for videos in alike.values() if len(videos) > 1]
    notes = []
    for split in range(len(table.videos[0].splits)):
        pairs = [
            (one.path, two.path)
            for videos in groups
            for one, two in [[_first(videos, split, part) for part in (TRAIN, TEST)]]
            if one and two
        ]
        notes += _noted(pairs, f"of split {split + 1} are training and test videos at once")
    pairs = [
        (videos[0].path, video.path)
        for videos in groups
        for video in videos
        if video.label != videos[0].label
    ]
    return notes + _noted(pairs, "are of two classes")


def _first(videos: Sequence[Video], split: int, part: int) -> Video | None:
    return next((video for video in videos if video.splits[split] == part), None)


def _noted(pairs: Sequence[tuple[str, str]], what: str) -> list[str]:
    examples = [f"'{one}' = '{two}'" for one, two in pairs[:5]] + ["..."] * (len(pairs) > 5)
    return (
        [f"{len(pairs)} videos of the same content {what}: {', '.join(examples)}"] if pairs else []
    )
