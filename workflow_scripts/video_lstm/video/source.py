"""Open a local video file safely and decode its frames.

A video file is input from strangers: it may be cut short, lie about its size, or be a play list
that points at other files or at the network. FFmpeg's libraries are therefore held to local files,
to formats that carry video in the file itself, and to bounded sizes.
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
"""Pixels in a frame: a little over 8K. A file that declares more is not decoded."""
MAX_FRAMES = 4_000_000
"""Frames in a video: more than a day at 30 frames a second."""
MAX_SECONDS = 48 * 3600.0
"""Seconds of video by its time stamps; more means that the stamps are nonsense."""
MAX_STREAMS = 64
"""Streams of all kinds in a file."""

# Formats that hold moving pictures in the file itself. Left out on purpose: play lists and scripts
# (concat, hls, dash, image2, avisynth, sdp, ...), which name other files, and text shown as video.
FORMATS = (
    "3dostr,4xm,amv,anm,apng,asf,asf_o,av1,avi,avs,bethsoftvid,bink,cavsvideo,cdxl,cine,dhav,dirac,"
    "dnxhd,dv,dxa,ea,ea_cdata,flic,flv,live_flv,gif,gxf,h261,h263,h264,hevc,hnm,idcin,ipu,iv8,ivf,"
    "ivr,jpeg_pipe,jv,kux,lmlm4,lvf,lxf,m4v,matroska,webm,matroska,mjpeg,mjpeg_2000,mlv,mm,mods,moflex,mov,"
    "mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mpjpeg,mtv,mv,mvi,mxf,mxg,nc,nsv,nut,nuv,obu,ogg,"
    "paf,pmp,pva,r3d,rl2,rm,roq,rpl,sga,siff,smjpeg,smk,smush,swf,thp,tiertexseq,tmv,ty,txd,"
    "vc1,vc1test,vividas,vivo,vmd,vvc,wc3movie,webp_anim,wsvqa,wtv,wv,xmv,yop,yuv4mpegpipe"
)

RAW_JPEG = ("jpeg_pipe", "mjpeg")
"""Formats of JPEG pictures back to back; a single picture is one of them, too."""
# Bytes that may stand between two pictures of multipart Motion JPEG.
_PART_HEADER = 1024

# Formats whose header says how large the file is: the bytes before that, and what follows them. Of
# ASF's file properties (its section 3.2): size, play duration, preroll and flags.
_SIZES = {
    "asf": (bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"), "<24xQ16xQ8xQI"),
    "flv": (b"\0\x08filesize\0", ">d"),
}
_BROADCAST = 1

# Brands of HEIF: AVIF, HEIC and what else holds pictures as items.
_PHOTOGRAPHS = re.compile("mif[12]|avif|hei[cxms]")


class UnreadableVideoError(UserError):
    """A video file cannot be decoded; the message says why, without the file's name."""


class UnsupportedVideoError(UnreadableVideoError):
    """A video that is sound, as far as is known, but not one for this reader."""


@dataclass
class DecodeErrors:
    """Errors counted while a file was decoded."""

    errors: int = 0
    """Packets that did not decode (skipped, as the ffmpeg program does)."""
    errors_at_start: int = 0
    """Packets that did not decode before the first frame, which is as it should be where a video
    was cut without encoding it again. Not among the others."""
    cut_short: bool = False
    """Whether reading stopped at an error of the container, not at its end."""


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a local file and its best video stream, decoding with one thread.

    Raises:
        UnsupportedVideoError: no decoder for its codec.
        UnreadableVideoError: not a regular file, empty, not a video, or beyond the limits.
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
            # With its protocol spelled out, no part of a name can pass for a URL or an option.
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
            # FFmpeg would fill in missing stamps from packets that may lie beyond a jump.
            container.flags &= ~Options.gen_pts.value
        yield container, stream


def _best_stream(container: InputContainer) -> VideoStream | None:
    """The video stream that the ffmpeg program chooses of several: that of the largest pictures."""

    def score(stream: VideoStream) -> tuple[bool, bool, int]:
        codec, moves = stream.codec_context, not _is_photograph(container, stream)
        if codec is None:
            return moves, False, 0
        # The program's own numbers; a stream of unknown format had no packet so far.
        is_default = bool(stream.disposition & Disposition.default)
        return moves, codec.pix_fmt is not None, codec.width * codec.height + 5_000_000 * is_default

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return max(streams, key=score, default=None)


