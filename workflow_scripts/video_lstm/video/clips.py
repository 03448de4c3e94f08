"""Clips: the pieces of videos that everything after is computed on, and how they are kept."""

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
    """Which clip it is, whatever other videos its data set has."""

    video: str
    """Path of the video in the data set."""
    first: int
    """Number of the first frame, at the target rate."""


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of a video: a clip, or a part of one.

    Attributes:
        video: path of the video in the data set.
        first: number of the first frame, at the rate.
        frames: how many.
        native_frames: frames of the whole file.
        rate: frames per second that are picked by time stamp; None for the video's own frames.
        path: the file to read.
    """

    video: str
    first: int
    frames: int
    native_frames: int
    rate: float | None
    path: Path

    @property
    def name(self) -> ClipName:
        """What the artifacts that are made of it call it."""
        return ClipName(self.video, self.first)


def write_clips(file: h5py.File, clips: Sequence[Clip], rate: float | None) -> None:
    """Write clips into an open artifact of schema `clips`."""
    write_rate(file, rate)
    write_names(file, [clip.name for clip in clips])
    write_strings(file, "path", [str(clip.path) for clip in clips])
    for name in ("frames", "native_frames"):
        file[name] = np.array([getattr(clip, name) for clip in clips], np.int32)


def read_clips(paths: Sequence[Path]) -> list[Clip]:
    """Read back what :func:`write_clips` wrote, of several artifacts one after the other."""
    clips: list[Clip] = []
    for path in paths:
        with open_artifact(path, "clips") as file:
            rate = read_rate(file)
            counts = (file[name][()].tolist() for name in ("frames", "native_frames"))
            columns = zip(read_names(file), *counts, read_strings(file, "path"), strict=True)
            clips += [
                Clip(*name, frames, native, rate, Path(place))
                for name, frames, native, place in columns
            ]
    return clips


def write_left_out(file: h5py.File, videos: list[str]) -> None:
    """Write which videos no clips were drawn from, as they are test videos of a labelled set."""
    write_strings(file, "left_out", videos)


def read_left_out(path: Path) -> list[str]:
    """Read back what :func:`write_left_out` wrote."""
    with open_artifact(path, "clips") as file:
        return read_strings(file, "left_out") if "left_out" in file else []


def clip_rate(path: Path) -> float | None:
    """Frames per second of the clips of an artifact; None for each file's own."""
    with open_artifact(path, "clips") as file:
        return read_rate(file)


# What is made of clips ---------------------------------------------------------------------------


def write_names(file: h5py.File, names: Sequence[ClipName]) -> None:
    """Write which clips the rows of an artifact are made of."""
    write_strings(file, "video", [name.video for name in names])
    file["first"] = np.array([name.first for name in names], np.int32)


def read_names(file: h5py.File) -> list[ClipName]:
    """Read back what `write_names` wrote."""
    columns = zip(read_strings(file, "video"), file["first"][()].tolist(), strict=True)
    return [ClipName(*values) for values in columns]


def write_rate(file: h5py.File, rate: float | None) -> None:
    """Write the frames per second of clips; None for each file's own."""
    file.attrs["rate"] = math.nan if rate is None else rate


def read_rate(file: h5py.File) -> float | None:
    """Read back what `write_rate` wrote."""
    rate = float(file.attrs["rate"])
    return None if math.isnan(rate) else rate


def number_clips(
    paths: Sequence[Path], shards: Sequence[tuple[Sequence[ClipName], np.ndarray]]
) -> tuple[list[ClipName], np.ndarray]:
    """Number the clips of several artifacts, by video and first frame.

    Args:
        paths: the artifacts.
        shards: For each shard the clips, and where its rows of each begin and end, (clips + 1,).

    Returns:
        The clips; and of each the number of its artifact, its first row there, and the row after
        its last, (clips, 3) int64.

    Raises:
        UserError: an artifact that is given twice.
    """
    again = [path for n, path in enumerate(paths) if path in paths[:n]]
    if again:
        raise UserError(f"{again[0]}: expected each shard once, found it again; name it once")
    places = [
        (name, shard, int(start), int(stop))
        for shard, (names, offsets) in enumerate(shards)
        for name, start, stop in zip(names, offsets[:-1], offsets[1:], strict=True)
    ]
    places.sort()
    rows = np.array([place[1:] for place in places], np.int64).reshape(-1, 3)
    return [place[0] for place in places], rows
