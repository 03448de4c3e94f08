"""The files of a data set: their properties, and whether they can be used."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact, read_strings, write_strings
from video_lstm.errors import UserError
from video_lstm.settings.videos import VideoSettings
from video_lstm.video.clips import read_rate, write_rate
from video_lstm.video.file_scan import assign_shard, find_files, require_folder
from video_lstm.video.probe import VideoInfo, probe_all
from video_lstm.video.timing import target_frames

OK = "ok"


@dataclass(frozen=True)
class VideoFile:
    """A probed file. The numbers are 0 unless ``status`` is ``ok``."""

    path: str
    """Path relative to the root, with forward slashes; also the video's id."""
    frames: int
    """Number of frames at the target frame rate."""
    native_frames: int
    """Number of frames in the file."""
    width: int
    height: int
    """Width and height in pixels, as displayed."""
    rate: float
    """Average frames per second in the file."""
    duration: float
    """Duration in seconds."""
    status: str
    """``ok``, or the reason why the video is left out."""
    sha256: str
    """SHA-256 of the file's bytes."""
    transcoded: str = ""
    """Copy to read instead of the file if the reader refuses the file; empty: none."""
    note: str = ""
    """Warning about a usable video; empty: none."""


@dataclass(frozen=True)
class FileTable:
    """Files of a data set, sorted by path."""

    root: str
    """Folder that the paths are relative to, as in the settings."""
    rate: float | None
    """Target frame rate in frames per second; None: every file keeps its own."""
    files: list[VideoFile]

    @property
    def usable(self) -> list[VideoFile]:
        """The files that can be used."""
        return [file for file in self.files if file.status == OK]

    def readable_path(self, file: VideoFile) -> Path:
        """Return the path to read for a file of the table: the file, or its transcoded copy."""
        return Path(file.transcoded or f"{self.root}/{file.path}")


def probe_files(
    root: Path,
    labelled: bool,
    video: VideoSettings,
    shard: int = 0,
    num_shards: int = 1,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    transcoded: Path | None = None,
    follow_links: bool = False,
) -> FileTable:
    """Find and probe the files of a shard.

    Args:
        root: Folder of the data set.
        labelled: Whether the data set has a folder for each class.
        video: Settings with the target frame rate and the minimum number of frames.
        shard: Number of the shard, from 0.
        num_shards: Number of shards; see `assign_shard`.
        workers: Number of files probed at a time.
        progress: Called with the number of probed files and the number of all files.
        transcoded: Folder for copies of intact videos that the reader refuses. None: such videos
            are left out.
        follow_links: Whether to follow symbolic links, wherever they lead.

    Raises:
        UserError: The shard or the root does not exist, or a folder cannot be listed.
    """
    if not 0 <= shard < num_shards:
        raise UserError(
            f"--shard: expected 0 to {num_shards - 1} (--num-shards {num_shards}), found {shard}"
        )
    require_folder(root)
    all_entries = find_files(root, labelled, follow_links)
    entries = [entry for entry in all_entries if assign_shard(entry.path, num_shards) == shard]
    opened_paths = [entry.path for entry in entries if not entry.refusal]

    def report_progress(done: int) -> None:
        if progress is not None:
            progress(done, len(opened_paths))

    infos = probe_all(
        [root / path for path in opened_paths], workers, report_progress, transcoded=transcoded
    )
    infos_by_path = {
        e.path: VideoInfo(0, 0, 0, 0.0, 0.0, "", e.refusal) for e in entries if e.refusal
    }
    infos_by_path |= zip(opened_paths, infos, strict=True)
    files = [_make_video_file(entry.path, infos_by_path[entry.path], video) for entry in entries]
    return FileTable(str(root), video.frame_rate, files)


def _make_video_file(path: str, info: VideoInfo, video: VideoSettings) -> VideoFile:
    """Combine the result of probing with the target frame rate and the minimum length."""
    status, frames = info.status, 0
    if status == OK:
        frames = target_frames(info.frames, info.duration, video.frame_rate)
        if frames < video.min_frames:
            rate = f" at {video.frame_rate:g} a second" if video.frame_rate else ""
            status = f"too short: {frames} frames{rate}, at least {video.min_frames} are needed"
    return VideoFile(
        path=path,
        frames=frames,
        native_frames=info.frames,
        width=info.width,
        height=info.height,
        rate=info.rate,
        duration=info.duration,
        status=status,
        sha256=info.sha256,
        transcoded=str(info.transcoded or ""),
        note=info.note if status == OK else "",
    )


