"""Open a local video file safely and decode its frames.

A video file is untrusted input: it may be truncated, declare wrong sizes, or be a playlist that
refers to other files or to the network. FFmpeg's libraries are therefore limited to local files, to
formats that contain the video itself, and to bounded sizes.
"""

import contextlib
import os
import re
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import Flags as Options
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition
from av.video.stream import VideoStream

from video_lstm.errors import UserError
from video_lstm.video.file_signatures import (
    ANIMATED_WEBP,
    JPEG,
    PHOTOGRAPH,
    describe_file,
    is_jpeg_picture,
)
from video_lstm.video.timing import Clock, JumpRemover, StampChooser

MAX_PIXELS = 8192 * 4608
"""Maximal number of pixels in a frame, a little over 8K."""
MAX_FRAMES = 4_000_000
"""Maximal number of frames in a video: more than a day at 30 Hz."""
MAX_SECONDS = 48 * 3600.0
"""Maximal duration of a video in seconds; time stamps beyond it are invalid."""
MAX_STREAMS = 64
"""Maximal number of streams of all types in a file."""

# Formats that contain the video itself. Excluded are playlists and scripts (concat, hls, dash,
# image2, avisynth, sdp, ...), which refer to other files, and text rendered as video.
FORMATS = (
    "3dostr,4xm,amv,anm,apng,asf,asf_o,av1,avi,avs,bethsoftvid,bink,cavsvideo,cdxl,cine,dhav,dirac,"
    "dnxhd,dv,dxa,ea,ea_cdata,flic,flv,live_flv,gif,gxf,h261,h263,h264,hevc,hnm,idcin,ipu,iv8,ivf,"
    "ivr,jpeg_pipe,jv,kux,lmlm4,lvf,lxf,m4v,matroska,webm,matroska,mjpeg,mjpeg_2000,mlv,mm,mods,moflex,mov,"
    "mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mpjpeg,mtv,mv,mvi,mxf,mxg,nc,nsv,nut,nuv,obu,ogg,"
    "paf,pmp,pva,r3d,rl2,rm,roq,rpl,sga,siff,smjpeg,smk,smush,swf,thp,tiertexseq,tmv,ty,txd,"
    "vc1,vc1test,vividas,vivo,vmd,vvc,wc3movie,webp_anim,wsvqa,wtv,wv,xmv,yop,yuv4mpegpipe"
)

RAW_JPEG = ("jpeg_pipe", "mjpeg")
"""Formats of concatenated JPEG pictures; also those of a single picture."""
# Maximal number of bytes between two pictures of multipart Motion JPEG.
_MAX_PART_HEADER = 1024

# Formats whose header has the file's size: the bytes before it, and the layout of the fields. Those
# of ASF (file properties, its section 3.2) are size, play duration, preroll and flags.
_SIZE_FIELDS = {
    "asf": (bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), "<24xQ16xQ8xQI"),
    "flv": (b"\0\x08filesize\0", ">d"),
}
_BROADCAST_FLAG = 1

# Brands of HEIF (AVIF, HEIC, ...), which stores pictures as items.
_PHOTOGRAPH_BRANDS = re.compile("mif[12]|avif|hei[cxms]")


class UnreadableVideoError(UserError):
    """A video file cannot be decoded; the message gives the reason, without the file's name."""


class UnsupportedVideoError(UnreadableVideoError):
    """A video that seems intact but that this reader does not support."""


