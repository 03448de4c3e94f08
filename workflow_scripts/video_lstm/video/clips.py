"""Clips: the parts of videos that percepts are computed on, and how artifacts store them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact, read_strings, write_strings
from video_lstm.errors import UserError


class ClipName(NamedTuple):
    """Identity of a clip, independent of the other videos of its data set."""

    video: str
    """Path of the video in the data set."""
    first: int
    """Index of the first frame, at the target rate."""


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of a video: a clip, or a part of one.

    Attributes:
        video: Path of the video in the data set.
        first: Index of the first frame, at the target rate.
        frames: Number of frames.
        native_frames: Number of frames of the whole file.
        rate: Target frame rate in Hz; None for the video's native frames.
        path: Path of the file to read.
    """

    video: str
    first: int
    frames: int
    native_frames: int
    rate: float | None
    path: Path

    @property
    def name(self) -> ClipName:
        """Identity of the clip in artifacts."""
        return ClipName(self.video, self.first)


def write_clips(file: h5py.File, clips: Sequence[Clip], rate: float | None) -> None:
    """Write clips into an open artifact of schema `clips`."""
    write_rate(file, rate)
    write_names(file, [clip.name for clip in clips])
    write_strings(file, "path", [str(clip.path) for clip in clips])
    for name in ("frames", "native_frames"):
        file[name] = np.array([getattr(clip, name) for clip in clips], np.int32)


def read_clips(paths: Sequence[Path]) -> list[Clip]:
    """Read the clips of several artifacts, in order."""
    clips: list[Clip] = []
    for path in paths:
        with open_artifact(path, "clips") as file:
            rate = read_rate(file)
            counts = (file[name][()].tolist() for name in ("frames", "native_frames"))
            columns = zip(read_names(file), *counts, read_strings(file, "path"), strict=True)
            clips += [
                Clip(*name, frames, native, rate, Path(clip_path))
                for name, frames, native, clip_path in columns
            ]
    return clips


def write_left_out(file: h5py.File, videos: list[str]) -> None:
    """Write the videos left out because they are test videos of a labelled data set."""
    write_strings(file, "left_out", videos)


def read_left_out(path: Path) -> list[str]:
    """Read the videos that :func:`write_left_out` wrote."""
    with open_artifact(path, "clips") as file:
        return read_strings(file, "left_out") if "left_out" in file else []


def clip_rate(path: Path) -> float | None:
    """Return the frame rate of an artifact's clips in Hz; None for native rates."""
    with open_artifact(path, "clips") as file:
        return read_rate(file)


# Data sets that several schemas share -----------------------------------------------------------


def write_names(file: h5py.File, names: Sequence[ClipName]) -> None:
    """Write the clips that an artifact's rows belong to."""
    write_strings(file, "video", [name.video for name in names])
    file["first"] = np.array([name.first for name in names], np.int32)


def read_names(file: h5py.File) -> list[ClipName]:
    """Read the clips that `write_names` wrote."""
    columns = zip(read_strings(file, "video"), file["first"][()].tolist(), strict=True)
    return [ClipName(*values) for values in columns]


def write_rate(file: h5py.File, rate: float | None) -> None:
    """Write the frame rate of clips in Hz; None for native rates."""
    file.attrs["rate"] = math.nan if rate is None else rate


def read_rate(file: h5py.File) -> float | None:
    """Read the frame rate that `write_rate` wrote."""
    rate = float(file.attrs["rate"])
    return None if math.isnan(rate) else rate


def number_clips(
    paths: Sequence[Path], shards: Sequence[tuple[Sequence[ClipName], np.ndarray]]
) -> tuple[list[ClipName], np.ndarray]:
    """Number the clips of several artifacts, by video and first frame.

    Args:
        paths: Paths of the artifacts.
        shards: For each artifact, its clips and the row offsets of each, (clips + 1,).

    Returns:
        The clips, and for each the index of its artifact, its first row and its end row,
        (clips, 3) int64.

    Raises:
        UserError: An artifact is listed twice.
    """
    duplicates = [path for n, path in enumerate(paths) if path in paths[:n]]
    if duplicates:
        raise UserError(f"{duplicates[0]}: expected each shard once, found it again; name it once")
    clip_rows = [
        (name, shard, int(start), int(stop))
        for shard, (names, offsets) in enumerate(shards)
        for name, start, stop in zip(names, offsets[:-1], offsets[1:], strict=True)
    ]
    clip_rows.sort()
    rows = np.array([entry[1:] for entry in clip_rows], np.int64).reshape(-1, 3)
    return [entry[0] for entry in clip_rows], rows
