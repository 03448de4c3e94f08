"""The table of a data set: every video once, what it is, and whether it can be used."""

import hashlib
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact, read_strings, write_strings
from video_lstm.errors import UserError
from video_lstm.settings import VideoSettings, VideoSource
from video_lstm.video.layouts import Entry, find_videos
from video_lstm.video.probe import VideoInfo, probe_all
from video_lstm.video.splits import TEST, TRAIN, UNUSED
from video_lstm.video.timing import target_frames

OK = "ok"


@dataclass(frozen=True)
class Video:
    """A row of the table."""

    path: str
    """Relative to the root, with forward slashes; also the video's id."""
    class_name: str
    label: int
    """Number of the class; -1 without classes."""
    group: str
    """Videos of one group belong on one side of any cut; empty: a group of its own."""
    splits: tuple[int, ...]
    """Part in every split: 0 unused, 1 training, 2 test."""
    frames: int
    """Frames at the target rate."""
    native_frames: int
    """Frames in the file."""
    width: int
    height: int
    """Pixels, as displayed."""
    rate: float
    """Average frames a second in the file."""
    duration: float
    """Seconds."""
    status: str
    """``ok``, or in plain words why the video is left out."""
    sha256: str
    """Of the file's bytes."""
    transcoded: str = ""
    """The copy to read in place of the file, where the reader refuses the file itself."""


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
    """What a person should know; not kept in a file."""

    @property
    def usable(self) -> list[int]:
        """Rows of the videos that can be used."""
        return [row for row, video in enumerate(self.videos) if video.status == OK]

    def file(self, row: int) -> Path:
        """What to read for the video in a row."""
        video = self.videos[row]
        return Path(video.transcoded or os.path.join(self.root, video.path))  # noqa: PTH118


def build_index(
    source: VideoSource,
    video: VideoSettings,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    transcoded: Path | None = None,
) -> VideoTable:
    """Find and probe every video of a data set.

    Args:
        source: where the videos are and how splits are cut.
        video: target rate and least number of frames.
        seed: of splits that are drawn.
        workers: files probed at a time.
        progress: called with the files done and the files in all.
        transcoded: folder for copies of sound videos that the reader refuses; afterwards it holds
            those that the table names. None: such videos are left out.

    Raises:
        UserError: the root or a list is missing, a list names files that are not there, no video
            can be used, or a class has no training or no test video left in a split.
    """
    layout = find_videos(source, seed)
    root = Path(source.root)
    open_rows = [row for row, entry in enumerate(layout.entries) if not entry.refusal]
    paths = [root / layout.entries[row].path for row in open_rows]

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, len(paths))

    infos = probe_all(paths, workers, tell, transcoded=transcoded)
    probed = dict(zip(open_rows, infos, strict=True))
    if transcoded is not None and transcoded.is_dir():
        # Copies of what is no longer there, and what a killed job left behind.
        for file in set(transcoded.iterdir()) - {info.transcoded for info in infos}:
            file.unlink()
    labels = {name: label for label, name in enumerate(layout.classes)}
    videos = []
    for row, (entry, marks) in enumerate(zip(layout.entries, layout.marks, strict=True)):
        info = probed.get(row) or VideoInfo(0, 0, 0, 0.0, 0.0, "", entry.refusal)
        label = labels.get(entry.class_name, -1)
        videos.append(_video(entry, label, marks, info, video.rate, video.min_frames))
    table = VideoTable(source.root, video.rate, layout.classes, videos, layout.notes)
    _check(table)
    return table


def _video(
    entry: Entry,
    label: int,
    marks: tuple[int, ...],
    info: VideoInfo,
    rate: float | None,
    min_frames: int,
) -> Video:
    status, frames = info.status, 0
    if status == OK:
        frames = target_frames(info.frames, info.duration, rate)
        if frames < min_frames:
            at = f" at {rate:g} a second" if rate else ""
            status = f"too short: {frames} frames{at}, at least {min_frames} are needed"
    return Video(
        path=entry.path,
        class_name=entry.class_name,
        label=label,
        group=entry.group,
        # What cannot be used is in no split.
        splits=marks if status == OK else (UNUSED,) * len(marks),
        frames=frames,
        native_frames=info.frames,
        width=info.width,
        height=info.height,
        rate=info.rate,
        duration=info.duration,
        status=status,
        sha256=info.sha256,
        transcoded=str(info.transcoded or ""),
    )


