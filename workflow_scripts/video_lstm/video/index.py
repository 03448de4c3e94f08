"""The index of a data set: the properties, class, group and splits of every video."""

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
    """A row of the index: a probed file with its class, group and splits."""

    class_name: str
    label: int
    """Number of the class; -1 in an unlabelled data set."""
    group: str
    """Subject or film; videos of one group belong in the same part of a split; empty: none."""
    splits: tuple[int, ...]
    """Part of the video in every split: `UNUSED`, `TRAIN` or `TEST`."""


@dataclass(frozen=True)
class VideoTable:
    """All videos of a data set, sorted by path."""

    root: str
    """Folder that the paths are relative to, as in the settings."""
    rate: float | None
    """Target frame rate in frames per second; None: every file keeps its own."""
    classes: list[str]
    """Class names in the order of their labels; empty in an unlabelled data set."""
    videos: list[Video]
    notes: list[str]
    """Warnings about the data set."""


def build_index(source: VideoSource, files: FileTable, seed: int = 0) -> VideoTable:
    """Combine the probed files of a data set with their classes, groups and splits.

    Args:
        source: Folder of the videos and definition of the splits.
        files: Probed files.
        seed: Random seed for splits that are drawn.

    Raises:
        UserError: The root or a list is missing, no file of a list exists, a file was not probed,
            no video can be used, or a class has no training or no test video in a split.
    """
    if files.files and not files.usable:
        raise _no_usable_video_error(source.root, files.files)
    layout = find_videos(source, seed, {file.path for file in files.usable})
    probed: Mapping[str, VideoFile] = {file.path: file for file in files.files}
    labels = {name: label for label, name in enumerate(layout.classes)}
    videos = []
    for entry, assignments in zip(layout.entries, layout.assignments, strict=True):
        file = probed.get(entry.path)
        if file is None:
            raise UserError(
                f"{source.root}: expected only files that were probed, found '{entry.path}' as "
                "well; run the same command again"
            )
        video = Video(
            **asdict(file),
            class_name=entry.class_name,
            label=labels.get(entry.class_name, -1),
            group=entry.group,
            # A video that cannot be used is in no split.
            splits=assignments if file.status == OK else (UNUSED,) * len(assignments),
        )
        videos.append(video)
    table = VideoTable(source.root, files.rate, layout.classes, videos, layout.notes)
    _check_usable(table)
    table.notes.extend(_find_duplicates(table))
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
    """Read an artifact of schema `videos`."""
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


def _check_usable(table: VideoTable) -> None:
    """Require a usable video, and training and test videos of every class in every split."""
    if not any(video.status == OK for video in table.videos):
        raise _no_usable_video_error(table.root, table.videos)
    num_splits = len(table.videos[0].splits)
    for split in range(num_splits):
        for label, name in enumerate(table.classes):
            members = [video for video in table.videos if video.label == label]
            for part, word in ((TRAIN, "training"), (TEST, "test")):
                if any(video.splits[split] == part for video in members):
                    continue
                unusable = [video for video in members if video.status != OK]
                reason = f", {len(unusable)} cannot be used" if unusable else ""
                example = f" ({unusable[0].path!r}: {unusable[0].status})" if unusable else ""
                raise UserError(
                    f"{os.path.join(table.root, name)}: expected {word} videos of class '{name}' "  # noqa: PTH118
                    f"in split {split + 1}, found none among its {len(members)} videos{reason}"
                    f"{example}; add videos or change the splits, or move the class's folder out"
                    + "".join(f" ({note})" for note in table.notes)
                )


def _no_usable_video_error(root: str, files: Sequence[VideoFile]) -> UserError:
    return UserError(f"{root}: expected videos that can be used, {summarise(files)}")


def _find_duplicates(table: VideoTable) -> list[str]:
    """Warn of identical videos in training and test of a split, and in two classes."""
    videos_by_digest: dict[str, list[Video]] = {}
    for video in table.videos:
        if video.status == OK:
            videos_by_digest.setdefault(video.sha256, []).append(video)
    duplicates = [videos for videos in videos_by_digest.values() if len(videos) > 1]
    notes = []
    for split in range(len(table.videos[0].splits)):
        pairs = [
            (train.path, test.path)
            for videos in duplicates
            for train, test in [[_first_in_part(videos, split, part) for part in (TRAIN, TEST)]]
            if train and test
        ]
        notes += _duplicate_note(
            pairs, f"of split {split + 1} are training and test videos at once"
        )
    pairs = [
        (videos[0].path, video.path)
        for videos in duplicates
        for video in videos
        if video.label != videos[0].label
    ]
    return notes + _duplicate_note(pairs, "are of two classes")


def _first_in_part(videos: Sequence[Video], split: int, part: int) -> Video | None:
    """Return the first video in a part of a split, or None."""
    return next((video for video in videos if video.splits[split] == part), None)


def _duplicate_note(pairs: Sequence[tuple[str, str]], problem: str) -> list[str]:
    """Return a note with the first pairs of paths, or none without pairs."""
    if not pairs:
        return []
    examples = [f"'{path}' = '{copy}'" for path, copy in pairs[:5]] + ["..."] * (len(pairs) > 5)
    return [f"{len(pairs)} videos of the same content {problem}: {', '.join(examples)}"]