def _is_photograph(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a stream is an item of HEIF (AVIF, HEIC): those of videos are tracks that last."""
    brands = container.metadata.get("compatible_brands", "")
    is_heif = container.format.name.startswith("mov") and _PHOTOGRAPHS.search(brands) is not None
    return is_heif and stream.frames == 1 and not stream.duration


def decode_frames(
    container: InputContainer,
    stream: VideoStream,
    decode_errors: DecodeErrors,
    time_limit: float = float("inf"),
) -> Iterator[av.VideoFrame]:
    """Decode frames in display order, from the container's current position.

    As the ffmpeg program does, a packet that does not decode is skipped and the next one tried.

    Raises:
        UnsupportedVideoError: the size, or the shape of pixels, changes in mid-stream.
        UnreadableVideoError: a limit is passed, or decoding takes more than ``time_limit`` seconds.
    """
    codec, frames, width, height = stream.codec_context, 0, 0, 0
    decode, aspect = codec.decode, None
    # Elsewhere the container says how wide a pixel is, once for all.
    without_aspect = may_jump(container) or is_without_time_stamps(container)
    end = time.monotonic() + time_limit
    # What is done for every packet and frame is kept to little: it shows in small videos.
    for packet in _packets(container, stream, decode_errors):
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
        if without_aspect and frames and codec.sample_aspect_ratio != aspect:
            change = f"{aspect or 1} to {codec.sample_aspect_ratio or 1}"
            raise UnsupportedVideoError(f"width of pixels changes near frame {frames}: {change}")
        if time.monotonic() > end:
            raise UnreadableVideoError(f"decoding takes more than {time_limit:.0f} s")


def _packets(
    container: InputContainer, stream: VideoStream, decode_errors: DecodeErrors
) -> Iterator[av.Packet | None]:
    """Packets of the stream; the last is empty and makes the decoder give out what it holds."""
    jumps, last = jump_remover(container, stream), None
    try:
        for packet in container.demux(stream):
            last = packet
            if jumps is not None and (offset := jumps.correct(packet.dts, packet.duration)):
                packet.dts = None if packet.dts is None else packet.dts + offset
                packet.pts = None if packet.pts is None else packet.pts + offset
            yield packet
    except (av.error.FFmpegError, ValueError):
        # Some formats have no end: FFmpeg looks for a packet behind the last one.
        whole = last is not None and last.pos is not None and not last.is_corrupt
        rest = container.size - last.pos - last.size if whole else container.size
        decode_errors.cut_short = rest > (_PART_HEADER if container.format.name == "mpjpeg" else 0)
        yield None


def new_clock(stream: VideoStream) -> Clock:
    """Return a clock with the container's nominal step (1/25 s if that is implausible)."""
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if is_without_time_stamps(stream.container):
        # The average is FFmpeg's default; what the stream says is in the guess.
        rates = rates[1:]
    rate = next((rate for rate in rates if rate), None)
    sane = rate is not None and 0.01 <= rate <= 1000
    return Clock(1 / float(rate) if sane else 1 / 25)


def may_jump(container: InputContainer) -> bool:
    """Whether time stamps may jump in files of the container's format."""
    return bool(container.format.flags & Flags.ts_discont.value)


def is_without_time_stamps(container: InputContainer) -> bool:
    """Whether a file is a stream without a container, as a codec writes it."""
    return bool(container.format.flags & Flags.no_timestamps.value)


def jump_remover(container: InputContainer, stream: VideoStream) -> JumpRemover | None:
    """What closes jumps in the time stamps; None where the format has none."""
    if not may_jump(container):
        return None
    second = float(1 / stream.time_base)
    return JumpRemover(second, new_clock(stream).nominal * second)


def stated_rate(path: Path) -> float:
    """Frames per second that a video's container states (25 where that is not sane)."""
    with open_video(path) as (_, stream):
        return 1 / new_clock(stream).nominal


def time_frames(
    container: InputContainer, stream: VideoStream, frames: Iterable[av.VideoFrame], clock: Clock
) -> Iterator[tuple[float | None, av.VideoFrame]]:
    """Pair each frame with the time that the clock gives it."""
    # AVI has no presentation times: FFmpeg makes them up, wrongly with B frames; its decoding times
    # count frames, and a decoder gives frames out in order at a constant delay.
    avi, base = container.format.name == "avi", stream.time_base
    # Dirac without a container counts frames in ticks.
    counted, choose = container.format.name == "dirac", StampChooser().choose
    top, bottom = base.numerator, base.denominator
    for frame in frames:
        ticks = frame.dts if avi else choose(frame.pts, frame.dts)
        if counted:
            ticks = None
        stamp = None if ticks is None else ticks * top / bottom
        yield clock.tick(stamp, frame.duration * top / bottom), frame


def declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return the video stream's duration in seconds as the container declares it; 0 if unknown."""
    if container.format.name == "avi" and stream.time_base:
        # FFmpeg cuts the duration to what there is; the header's count of frames stays.
        return float(stream.frames * stream.time_base)
    if container.format.name in _SIZES:
        # One wild time stamp makes the duration wrong. Its size tells that the file is whole.
        fields = _read_fields(container, *_SIZES[container.format.name])
        if fields is not None and fields[0] == container.size:
            return 0.0
        if container.format.name == "asf" and fields is not None and not container.duration:
            # FFmpeg does not believe the header of a file of another size.
            _, play, preroll, flags = fields
            return 0.0 if flags & _BROADCAST else max(0.0, play / 1e7 - preroll / 1e3)
    if stream.duration and container.format.name != "asf":
        return float(_edited(stream) * stream.time_base)
    # Matroska says it of streams in a tag, and of the file (which audio may prolong).
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    if match is not None:
        end = 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
    else:
        alone = len(container.streams) == 1 and container.duration
        end = container.duration / av.time_base if alone else 0.0
    # Most count from time 0, which may be long before the first frame.
    start = float((stream.start_time or 0) * stream.time_base)
    return end - start if 0 < start < end else end


def _read_fields(container: InputContainer, before: bytes, layout: str) -> tuple[float, ...] | None:
    """Numbers that stand behind the first such bytes near a file's start; None: there are none."""
    with Path(container.name.removeprefix("file:")).open("rb") as file:
        _, separator, fields = file.read(1 << 16).partition(before)
    size = struct.calcsize(layout)
    return struct.unpack(layout, fields[:size]) if separator and len(fields) >= size else None


def _edited(stream: VideoStream) -> int:
    """Ticks that the stream lasts. An edit list may promise more than lies behind its start."""
    index = stream.index_entries
    if len(index) < 2 or not index[0].is_discard:
        return stream.duration
    return min(stream.duration, 2 * index[-1].timestamp - index[-2].timestamp)


def summarise_error(error: BaseException) -> str:
    """Return an error's message as one line of at most 200 characters."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]