def summarise(files: Sequence[VideoFile], classes: int = 0) -> str:
    """Summarise files in one line: number, duration, and what is left out for which reason."""
    usable = [file for file in files if file.status == OK]
    seconds = sum(file.duration for file in usable)
    length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.0f} seconds"
    summary = f"{len(usable)} of {len(files)} videos can be used ({length}"
    summary += f", {classes} classes)" if classes else ")"
    copies = [file for file in usable if file.transcoded]
    if copies:
        summary += f"; {len(copies)} of them transcoded ({copies[0].path!r})"
    with_note = [file for file in usable if file.note]
    if with_note:
        summary += (
            f"; {len(with_note)} of them with a note ({with_note[0].path!r}: {with_note[0].note})"
        )
    left_out = [file for file in files if file.status != OK]
    if not left_out:
        return summary
    reasons: dict[str, list[VideoFile]] = {}
    for file in left_out:
        # Text in brackets or after a colon differs between files.
        reasons.setdefault(re.split(r":| \(", file.status)[0], []).append(file)
    reason_texts = [
        f"{len(files_with_reason)} {reason} ({files_with_reason[0].path!r})"
        for reason, files_with_reason in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]
    return f"{summary}; left out: {'; '.join(reason_texts)}"


def hash_contents(files: Sequence[VideoFile]) -> str:
    """Return a SHA-256 of the paths of files and the bytes in them."""
    # The name of a copy follows from the original's bytes and the way it was transcoded.
    contents = [(f.path, f.sha256, os.path.basename(f.transcoded)) for f in files]  # noqa: PTH119
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def remove_copies(folder: Path, table: FileTable) -> None:
    """Remove copies of files that no longer exist, and what killed jobs left of copies."""
    if folder.is_dir():
        for copy in set(folder.iterdir()) - {Path(file.transcoded) for file in table.files}:
            copy.unlink()


# Columns of the artifacts `probed` and `videos`, by data type.
_TEXT_COLUMNS = ("path", "status", "sha256", "transcoded", "note")
_INTEGER_COLUMNS = ("frames", "native_frames", "width", "height")
_FLOAT_COLUMNS = ("rate", "duration")


def write_files(file: h5py.File, root: str, rate: float | None, files: Sequence[VideoFile]) -> None:
    """Write the columns of files into an open artifact of schema `probed` or `videos`."""
    file.attrs["root"] = root
    write_rate(file, rate)
    for name in _TEXT_COLUMNS:
        write_strings(file, name, [getattr(f, name) for f in files])
    for names, dtype in ((_INTEGER_COLUMNS, np.int32), (_FLOAT_COLUMNS, np.float64)):
        for name in names:
            file[name] = np.array([getattr(f, name) for f in files], dtype)


def read_columns(file: h5py.File) -> tuple[str, float | None, list[Mapping[str, Any]]]:
    """Read what `write_files` wrote: the root, the frame rate, and the fields of each file."""
    columns = {name: read_strings(file, name) for name in _TEXT_COLUMNS}
    columns |= {name: file[name][()].tolist() for name in (*_INTEGER_COLUMNS, *_FLOAT_COLUMNS)}
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return str(file.attrs["root"]), read_rate(file), rows


def read_files(paths: Sequence[Path]) -> FileTable:
    """Read the files of several artifacts of schema `probed`, sorted by path.

    Raises:
        UserError: There is no artifact, or they belong to different data sets.
    """
    if not paths:
        raise UserError("--probed: expected at least one file, found none; run probe_videos first")
    tables = []
    for path in paths:
        with open_artifact(path, "probed") as file:
            root, rate, rows = read_columns(file)
        tables.append(FileTable(root, rate, [VideoFile(**row) for row in rows]))
        if (root, rate) != (tables[0].root, tables[0].rate):
            raise UserError(
                f"{path}: expected files below {tables[0].root} at a rate of {tables[0].rate} as "
                f"in {paths[0]}, found {root} at {rate}; name files of one data set"
            )
    files = sorted((file for table in tables for file in table.files), key=lambda file: file.path)
    return FileTable(tables[0].root, tables[0].rate, files)