def summarise(table: VideoTable) -> str:
    """One line: how many videos, how long, and what is left out and why."""
    usable = [table.videos[row] for row in table.usable]
    seconds = sum(video.duration for video in usable)
    length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.0f} seconds"
    words = f"{len(usable)} of {len(table.videos)} videos can be used ({length}"
    words += f", {len(table.classes)} classes)" if table.classes else ")"
    copies = [video for video in usable if video.transcoded]
    if copies:
        words += f"; {len(copies)} of them transcoded ({copies[0].path!r})"
    left_out = [video for video in table.videos if video.status != OK]
    if not left_out:
        return words
    reasons: dict[str, list[Video]] = {}
    for video in left_out:
        # What is in brackets or behind a colon differs from file to file.
        reasons.setdefault(re.split(r":| \(", video.status)[0], []).append(video)
    told = [
        f"{len(videos)} {reason} ({videos[0].path!r})"
        for reason, videos in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]
    return f"{words}; left out: {'; '.join(told)}"


def contents(table: VideoTable) -> str:
    """SHA-256 of what the files hold, by their paths: the same bytes give the same digest."""
    # The name of a copy follows from the original's bytes and how it was made.
    held = [(v.path, v.sha256, os.path.basename(v.transcoded)) for v in table.videos]  # noqa: PTH119
    return hashlib.sha256(repr(held).encode()).hexdigest()


def write_videos(file: h5py.File, table: VideoTable) -> None:
    """Write a table into an open artifact of schema `videos`."""
    videos = table.videos
    file.attrs["root"] = table.root
    file.attrs["rate"] = math.nan if table.rate is None else table.rate
    write_strings(file, "id", [v.path for v in videos])
    write_strings(file, "path", [v.path for v in videos])
    write_strings(file, "class", [v.class_name for v in videos])
    write_strings(file, "group", [v.group for v in videos])
    write_strings(file, "status", [v.status for v in videos])
    write_strings(file, "sha256", [v.sha256 for v in videos])
    write_strings(file, "transcoded", [v.transcoded for v in videos])
    write_strings(file, "classes", table.classes)
    for name in ("label", "frames", "native_frames", "width", "height"):
        file[name] = np.array([getattr(v, name) for v in videos], np.int32)
    for name in ("rate", "duration"):
        file[name] = np.array([getattr(v, name) for v in videos], np.float64)
    count = len(videos[0].splits) if videos else 0
    file["splits"] = np.array([v.splits for v in videos], np.int8).reshape(len(videos), count)


def read_videos(path: Path) -> VideoTable:
    """Read back what :func:`write_videos` wrote."""
    with open_artifact(path, "videos") as file:
        rate = float(file.attrs["rate"])
        columns = zip(
            read_strings(file, "path"),
            read_strings(file, "class"),
            file["label"][()].tolist(),
            read_strings(file, "group"),
            map(tuple, file["splits"][()].tolist()),
            *(
                file[name][()].tolist()
                for name in ("frames", "native_frames", "width", "height", "rate", "duration")
            ),
            read_strings(file, "status"),
            read_strings(file, "sha256"),
            read_strings(file, "transcoded"),
            strict=True,
        )
        return VideoTable(
            root=str(file.attrs["root"]),
            rate=None if math.isnan(rate) else rate,
            classes=read_strings(file, "classes"),
            videos=[Video(*values) for values in columns],
            notes=[],
        )


def _check(table: VideoTable) -> None:
    """The table must be of use: some videos, and both sides of every split in every class."""
    if not table.usable:
        raise UserError(f"{table.root}: expected videos that can be used, {summarise(table)}")
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
                    f"{example}; add videos or change the splits"
                )
