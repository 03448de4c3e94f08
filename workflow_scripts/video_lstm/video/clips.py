"""Clips: the pieces of videos that everything after is computed on."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact
from video_lstm.errors import UserError
from video_lstm.video.index import VideoTable


class Clip(NamedTuple):
    """Consecutive frames of a video, counted at the table's target rate."""

    video: int
    """Row of the table of videos."""
    first: int
    frames: int
    label: int
    """The video's; -1 without classes."""


def whole_clips(table: VideoTable) -> list[Clip]:
    """Every usable video from beginning to end, in the table's order."""
    videos = table.videos
    return [Clip(row, 0, videos[row].frames, videos[row].label) for row in table.usable]


def random_clips(table: VideoTable, clip_seconds: float, hours: float, seed: int) -> list[Clip]:
    """Clips of one length from random places of a pile (paper, section 3.1).

    A video is drawn with a probability proportional to how long it lasts, then the first frame
    uniformly among those that leave room for a clip, whatever the frames show: no look at motion,
    no look at shot boundaries. Clips may overlap. A video that is no longer than a clip gives
    itself, whole, and once. Draws go on until the clips together last ``hours``, or as long as the
    pile if that is shorter.

    Args:
        table: the pile.
        clip_seconds: length of a clip.
        hours: how much is drawn in all.
        seed: of the draws.

    Returns:
        Clips sorted by video and place, so that extraction reads each file in one go.

    Raises:
        UserError: a clip is shorter than one frame.
    """
    rows = table.usable
    videos = [table.videos[row] for row in rows]
    rates = [table.rate or video.rate for video in videos]
    lengths = [math.floor(clip_seconds * rate + 0.5) for rate in rates]
    if min(lengths) < 1:
        raise UserError(
            f"clip_seconds: expected at least one frame of 1/{min(rates):g} s, found "
            f"{clip_seconds:g} s; raise it"
        )
    weights = np.array([v.frames / rate for v, rate in zip(videos, rates, strict=True)])
    # Half a frame: sums of floats must not ask for a clip too many.
    missing = min(3600 * hours, weights.sum()) - 0.5 / max(rates)
    random = np.random.default_rng(seed)
    clips = []
    while missing > 0 and weights.any():
        number = math.ceil(missing / clip_seconds)
        for pick in random.choice(len(videos), number, p=weights / weights.sum()).tolist():
            room = videos[pick].frames - lengths[pick]
            if room <= 0 and weights[pick] == 0:
                continue
            first = int(random.integers(room + 1)) if room > 0 else 0
            frames = min(lengths[pick], videos[pick].frames)
            clips.append(Clip(rows[pick], first, frames, videos[pick].label))
            missing -= frames / rates[pick]
            if room <= 0:
                weights[pick] = 0
            if missing <= 0:
                break
    return sorted(clips)


def cut_shards(frame_counts: Sequence[int] | np.ndarray, shards: int) -> list[tuple[int, int]]:
    """Cut clips into contiguous ranges of even work.

    Args:
        frame_counts: frames of every clip.
        shards: how many ranges; some are empty where there are fewer clips.

    Returns:
        (start, stop) rows of each range; together they are all rows, in order. Each boundary lies
        where the frames before it are nearest to its even share.
    """
    done = np.concatenate([[0], np.cumsum(np.asarray(frame_counts, np.int64))])
    shares = done[-1] * np.arange(1, shards) / shards
    after = np.searchsorted(done, shares)
    before = np.maximum(after - 1, 0)
    nearer = np.where(shares - done[before] <= done[after] - shares, before, after)
    edges = [0, *nearer.tolist(), len(done) - 1]
    return list(pairwise(edges))


def write_clips(file: h5py.File, clips: Sequence[Clip], rate: float | None) -> None:
    """Write clips into an open artifact of schema `clips`."""
    file.attrs["rate"] = math.nan if rate is None else rate
    columns = np.array(clips, np.int32).reshape(len(clips), 4)
    for column, name in enumerate(Clip._fields):
        file[name] = columns[:, column]


def read_clips(path: Path) -> tuple[list[Clip], float | None]:
    """Read back what :func:`write_clips` wrote: the clips and the target rate."""
    with open_artifact(path, "clips") as file:
        rate = float(file.attrs["rate"])
        columns = [file[name][()].tolist() for name in Clip._fields]
        clips = [Clip(*values) for values in zip(*columns, strict=True)]
        return clips, None if math.isnan(rate) else rate
