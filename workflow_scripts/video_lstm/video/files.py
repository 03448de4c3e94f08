"""The files of a data set as they were found: what each is, and whether it can be used."""

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
from video_lstm.video.file_scan import find_files, require_folder, shard_of
from video_lstm.video.probe import VideoInfo, probe_all
from video_lstm.video.timing import target_frames

OK = "ok"


@dataclass(frozen=True)
class VideoFile:
    """A file of a data set. The numbers are 0 where ``status`` is not ``ok``."""

    path: str
    """Relative to the root, with forward slashes; also the video's id."""
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
    """SHA-256 of the file's bytes."""
    transcoded: str = ""
    """The copy to read in place of the file, where the reader refuses the file itself."""
    note: str = ""
    """What a person should know of a video that can be used."""


@dataclass(frozen=True)
class FileTable:
    """Files of a data set, sorted by path."""

    root: str
    """Folder that paths are relative to, as the settings give it."""
    rate: float | None
    """Target rate in frames a second; None: every file as it is."""
    files: list[VideoFile]

    @property
    def usable(self) -> list[VideoFile]:
        """Those that can be used."""
        return [file for file in self.files if file.status == OK]

    def place(self, file: VideoFile) -> Path:
        """What to read of a file of the table."""
        return Path(file.transcoded or f"{self.root}/{file.path}")


def probe_files(
    root: Path,
    labelled: bool,
    video: VideoSettings,
    shard: int = 0,
    shards: int = 1,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    transcoded: Path | None = None,
    follow_links: bool = False,
) -> FileTable:
    """Find and probe the files of a shard.

    Args:
        root: the data set's folder.
        labelled: whether it has a folder for each class.
        video: target rate and least number of frames.
        shard: which one, from 0.
        shards: how many there are; see `shard_of`.
        workers: files probed at a time.
        progress: called with the files done and the files in all.
        transcoded: folder for copies of sound videos that the reader refuses. None: such videos
            are left out.
        follow_links: whether symbolic links are followed, wherever they lead.

    Raises:
        UserError: there is no such shard, or no such folder, or one that cannot be listed.
    """
    if not 0 <= shard < shards:
        raise UserError(
            f"--shard: expected 0 to {shards - 1} (--num-shards {shards}), found {shard}"
        )
    require_folder(root)
    found_files = find_files(root, labelled, follow_links)
    entries = [entry for entry in found_files if shard_of(entry.path, shards) == shard]
    opened = [entry.path for entry in entries if not entry.refusal]

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, len(opened))

    infos = probe_all([root / path for path in opened], workers, tell, transcoded=transcoded)
    infos_by_path = {
        e.path: VideoInfo(0, 0, 0, 0.0, 0.0, "", e.refusal) for e in entries if e.refusal
    }
    infos_by_path |= zip(opened, infos, strict=True)
    files = [_file(entry.path, infos_by_path[entry.path], video) for entry in entries]
    return FileTable(str(root), video.frame_rate, files)


def _file(path: str, info: VideoInfo, video: VideoSettings) -> VideoFile:
    status, frames = info.status, 0
    if status == OK:
        frames = target_frames(info.frames, info.duration, video.frame_rate)
        if frames < video.min_frames:
            at = f" at {video.frame_rate:g} a second" if video.frame_rate else ""
            status = f"too short: {frames} frames{at}, at least {video.min_frames} are needed"
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
    """One line: how many videos, how long, and what is left out and why."""
    usable = [file for file in files if file.status == OK]
    seconds = sum(file.duration for file in usable)
    length = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.0f} seconds"
    words = f"{len(usable)} of {len(files)} videos can be used ({length}"
    words += f", {classes} classes)" if classes else ")"
    copies = [file for file in usable if file.transcoded]
    if copies:
        words += f"; {len(copies)} of them transcoded ({copies[0].path!r})"
    noted = [file for file in usable if file.note]
    if noted:
        words += f"; {len(noted)} of them with a note ({noted[0].path!r}: {noted[0].note})"
    left_out = [file for file in files if file.status != OK]
    if not left_out:
        return words
    reasons: dict[str, list[VideoFile]] = {}
    for file in left_out:
        # What is in brackets or behind a colon differs from file to file.
        reasons.setdefault(re.split(r":| \(", file.status)[0], []).append(file)
    reason_texts = [
        f"{len(files_with_reason)} {reason} ({files_with_reason[0].path!r})"
        for reason, files_with_reason in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]
    return f"{words}; left out: {'; '.join(reason_texts)}"


def contents(files: Sequence[VideoFile]) -> str:
    """SHA-256 of what the files hold, by their paths: the same bytes give the same digest."""
    # The name of a copy follows from the original's bytes and how it was made.
    contents = [(f.path, f.sha256, os.path.basename(f.transcoded)) for f in files]  # noqa: PTH119
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def remove_copies(folder: Path, table: FileTable) -> None:
    """Remove the copies that no file of a table needs: the file is gone, or a job was killed."""
    if folder.is_dir():
        for copy in set(folder.iterdir()) - {Path(file.transcoded) for file in table.files}:
            copy.unlink()


# Columns of the artifacts `probed` and `videos`, by type.
_TEXTS = ("path", "status", "sha256", "transcoded", "note")
_COUNTS = ("frames", "native_frames", "width", "height")
_MEASURES = ("rate", "duration")


def write_files(file: h5py.File, root: str, rate: float | None, files: Sequence[VideoFile]) -> None:
    """Write the columns of files into an open artifact of schema `probed` or `videos`."""
    file.attrs["root"] = root
    write_rate(file, rate)
    for name in _TEXTS:
        write_strings(file, name, [getattr(f, name) for f in files])
    for names, dtype in ((_COUNTS, np.int32), (_MEASURES, np.float64)):
        for name in names:
            file[name] = np.array([getattr(f, name) for f in files], dtype)


def read_columns(file: h5py.File) -> tuple[str, float | None, list[Mapping[str, Any]]]:
    """Read back what `write_files` wrote: the root, the rate, and a file's fields each."""
    columns = {name: read_strings(file, name) for name in _TEXTS}
    columns |= {name: file[name][()].tolist() for name in (*_COUNTS, *_MEASURES)}
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return str(file.attrs["root"]), read_rate(file), rows


def read_files(paths: Sequence[Path]) -> FileTable:
    """The files of several artifacts of schema `probed`, together sorted by path.

    Raises:
        UserError: none, or artifacts of different data sets.
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
                f"in {paths[0]}, found {root} at {rate}; give files of one data set"
            )
    files = sorted((file for table in tables for file in table.files), key=lambda file: file.path)
    return FileTable(tables[0].root, tables[0].rate, files)
