"""Read any range of a video's frames in-process, at any target rate and size."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from video_lstm.errors import UserError, is_out_of_memory
from video_lstm.video.clips import Clip
from video_lstm.video.colour import Converter, Kind
from video_lstm.video.geometry import Display, Size
from video_lstm.video.seek import SeekError, find_seek_point, seek_to
from video_lstm.video.source import (
    DecodeErrors,
    UnreadableVideoError,
    decode_frames,
    new_clock,
    open_video,
    summarise_error,
    time_frames,
)
from video_lstm.video.timing import resample

# Seconds into a video up to which decoding from the start is as fast as seeking to a key frame.
_SEEK_AFTER = 3.0
# Maximal memory to reserve for the frames that a file declares, which may be any number.
_MAX_DECLARED_BYTES = 2**30


def read_frames(
    path: Path,
    first: int = 0,
    count: int | None = None,
    *,
    rate: float | None = None,
    size: Size | None = None,
    crop: Size | None = None,
    gray: bool = False,
    frames: int | None = None,
) -> np.ndarray:
    """Read frames ``first`` to ``first + count - 1`` of a video, in display orientation.

    Args:
        path: Local video file.
        first: Index of the first frame, at the target rate.
        count: Number of frames; None: all until the end.
        rate: Target frame rate in Hz: frame k is the last source frame shown by ``k / rate``
            seconds (see :mod:`video_lstm.video.timing`); None: every source frame once.
        size: Height and width that frames are resized to cover, keeping their proportions, and
            cropped to around the centre; None: no resizing.
        crop: Height and width of the centre crop after resizing; None: no crop.
        gray: Whether to return luma, stretched to 0..255, instead of RGB.
        frames: Number of source frames that :func:`video_lstm.video.probe.probe` counted. With it,
            ranges far into the video are reached by seeking; without, by decoding from the start.
            The frames are the same.

    Returns:
        (N, H, W, 3) uint8, or (N, H, W) with ``gray``.

    Raises:
        UnreadableVideoError: The file cannot be read, or has too few frames.
        UserError: The crop is larger than the frame.
    """
    reader = _Reader(path, first, count, rate, size, crop, "gray" if gray else "rgb", frames)
    return reader.read_array()


def read_yuv(
    path: Path,
    first: int = 0,
    count: int | None = None,
    *,
    rate: float | None = None,
    size: Size | None = None,
    crop: Size | None = None,
    frames: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read frames as YUV, for conversion to RGB on a GPU.

    Args and errors are those of :func:`read_frames`.

    Returns:
        Y, U, V, (N, H, W, 3) uint8, and the matrix that converts (Y, U, V, 1) to (R, G, B) before
        rounding and clipping to 0..255, (3, 4) float32.
    """
    reader = _Reader(path, first, count, rate, size, crop, "yuv", frames)
    return reader.read_array(), reader.convert.matrix


def iter_frames(
    path: Path,
    first: int = 0,
    count: int | None = None,
    *,
    rate: float | None = None,
    size: Size | None = None,
    crop: Size | None = None,
    gray: bool = False,
    frames: int | None = None,
) -> Iterator[np.ndarray]:
    """Read frames one at a time, which is faster and needs the memory of one frame only.

    Args and errors are those of :func:`read_frames`.

    Yields:
        (H, W, 3) or (H, W) uint8, each in new memory; rows may be padded.
    """
    reader = _Reader(path, first, count, rate, size, crop, "gray" if gray else "rgb", frames)
    yield from reader


class UnreadableClipError(UserError):
    """The frames of a clip cannot be read, although the probe of the video counted them.

    Attributes:
        path: File that was read.
        reason: Why it cannot be read, without the file's name.
    """

    def __init__(self, clip: Clip, reason: str) -> None:
        self.path, self.reason = clip.path, reason
        super().__init__(
            f"{clip.path}: expected frames {clip.first} to {clip.first + clip.frames - 1} as "
            f"indexed, found: {reason}; index the videos again"
        )


