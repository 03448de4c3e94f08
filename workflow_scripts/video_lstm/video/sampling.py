"""Choose the clips of a data set: whole labelled videos, or random clips of unlabelled videos."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.video.clips import Clip
from video_lstm.video.file_scan import escape_path
from video_lstm.video.files import OK, FileTable, VideoFile, summarise
from video_lstm.video.probe import probe_all
from video_lstm.video.source import UnreadableVideoError
from video_lstm.video.timing import frames_before, target_frames


def make_full_clips(table: FileTable) -> list[Clip]:
    """Return one clip for each usable video, from its first to its last frame."""
    return [_make_clip(table, file, 0, file.frames) for file in table.usable]


def draw_random_clips(table: FileTable, clip_seconds: float, hours: float, seed: int) -> list[Clip]:
    """Draw random clips of one length from unlabelled videos (paper, section 3.1).

    A video is drawn with a probability proportional to its duration, then the first frame
    uniformly among those that leave room for a clip; motion and shot boundaries are ignored. Clips
    may overlap. A video that is not longer than a clip is taken whole, and once. Clips are drawn
    until their total duration is ``hours``, or that of all videos if this is shorter.

    Args:
        table: The unlabelled videos.
        clip_seconds: Length of a clip in seconds.
        hours: Total duration of the clips in hours.
        seed: Random seed for drawing clips.

    Returns:
        Clips sorted by video and first frame, so that extraction reads each file once.

    Raises:
        UserError: No video can be used, or a clip is shorter than one frame.
    """
    videos = table.usable
    if not videos:
        raise UserError(f"{table.root}: expected videos that can be used, {summarise(table.files)}")
    rates = [table.rate or video.rate for video in videos]
    lengths = [math.floor(clip_seconds * rate + 0.5) for rate in rates]
    if min(lengths) < 1:
        raise UserError(
            f"clip_seconds: expected at least one frame of 1/{min(rates):g} s, found "
            f"{clip_seconds:g} s; raise it"
        )
    weights = np.array([v.frames / rate for v, rate in zip(videos, rates, strict=True)])
    # Minus half a frame, so that rounding errors of the sum do not add a clip.
    remaining_seconds = min(3600 * hours, weights.sum()) - 0.5 / max(rates)
    random = np.random.default_rng(seed)
    clips = []
    while remaining_seconds > 0 and weights.any():
        num_draws = math.ceil(remaining_seconds / clip_seconds)
        for pick in random.choice(len(videos), num_draws, p=weights / weights.sum()).tolist():
            room = videos[pick].frames - lengths[pick]
            if room <= 0 and weights[pick] == 0:
                continue
            first = int(random.integers(room + 1)) if room > 0 else 0
            frames = min(lengths[pick], videos[pick].frames)
            clips.append(_make_clip(table, videos[pick], first, frames))
            remaining_seconds -= frames / rates[pick]
            if room <= 0:
                weights[pick] = 0
            if remaining_seconds <= 0:
                break
    return sorted(clips, key=lambda clip: clip.name)


def convert_clip_rate(clips: Sequence[Clip], table: FileTable, rate: float | None) -> list[Clip]:
    """Convert clips to another frame rate; they keep their videos and time intervals.

    A clip from `a` to `b` seconds has the frames with time stamps from `a` (included) to `b`
    (excluded); with rate None, time stamps are those at the file's average frame rate.

    Args:
        clips: Clips of the table's videos.
        table: The files, with their durations and frame rates.
        rate: New frame rate in frames per second; None: all frames of the videos.

    Raises:
        UserError: A clip's video is not in the table.
    """
    files = {file.path: file for file in table.usable}
    converted = []
    for clip in clips:
        if clip.video not in files:
            raise UserError(
                f"--probed: expected the videos of the clips, found no {clip.video!r}; name the "
                "tables that the clips were sampled from"
            )
        file = files[clip.video]
        old_rate, new_rate = clip.rate or file.rate, rate or file.rate
        start = frames_before(clip.first / old_rate, new_rate)
        stop = frames_before((clip.first + clip.frames) / old_rate, new_rate)
        stop = min(stop, target_frames(file.native_frames, file.duration, rate))
        converted.append(replace(clip, first=start, frames=max(0, stop - start), rate=rate))
    return converted


def cut_shards(frame_counts: Sequence[int] | np.ndarray, num_shards: int) -> list[tuple[int, int]]:
    """Cut clips into contiguous ranges with about equal numbers of frames.

    Args:
        frame_counts: Number of frames of every clip.
        num_shards: Number of ranges; some are empty if there are fewer clips.

    Returns:
        (start, stop) rows of each range, in order; together they cover all rows. Each boundary is
        where the number of frames before it is nearest to the equal part.
    """
    frames_until = np.concatenate([[0], np.cumsum(np.asarray(frame_counts, np.int64))])
    targets = frames_until[-1] * np.arange(1, num_shards) / num_shards
    after = np.searchsorted(frames_until, targets)
    before = np.maximum(after - 1, 0)
    before_is_nearer = targets - frames_until[before] <= frames_until[after] - targets
    boundaries = np.where(before_is_nearer, before, after)
    edges = [0, *boundaries.tolist(), len(frames_until) - 1]
    return list(pairwise(edges))


def probe_full_clip(path: Path, rate: float | None, transcoded: Path) -> Clip:
    """Probe a video that belongs to no data set, and return a clip of all its frames.

    Args:
        path: The video file.
        rate: Frame rate in frames per second; None: all frames of the video.
        transcoded: Folder for a copy of an intact video that the reader refuses.

    Raises:
        UnreadableVideoError: The video cannot be read.
    """
    (clip,) = probe_full_clips([path], rate, transcoded)
    if isinstance(clip, str):
        raise UnreadableVideoError(clip)
    return clip


def probe_full_clips(
    paths: Sequence[Path], rate: float | None, transcoded: Path, workers: int = 1
) -> list[Clip | str]:
    """Probe several videos in worker processes, so that no file can crash the caller.

    Returns:
        For each video its clip, or the reason why it cannot be read.
    """
    clips: list[Clip | str] = []
    for path, info in zip(paths, probe_all(paths, workers, transcoded=transcoded), strict=True):
        if info.status != OK:
            clips.append(info.status)
            continue
        frames = target_frames(info.frames, info.duration, rate)
        source = info.transcoded or path
        clips.append(Clip(escape_path(str(path)), 0, frames, info.frames, rate, source))
    return clips


def _make_clip(table: FileTable, file: VideoFile, first: int, frames: int) -> Clip:
    return Clip(file.path, first, frames, file.native_frames, table.rate, table.readable_path(file))