@dataclass
class DecodeErrors:
    """Numbers of errors while a file was decoded."""

    errors: int = 0
    """Number of packets after the first frame that did not decode, and were skipped."""
    errors_at_start: int = 0
    """Number of packets before the first frame that did not decode, which is normal if a video was
    cut without encoding it again."""
    cut_short: bool = False
    """Whether reading ended with an error of the container instead of its end."""


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a local file and its best video stream, decoding with one thread.

    Raises:
        UnsupportedVideoError: There is no decoder for the codec.
        UnreadableVideoError: The file is not a regular file, empty, not a video, or too large.
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise UnreadableVideoError(f"cannot be opened ({summarise_error(error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableVideoError("not a regular file")
    if status.st_size == 0:
        raise UnreadableVideoError("empty file (0 bytes)")
    codec_limits = {"max_pixels": str(MAX_PIXELS), "threads": "1"}
    try:
        container = av.open(
            # With an explicit protocol, no part of a name is parsed as a URL or an option.
            f"file:{os.path.abspath(path)}",  # noqa: PTH100 (resolve() would follow symbolic links)
            options=codec_limits,
            container_options={
                "protocol_whitelist": "file",
                "format_whitelist": FORMATS,
                "max_streams": str(MAX_STREAMS),
            },
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        kind = describe_file(Path(path))
        unreadable = UnsupportedVideoError if kind == ANIMATED_WEBP else UnreadableVideoError
        raise unreadable(
            kind or f"not a video that FFmpeg reads ({summarise_error(error)})"
        ) from error
    with container:
        if container.format.name in RAW_JPEG and is_jpeg_picture(Path(path)):
            raise UnreadableVideoError(JPEG)
        stream = _best_stream(container)
        if stream is None:
            raise UnreadableVideoError("no video stream")
        if _is_photograph(container, stream):
            raise UnreadableVideoError(PHOTOGRAPH)
        if stream.codec_context is None:
            raise UnsupportedVideoError("no decoder for its codec")
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            size = f"{stream.codec_context.width}x{stream.codec_context.height}"
            raise UnreadableVideoError(f"frames of {size} are beyond the limit of 8K")
        stream.codec_context.options = codec_limits
        stream.codec_context.thread_count = 1
        if may_jump(container):
            # FFmpeg would derive missing time stamps from packets that may be after a jump.
            container.flags &= ~Options.gen_pts.value
        yield container, stream


def _best_stream(container: InputContainer) -> VideoStream | None:
    """Return the video stream that the ffmpeg program selects: the one with the largest frames."""

    def score(stream: VideoStream) -> tuple[bool, bool, int]:
        codec, is_video = stream.codec_context, not _is_photograph(container, stream)
        if codec is None:
            return is_video, False, 0
        # The ffmpeg program's score; a stream of unknown pixel format has had no packet yet.
        is_default = bool(stream.disposition & Disposition.default)
        return (
            is_video,
            codec.pix_fmt is not None,
            codec.width * codec.height + 5_000_000 * is_default,
        )

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return max(streams, key=score, default=None)


def _is_photograph(container: InputContainer, stream: VideoStream) -> bool:
    """Return whether a stream is an item of HEIF (AVIF, HEIC), not a track of a video."""
    brands = container.metadata.get("compatible_brands", "")
    is_heif = (
        container.format.name.startswith("mov") and _PHOTOGRAPH_BRANDS.search(brands) is not None
    )
    return is_heif and stream.frames == 1 and not stream.duration


def decode_frames(
    container: InputContainer,
    stream: VideoStream,
    decode_errors: DecodeErrors,
    time_limit: float = float("inf"),
) -> Iterator[av.VideoFrame]:
    """Decode frames in display order, from the container's current position.

    Packets that do not decode are skipped, as by the ffmpeg program.

    Args:
        container: Open container.
        stream: Video stream to decode.
        decode_errors: Error counts; updated in place.
        time_limit: Maximal decoding time in seconds.

    Raises:
        UnsupportedVideoError: The frame size or the pixel aspect ratio changes.
        UnreadableVideoError: A limit is exceeded.
    """
    codec, frames, width, height = stream.codec_context, 0, 0, 0
    decode, aspect = codec.decode, None
    # Other containers define the pixel aspect ratio for the whole stream.
    may_change_aspect = may_jump(container) or is_without_time_stamps(container)
    deadline = time.monotonic() + time_limit
    # Work per packet and frame is minimal, because it matters for small videos.
    for packet in _demux_packets(container, stream, decode_errors):
        try:
            decoded = decode(packet)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError):
            decode_errors.errors += 1
            continue
        for frame in decoded:
            if frame.width != width or frame.height != height:
                if not frames:
                    decode_errors.errors_at_start, decode_errors.errors = decode_errors.errors, 0
                else:
                    change = f"{width}x{height} to {frame.width}x{frame.height}"
                    raise UnsupportedVideoError(f"frame size changes at frame {frames}: {change}")
                width, height = frame.width, frame.height
                aspect = codec.sample_aspect_ratio
            frames += 1
            if frames > MAX_FRAMES:
                raise UnreadableVideoError(f"more than {MAX_FRAMES} frames")
            yield frame
        if may_change_aspect and frames and codec.sample_aspect_ratio != aspect:
            change = f"{aspect or 1} to {codec.sample_aspect_ratio or 1}"
            raise UnsupportedVideoError(f"width of pixels changes near frame {frames}: {change}")
        if time.monotonic() > deadline:
            raise UnreadableVideoError(f"decoding takes more than {time_limit:.0f} s")


def _demux_packets(
    container: InputContainer, stream: VideoStream, decode_errors: DecodeErrors
) -> Iterator[av.Packet | None]:
    """Read the packets of the stream; the last one is empty and flushes the decoder."""
    jumps, last = new_jump_remover(container, stream), None
    try:
        for packet in container.demux(stream):
            last = packet
            if jumps is not None and (offset := jumps.correct(packet.dts, packet.duration)):
                packet.dts = None if packet.dts is None else packet.dts + offset
                packet.pts = None if packet.pts is None else packet.pts + offset
            yield packet
    except (av.error.FFmpegError, ValueError):
        # Some formats have no end mark, so that FFmpeg looks for a packet after the last one.
        is_complete = last is not None and last.pos is not None and not last.is_corrupt
        remaining = container.size - last.pos - last.size if is_complete else container.size
        is_multipart = container.format.name == "mpjpeg"
        decode_errors.cut_short = remaining > (_MAX_PART_HEADER if is_multipart else 0)
        yield None


def new_clock(stream: VideoStream) -> Clock:
    """Return a clock with the container's nominal frame interval (1/25 s if it is implausible)."""
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if is_without_time_stamps(stream.container):
        # The average is FFmpeg's default; the guessed rate is that of the stream.
        rates = rates[1:]
    rate = next((rate for rate in rates if rate), None)
    is_plausible = rate is not None and 0.01 <= rate <= 1000
    return Clock(1 / float(rate) if is_plausible else 1 / 25)


def may_jump(container: InputContainer) -> bool:
    """Return whether time stamps may jump in files of the container's format."""
    return bool(container.format.flags & Flags.ts_discont.value)


def is_without_time_stamps(container: InputContainer) -> bool:
    """Return whether a file is a raw codec stream without a container."""
    return bool(container.format.flags & Flags.no_timestamps.value)


def new_jump_remover(container: InputContainer, stream: VideoStream) -> JumpRemover | None:
    """Return a filter that removes jumps in time stamps; None if the format has no jumps."""
    if not may_jump(container):
        return None
    second = float(1 / stream.time_base)
    return JumpRemover(second, new_clock(stream).nominal * second)


def declared_rate(path: Path) -> float:
    """Return the frame rate in Hz that a video's container declares (25 if it is implausible)."""
    with open_video(path) as (_, stream):
        return 1 / new_clock(stream).nominal


def time_frames(
    container: InputContainer, stream: VideoStream, frames: Iterable[av.VideoFrame], clock: Clock
) -> Iterator[tuple[float | None, av.VideoFrame]]:
    """Pair each frame with its display time in seconds by the clock; None: it is not shown."""
    # AVI has no presentation times, and those that FFmpeg computes are wrong with B frames;
    # decoding times count frames, and decoders output frames in order with a constant delay.
    avi, base = container.format.name == "avi", stream.time_base
    # Dirac without a container counts frames in ticks.
    has_frame_counts, choose_stamp = container.format.name == "dirac", StampChooser().choose
    numerator, denominator = base.numerator, base.denominator
    for frame in frames:
        ticks = frame.dts if avi else choose_stamp(frame.pts, frame.dts)
        if has_frame_counts:
            ticks = None
        stamp = None if ticks is None else ticks * numerator / denominator
        yield clock.tick(stamp, frame.duration * numerator / denominator), frame


def declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return the video stream's duration in seconds as the container declares it; 0 if unknown."""
    if container.format.name == "avi" and stream.time_base:
        # FFmpeg reduces the duration to the data in the file, but not the header's frame count.
        return float(stream.frames * stream.time_base)
    if container.format.name in _SIZE_FIELDS:
        # One wrong time stamp makes the duration wrong, but the size shows that all data is there.
        fields = _read_fields(container, *_SIZE_FIELDS[container.format.name])
        if fields is not None and fields[0] == container.size:
            return 0.0
        if container.format.name == "asf" and fields is not None and not container.duration:
            # FFmpeg ignores the header of a file of another size.
            _, play_duration, preroll, flags = fields
            return 0.0 if flags & _BROADCAST_FLAG else max(0.0, play_duration / 1e7 - preroll / 1e3)
    if stream.duration and container.format.name != "asf":
        return float(_edited_duration(stream) * stream.time_base)
    # Matroska has a tag with the stream's duration; that of the file may be that of its audio.
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    if match is not None:
        end = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    else:
        is_only_stream = len(container.streams) == 1 and container.duration
        end = container.duration / av.time_base if is_only_stream else 0.0
    # Most durations count from time 0, which may be long before the first frame.
    start = float((stream.start_time or 0) * stream.time_base)
    return end - start if 0 < start < end else end


def _read_fields(container: InputContainer, before: bytes, layout: str) -> tuple[float, ...] | None:
    """Read the fields after the first occurrence of `before` near a file's start; None: none."""
    with Path(container.name.removeprefix("file:")).open("rb") as file:
        _, separator, fields = file.read(1 << 16).partition(before)
    size = struct.calcsize(layout)
    return struct.unpack(layout, fields[:size]) if separator and len(fields) >= size else None


def _edited_duration(stream: VideoStream) -> int:
    """Return the stream's duration in ticks; an edit list may declare more than there is."""
    index = stream.index_entries
    if len(index) < 2 or not index[0].is_discard:
        return stream.duration
    return min(stream.duration, 2 * index[-1].timestamp - index[-2].timestamp)


def summarise_error(error: BaseException) -> str:
    """Return an error's message as one line of at most 200 characters."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]