@contextlib.contextmanager
def reading_frames(clip: Clip) -> Iterator[None]:
    """Convert errors of the block, which reads a clip's frames, to one that names the file.

    Raises:
        UnreadableClipError: The file cannot be read.
    """
    try:
        yield
    except UnreadableVideoError as error:
        raise UnreadableClipError(clip, str(error).removeprefix(f"{clip.path}: ")) from error
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):  # not the file's fault
            raise
        reason = f"reading it fails ({type(error).__name__}: {summarise_error(error)})"
        raise UnreadableClipError(clip, reason) from error


class _Reader:
    """Reads a range of a video's frames; see `read_frames` for the arguments."""

    def __init__(
        self,
        path: Path,
        first: int,
        count: int | None,
        rate: float | None,
        size: Size | None,
        crop: Size | None,
        kind: Kind,
        frames: int | None,
    ) -> None:
        self.path, self.first, self.count, self.rate, self.frames = path, first, count, rate, frames
        self.size, self.crop, self.kind = size, crop, kind
        self.convert: Converter | None = None
        self.declared = 0

    def read_array(self) -> np.ndarray:
        """Read the whole range, (N, H, W, 3) or (N, H, W) uint8."""
        out, done = None, 0
        for frame in self._iter_range():
            image = self.convert(frame)
            if out is None:
                out = np.empty((self._expect_frames(image.nbytes), *image.shape), np.uint8)
            elif done == len(out):
                out, full = np.empty((2 * done, *image.shape), np.uint8), out
                out[:done] = full
            out[done] = image
            done += 1
        if out is None:
            raise UnreadableVideoError("count: expected at least 1 frame, found 0")
        return out[:done]

    def _expect_frames(self, frame_bytes: int) -> int:
        """Return the number of frames to allocate memory for."""
        if self.count is not None:
            return self.count
        return max(1, min(self.declared - self.first, _MAX_DECLARED_BYTES // frame_bytes))

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._iter_range():
            yield self.convert(frame)

    def _iter_range(self) -> Iterator[av.VideoFrame]:
        """Decode the frames of the range; raise if some are missing."""
        done = 0
        for may_seek in (True, False):
            try:
                for frame in self._iter_from(self.first + done, may_seek):
                    if done == self.count:
                        return
                    done += 1
                    yield frame
                if self.count is None or done == self.count:
                    break
            except SeekError:
                # The file's key frames are wrong: decode from the start.
                continue
        if done == 0 or (self.count is not None and done < self.count):
            end = "the end" if self.count is None else str(self.first + self.count - 1)
            raise UnreadableVideoError(
                f"{self.path}: expected frames {self.first} to {end}, found {done} of them; "
                "the file is not the one that was indexed, index the data set again"
            )

    def _iter_from(self, first: int, may_seek: bool) -> Iterator[av.VideoFrame]:
        """Decode frames at the target rate, from ``first`` on."""
        seek_point = None
        with open_video(self.path) as (container, stream):
            if self.convert is None:
                display = Display.from_container(container, stream)
                self.convert = Converter(display, self.size, self.crop, self.kind)
            clock = new_clock(stream)
            seconds = first / self.rate if self.rate else first * clock.nominal
            self.declared = self.frames or stream.frames
            if self.rate:
                self.declared = int(self.declared * clock.nominal * self.rate)
            if may_seek and self.frames is not None and seconds > _SEEK_AFTER:
                seek_point = find_seek_point(self.path, first, self.rate, self.frames)
            if seek_point is None:
                start, source = 0, decode_frames(container, stream, DecodeErrors())
            else:
                start, source = seek_to(container, stream, seek_point, clock)
            if self.rate is None:
                yield from (f for index, f in enumerate(source, start) if index >= first)
            else:
                timed_frames = time_frames(container, stream, source, clock)
                yield from resample(timed_frames, self.rate, clock, first)
