"""Which clips are taken of a data set: whole videos, or random places of a pile."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.video.clips import Clip
from video_lstm.video.file_scan import printable_path
from video_lstm.video.files import OK, FileTable, VideoFile, summarise
from video_lstm.video.probe import probe_all
from video_lstm.video.source import UnreadableVideoError
from video_lstm.video.timing import frames_before, target_frames


def whole_clips(table: FileTable) -> list[Clip]:
    """Every usable video from beginning to end, in the table's order."""
    return [_clip(table, file, 0, file.frames) for file in table.usable]


def random_clips(table: FileTable, clip_seconds: float, hours: float, seed: int) -> list[Clip]:
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
        seed: Random seed for drawing clips.

    Returns:
        Clips sorted by video and place, so that extraction reads each file in one go.

    Raises:
        UserError: no video can be used, or a clip is shorter than one frame.
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
            clips.append(_clip(table, videos[pick], first, frames))
            missing -= frames / rates[pick]
            if room <= 0:
                weights[pick] = 0
            if missing <= 0:
                break
    return sorted(clips, key=lambda clip: clip.name)


def clips_at_rate(clips: Sequence[Clip], table: FileTable, rate: float | None) -> list[Clip]:
    """The same intervals of the same videos, at another rate.

    Of a clip from `a` to `b` seconds, the frames that are shown at `a` or later and before `b`; of
    a file's own frames (rate None), those that would be at the file's average rate.

    Args:
        clips: Clips of the table's videos.
        table: the files, with their durations and rates.
        rate: frames per second that are picked; None for the videos' own frames.

    Raises:
        UserError: a clip's video is not in the table.
    """
    files = {file.path: file for file in table.usable}
    converted = []
    for clip in clips:
        if clip.video not in files:
            raise UserError(
                f"--probed: expected the videos of the clips, found no {clip.video!r}; give the "
                "tables that the clips were sampled from"
            )
        file = files[clip.video]
        seconds = (at / (clip.rate or file.rate) for at in (clip.first, clip.first + clip.frames))
        start, stop = (frames_before(second, rate or file.rate) for second in seconds)
        stop = min(stop, target_frames(file.native_frames, file.duration, rate))
        converted.append(replace(clip, first=start, frames=max(0, stop - start), rate=rate))
    return converted


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


def whole_video(path: Path, rate: float | None, transcoded: Path) -> Clip:
    """All frames of a video that is in no data set.

    Args:
        path: the file.
        rate: frames per second that are picked; None for the video's own frames.
        transcoded: folder for a copy of a sound video that the reader refuses.

    Raises:
        UnreadableVideoError: it cannot be read, with the reason.
    """
    (clip,) = whole_videos([path], rate, transcoded)
    if isinstance(clip, str):
        raise UnreadableVideoError(clip)
    return clip


def whole_videos(
    paths: Sequence[Path], rate: float | None, transcoded: Path, workers: int = 1
) -> list[Clip | str]:
    """The same of several videos: for each the clip, or the reason why it cannot be read.

    They are probed in processes of their own, so that no file ends the caller's.
    """
    clips: list[Clip | str] = []
    for path, info in zip(paths, probe_all(paths, workers, transcoded=transcoded), strict=True):
        if info.status != OK:
            clips.append(info.status)
            continue
        frames = target_frames(info.frames, info.duration, rate)
        place = info.transcoded or path
        clips.append(Clip(printable_path(str(path)), 0, frames, info.frames, rate, place))
    return clips


def _clip(table: FileTable, file: VideoFile, first: int, frames: int) -> Clip:
    return Clip(file.path, first, frames, file.native_frames, table.rate, table.place(file))
