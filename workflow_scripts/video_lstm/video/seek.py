"""Seek to a frame far into a video without decoding everything before it.

Containers may mark wrong key frames, packets may contain no frame, and time stamps may depend on
where reading starts. Seeking is therefore used only if packets and frames match one to one by their
time stamps; the packet after a seek must be at the expected bytes of the file, and each decoded
frame must have the expected time stamp.
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
    new_clock,
    new_jump_remover,
    open_video,
)
from video_lstm.video.timing import MAX_LATENESS, TOLERANCE, Clock

# Codecs whose decoders find key frames in the bitstream. Others may rely on the container, or
# report every frame as a key frame.
_KEY_FRAMES_IN_BITSTREAM = frozenset({
    "av1", "cinepak", "dirac", "ffv1", "flv1", "h261", "h263", "h263i", "h263p", "h264", "hevc",
    "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "png", "rv10",
    "rv20", "rv30", "rv40", "snow", "svq1", "svq3", "theora", "vc1", "vp3", "vp4", "vp5", "vp6",
    "vp6a", "vp6f", "vp8", "vp9", "vvc", "wmv1", "wmv2", "wmv3", "zmbv",
})  # fmt: skip

# Intra-only codecs that still refer to earlier frames for repeated pictures or animations.
_REPEATING_CODECS = frozenset({"fraps", "lagarith", "webp"})

# Maximal number of frames that a decoder delays to reorder them.
_MAX_REORDERED = 16


class SeekError(Exception):
    """A frame after a seek is not the expected one."""


@dataclass(frozen=True)
class SeekPoint:
    """Position in a file to seek to."""

    key: int
    """Time stamp of the key frame, in ticks of the stream."""
    packet: tuple[int | None, int]
    """Byte offset and size of the key frame's packet in the file."""
    target: int
    """Index of the requested source frame, at or after the key frame."""
    stamps: list[int]
    """Time stamps of all frames in order of display."""


def find_seek_point(path: Path, first: int, rate: float | None, frames: int) -> SeekPoint | None:
    """Find the last key frame from which frame ``first`` at ``rate`` can be decoded.

    All packets are read, and none is decoded.

    Args:
        path: Local video file.
        first: Index of the requested frame, at ``rate``.
        rate: Target frame rate in Hz; None: source frames.
        frames: Number of source frames that decode.

    Returns:
        None if the codec does not identify key frames, if packets and frames do not match one to
        one or are out of order, or if there is nothing to skip.
    """
    stamps: list[int] = []
    # Key frames that are shown after everything decoded before them: time stamp, index in decoding
    # order, byte offset and size in the file.
    keys: list[tuple[int, int, tuple[int | None, int]]] = []
    decoding_times: list[int | None] = []
    max_delay, latest_dts, latest_pts, is_reordered = 0, None, None, False
    with open_video(path) as (container, stream):
        codec = stream.codec_context.codec
        is_intra_only = codec.intra_only and codec.canonical_name not in _REPEATING_CODECS
        if not (is_intra_only or codec.canonical_name in _KEY_FRAMES_IN_BITSTREAM):
            return None
        # Raw streams start with headers that the decoder needs.
        if is_without_time_stamps(container) and not is_intra_only:
            return None
        time_base, clock = stream.time_base, new_clock(stream)
        avi = container.format.name == "avi"
        container.flags |= Flags.gen_pts.value
        jumps = new_jump_remover(container, stream)
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.dts is None:
                    continue
                # AVI has no presentation times; without B frames, they equal decoding times.
                if packet.pts is None or packet.is_discard or (avi and packet.pts != packet.dts):
                    return None
                if jumps is not None and jumps.correct(packet.dts, packet.duration):
                    return None
                if packet.dts is not None:
                    latest_dts = packet.dts if latest_dts is None else max(latest_dts, packet.dts)
                    max_delay = max(max_delay, packet.pts - packet.dts, latest_dts - packet.dts)
                if latest_pts is not None and packet.pts < latest_pts:
                    is_reordered = True
                else:
                    latest_pts = packet.pts
                    if packet.is_keyframe:
                        keys.append((packet.pts, len(stamps), (packet.pos, packet.size)))
                stamps.append(packet.pts)
                decoding_times.append(packet.dts)
        except av.error.FFmpegError:
            return None
    if frames < 2 or len(stamps) != frames or len(set(stamps)) != frames:
        return None
    stamps.sort()
    # Time stamps that are far off do not define the display order.
    median_step = statistics.median(map(operator.sub, stamps[1:], stamps))
    if max_delay > max(_MAX_REORDERED * median_step, MAX_LATENESS / time_base):
        return None
    target = first
    if rate is not None:
        # If both time stamps jump at a packet, frames on both sides are shown out of order.
        max_step = MAX_LATENESS / time_base
        jump_indices = [n for n in range(1, frames) if stamps[n] - stamps[n - 1] > max_step]
        times = [(decoding_times[n - 1], decoding_times[n]) for n in jump_indices if is_reordered]
        if any(None not in pair and pair[1] - pair[0] > max_step for pair in times):
            return None
        limit = first / rate + TOLERANCE
        times = (clock.tick(float(stamp * time_base)) for stamp in stamps)
        target = sum(time <= limit for time in times) - 1
    if not 0 < target < frames:
        return None
    candidates = [key for key in keys if key[0] <= stamps[target]]
    if not candidates or candidates[-1][0] <= stamps[0]:
        return None
    key, decoding_index, key_packet = candidates[-1]
    # Few frames are decoded after the key frame and shown before it, unless the order is wrong.
    if bisect.bisect_left(stamps, key) - decoding_index > _MAX_REORDERED:
        return None
    return SeekPoint(key, key_packet, target, stamps)


def seek_to(
    container: InputContainer, stream: VideoStream, seek_point: SeekPoint, clock: Clock
) -> tuple[int, Iterator[av.VideoFrame]]:
    """Seek, and advance the clock over the skipped frames.

    Args:
        container: Open container.
        stream: Video stream to decode.
        seek_point: Position to seek to, from `find_seek_point`.
        clock: Clock that has seen no frame yet.

    Returns:
        Index of the first decoded frame, at most ``seek_point.target``, and the frames.

    Raises:
        SeekError: A frame is not the expected one; also raised while the frames are read.
    """
    container.flags |= Flags.gen_pts.value
    # The first frame names the encoder (x264, XviD), whose errors the decoder compensates.
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
    # Frames before the key frame may lack their references. The decoder identifies key frames.
    has_key_frame = False
    for frame in source:
        has_key_frame = has_key_frame or frame.key_frame
        if frame.pts is not None and frame.pts >= seek_point.key:
            break
    else:
        raise SeekError
    if not has_key_frame or frame.pts > seek_point.stamps[seek_point.target]:
        raise SeekError
    start = bisect.bisect_left(seek_point.stamps, frame.pts)
    for stamp in seek_point.stamps[:start]:
        clock.tick(float(stamp * stream.time_base))
    return start, _check_stamps(frame, source, seek_point.stamps, start)


def _check_stamps(
    frame: av.VideoFrame, source: Iterator[av.VideoFrame], stamps: list[int], start: int
) -> Iterator[av.VideoFrame]:
    """Yield `frame` and the frames of `source` while their time stamps are the expected ones."""
    for index in range(start, len(stamps)):
        if frame is None or frame.pts != stamps[index]:
            raise SeekError
        # Decoders skip frames whose references are missing, which the next frame reveals.
        following = next(source, None)
        if following is not None and following.pts not in stamps[index + 1 : index + 2]:
            raise SeekError
        yield frame
        frame = following
