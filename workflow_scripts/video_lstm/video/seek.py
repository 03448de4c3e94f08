"""Reach a frame far into a video without decoding all that comes before it.

Containers lie about their key frames, and some packets give no frame, so a jump is only made where
every packet's time stamp can stand for one frame, and each frame that comes out is checked to be
the one expected.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from video_lstm.video.source import Tally, open_video, walk
from video_lstm.video.timing import TOLERANCE, Clock


class LostError(Exception):
    """A frame after a jump is not the one that the packets promised."""


@dataclass(frozen=True)
class Landing:
    """Where to jump to."""

    key: int
    """Time stamp of the key frame, in ticks of the stream."""
    target: int
    """Number of the source frame wanted, at or after the key frame."""
    stamps: list[int]
    """Time stamps of all frames in order of display."""


def find_landing(path: Path, first: int, rate: float | None, frames: int) -> Landing | None:
    """The last key frame from which frame ``first`` at ``rate`` can be decoded.

    Reads every packet and decodes none.

    Args:
        path: a local video file.
        first: frame wanted, counted at ``rate``.
        rate: target rate in frames a second, or None for source frames.
        frames: number of source frames that decode.

    Returns:
        None where packets and frames do not match one to one, or there is nothing to jump over.
    """
    stamps: list[int] = []
    keys: list[int] = []
    with open_video(path) as (container, stream):
        time_base = stream.time_base
        avi = container.format.name == "avi"
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.dts is None:
                    continue
                # AVI's presentation times are made up; without B frames they are decoding times.
                if packet.pts is None or packet.is_discard or (avi and packet.pts != packet.dts):
                    return None
                stamps.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        except av.error.FFmpegError:
            return None
    if len(stamps) != frames or len(set(stamps)) != frames:
        return None
    stamps.sort()
    target = first
    if rate is not None:
        limit = first / rate + TOLERANCE
        times = (float((stamp - stamps[0]) * time_base) for stamp in stamps)
        target = sum(time <= limit for time in times) - 1
    if not 0 < target < frames:
        return None
    before = [key for key in keys if key <= stamps[target]]
    if not before or max(before) <= stamps[0]:
        return None
    return Landing(max(before), target, stamps)


def land(
    container: InputContainer, stream: VideoStream, landing: Landing, clock: Clock
) -> tuple[int, Iterator[av.VideoFrame]]:
    """Jump, and set the clock.

    Returns:
        The number of the first frame that comes, at most ``landing.target``, and the frames.

    Raises:
        LostError: the jump leads elsewhere; also raised while the frames are read.
    """
    # Only the first frame names the encoder (x264, XviD), whose faults the decoder makes good.
    next(walk(container, stream, Tally()), None)
    try:
        container.seek(landing.key, stream=stream, backward=True)
    except av.error.FFmpegError as error:
        raise LostError from error
    source = walk(container, stream, Tally())
    # Frames before the key frame may lack what they refer to.
    frame = next((f for f in source if f.pts is not None and f.pts >= landing.key), None)
    if frame is None or frame.pts > landing.stamps[landing.target]:
        raise LostError
    start = bisect.bisect_left(landing.stamps, frame.pts)
    clock.resume(start, float(landing.stamps[0] * stream.time_base))
    return start, _checked(frame, source, landing.stamps, start)


def _checked(
    frame: av.VideoFrame, source: Iterator[av.VideoFrame], stamps: list[int], start: int
) -> Iterator[av.VideoFrame]:
    for index in range(start, len(stamps)):
        if frame is None or frame.pts != stamps[index]:
            raise LostError
        yield frame
        frame = next(source, None)
