"""Reach a frame far into a video without decoding all that comes before it.

Containers lie about their key frames, some packets give no frame, and some formats make up time
stamps by where reading began, so a jump is only made where every packet's time stamp can stand for
one frame, the packet that it leads to is checked to be the same bytes of the file, and each frame
that comes out is checked to be the one expected.
"""

import bisect
import operator
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import Flags, InputContainer
from av.video.stream import VideoStream

from video_lstm.video.source import (
    DecodeErrors,
    decode_frames,
    is_without_time_stamps,
    jump_remover,
    new_clock,
    open_video,
)
from video_lstm.video.timing import MAX_LATENESS, TOLERANCE, Clock

# Codecs whose decoders take from the picture itself whether it is a key frame. Others may go by the
# container, or call every frame one.
_KEY_FRAMES_IN_BITSTREAM = frozenset({
    "av1", "cinepak", "dirac", "ffv1", "flv1", "h261", "h263", "h263i", "h263p", "h264", "hevc",
    "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "png", "rv10",
    "rv20", "rv30", "rv40", "snow", "svq1", "svq3", "theora", "vc1", "vp3", "vp4", "vp5", "vp6",
    "vp6a", "vp6f", "vp8", "vp9", "vvc", "wmv1", "wmv2", "wmv3", "zmbv",
})  # fmt: skip

# Codecs without references but for pictures that stay the same, or that are parts of an animation.
_REPEATING = frozenset({"fraps", "lagarith", "webp"})

# Frames that a decoder holds back at most, to put them into order.
_MOST_REORDERED = 16


class SeekError(Exception):
    """A frame after a jump is not the one that the packets promised."""


@dataclass(frozen=True)
class SeekPoint:
    """Where to jump to."""

    key: int
    """Time stamp of the key frame, in ticks of the stream."""
    packet: tuple[int | None, int]
    """Byte offset and size of the key frame's packet in the file."""
    target: int
    """Index of the requested source frame, at or after the key frame."""
    stamps: list[int]
    """Time stamps of all frames in order of display."""


def find_seek_point(path: Path, first: int, rate: float | None, frames: int) -> SeekPoint | None:
    """The last key frame from which frame ``first`` at ``rate`` can be decoded.

    Reads every packet and decodes none.

    Args:
        path: a local video file.
        first: frame wanted, counted at ``rate``.
        rate: target rate in frames a second, or None for source frames.
        frames: number of source frames that decode.

    Returns:
        None where the decoder does not tell key frames from others, where packets and frames do not
        match one to one or in order, or there is nothing to jump over.
    """
    stamps: list[int] = []
    # Of key frames that come after all that was decoded before them: the time stamp, the number in
    # order of decoding, the place in the file.
    keys: list[tuple[int, int, tuple[int | None, int]]] = []
    decoding_times: list[int | None] = []
    ahead, latest, newest, reordered = 0, None, None, False
    with open_video(path) as (container, stream):
        codec = stream.codec_context.codec
        alone = codec.intra_only and codec.canonical_name not in _REPEATING
        if not (alone or codec.canonical_name in _KEY_FRAMES_IN_BITSTREAM):
            return None
        # Streams without a container begin with what the decoder has to know.
        if is_without_time_stamps(container) and not alone:
            return None
        time_base, clock = stream.time_base, new_clock(stream)
        avi = container.format.name == "avi"
        container.flags |= Flags.gen_pts.value
        jumps = jump_remover(container, stream)
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.dts is None:
                    continue
                # AVI's presentation times are made up; without B frames they are decoding times.
                if packet.pts is None or packet.is_discard or (avi and packet.pts != packet.dts):
                    return None
                if jumps is not None and jumps.correct(packet.dts, packet.duration):
                    return None
                if packet.dts is not None:
                    latest = packet.dts if latest is None else max(latest, packet.dts)
                    ahead = max(ahead, packet.pts - packet.dts, latest - packet.dts)
                if newest is not None and packet.pts < newest:
                    reordered = True
                else:
                    newest = packet.pts
                    if packet.is_keyframe:
                        keys.append((packet.pts, len(stamps), (packet.pos, packet.size)))
                stamps.append(packet.pts)
                decoding_times.append(packet.dts)
        except av.error.FFmpegError:
            return None
    if frames < 2 or len(stamps) != frames or len(set(stamps)) != frames:
        return None
    stamps.sort()
    # A stamp that is far from its place does not tell the order of display.
    usual = statistics.median(map(operator.sub, stamps[1:], stamps))
    if ahead > max(_MOST_REORDERED * usual, MAX_LATENESS / time_base):
        return None
    target = first
    if rate is not None:
        # Where both times jump at one packet, frames on both sides of it are shown out of order.
        long = MAX_LATENESS / time_base
        jumps_at = [n for n in range(1, frames) if stamps[n] - stamps[n - 1] > long]
        times = [(decoding_times[n - 1], decoding_times[n]) for n in jumps_at if reordered]
        if any(None not in pair and pair[1] - pair[0] > long for pair in times):
            return None
        limit = first / rate + TOLERANCE
        times = (clock.tick(float(stamp * time_base)) for stamp in stamps)
        target = sum(time <= limit for time in times) - 1
    if not 0 < target < frames:
        return None
    before = [key for key in keys if key[0] <= stamps[target]]
    if not before or before[-1][0] <= stamps[0]:
        return None
    key, number, key_packet = before[-1]
    # What is decoded after the key frame and shown before it is not much, or else out of order.
    if bisect.bisect_left(stamps, key) - number > _MOST_REORDERED:
        return None
    return SeekPoint(key, key_packet, target, stamps)


def seek_to(
    container: InputContainer, stream: VideoStream, seek_point: SeekPoint, clock: Clock
) -> tuple[int, Iterator[av.VideoFrame]]:
    """Jump, and let the clock pass over the frames before.

    Returns:
        The number of the first frame that comes, at most ``seek_point.target``, and the frames.

    Raises:
        SeekError: the jump leads elsewhere; also raised while the frames are read.
    """
    container.flags |= Flags.gen_pts.value
    # Only the first frame names the encoder (x264, XviD), whose faults the decoder makes good.
    next(decode_frames(container, stream, DecodeErrors()), None)
    try:
        container.seek(seek_point.key, stream=stream, backward=True)
        for packet in container.demux(stream):
            if packet.pts is not None and packet.pts >= seek_point.key:
                break
        if (packet.pts, packet.pos, packet.size) != (seek_point.key, *seek_point.packet):
            raise SeekError
        container.seek(seek_point.key, stream=stream, backward=True)
    except av.error.FFmpegError as error:
        raise SeekError from error
    source = decode_frames(container, stream, DecodeErrors())
    # Frames before the key frame may lack what they refer to. Whether it is one, the decoder says.
    complete = False
    for frame in source:
        complete = complete or frame.key_frame
        if frame.pts is not None and frame.pts >= seek_point.key:
            break
    else:
        raise SeekError
    if not complete or frame.pts > seek_point.stamps[seek_point.target]:
        raise SeekError
    start = bisect.bisect_left(seek_point.stamps, frame.pts)
    for stamp in seek_point.stamps[:start]:
        clock.tick(float(stamp * stream.time_base))
    return start, _checked(frame, source, seek_point.stamps, start)


def _checked(
    frame: av.VideoFrame, source: Iterator[av.VideoFrame], stamps: list[int], start: int
) -> Iterator[av.VideoFrame]:
    for index in range(start, len(stamps)):
        if frame is None or frame.pts != stamps[index]:
            raise SeekError
        # Decoders leave out frames whose references they lack: the next one tells.
        following = next(source, None)
        if following is not None and following.pts not in stamps[index + 1 : index + 2]:
            raise SeekError
        yield frame
        frame = following
