"""Read frames of a video file in-process: exact counts, any range, any target rate, any size."""

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

# Below this many seconds, decoding from the start costs no more than looking for a key frame.
_SEEK_AFTER = 3.0


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
    """Frames ``first`` to ``first + count - 1`` of a video, turned upright.

    Args:
        path: a local video file.
        first: number of the first frame, counted at the target rate.
        count: how many frames; None reads to the end.
        rate: target rate in frames a second: frame k is the last source frame shown by ``k / rate``
            seconds (see :mod:`video_lstm.video.timing`); None takes every source frame once.
        size: resize to cover this (height, width), keeping proportions, and cut evenly.
        crop: then keep the central (height, width).
        gray: luma, stretched to 0..255, in place of RGB.
        frames: the number of source frames that :func:`video_lstm.video.probe.probe` counted. With
            it, a range far into the video is reached by seeking; without, by decoding from the
            start. The frames are the same.

    Returns:
        uint8 (N, H, W, 3), or (N, H, W) with ``gray``.

    Raises:
        UnreadableVideoError: the file cannot be read, or has fewer frames than asked for.
        UserError: the crop is larger than the frame.
    """
    reader = _Reader(path, first, count, rate, size, crop, "gray" if gray else "rgb", frames)
    return reader.array()


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
    """As :func:`read_frames`, with the conversion to RGB left to the caller's device.

    Returns:
        uint8 (N, H, W, 3) of Y, U, V, and the (3, 4) float32 matrix that takes (Y, U, V, 1) to
        (R, G, B), to be rounded and clipped to 0..255.
    """
    reader = _Reader(path, first, count, rate, size, crop, "yuv", frames)
    return reader.array(), reader.convert.matrix


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
    """As :func:`read_frames`, one frame at a time: faster, and no more memory than a frame.

    Yields:
        uint8 (H, W, 3) or (H, W), each in memory of its own; rows may be padded.
    """
    reader = _Reader(path, first, count, rate, size, crop, "gray" if gray else "rgb", frames)
    yield from reader


class UnreadableClipError(UserError):
    """The frames of a clip cannot be read, though the probe of the video counted them.

    Attributes:
        path: the file.
        reason: why not, without the file's name.
    """

    def __init__(self, clip: Clip, reason: str) -> None:
        self.path, self.reason = clip.path, reason
        super().__init__(
            f"{clip.path}: expected frames {clip.first} to {clip.first + clip.frames - 1} as "
            f"indexed, found: {reason}; index the videos again"
        )


@contextlib.contextmanager
def reading_frames(clip: Clip) -> Iterator[None]:
    """Turn whatever reading a clip's frames raises in the block into an error that names the file.

    Raises:
        UnreadableClipError: the file cannot be read.
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
    """One pass over a range of a video's frames."""

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

    def array(self) -> np.ndarray:
        """The whole range."""
        if self.count is None:
            return np.stack(list(self))
        out: np.ndarray | None = None
        for index, frame in enumerate(self._range()):
            image = self.convert(frame)
            if out is None:
                out = np.empty((self.count, *image.shape), np.uint8)
            out[index] = image
        if out is None:
            raise UnreadableVideoError("expected at least one frame to be asked for, found 0")
        return out

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._range():
            yield self.convert(frame)

    def _range(self) -> Iterator[av.VideoFrame]:
        """The frames of the range, each checked to be there."""
        done = 0
        for may_seek in (True, False):
            try:
                for frame in self._picked(self.first + done, may_seek):
                    if done == self.count:
                        return
                    done += 1
                    yield frame
                if self.count is None or done == self.count:
                    break
            except SeekError:
                # The file's key frames are not what they claim: go on from here the slow way.
                continue
        if done == 0 or (self.count is not None and done < self.count):
            wanted = "the end" if self.count is None else str(self.first + self.count - 1)
            raise UnreadableVideoError(
                f"{self.path}: expected frames {self.first} to {wanted}, found {done} of them; "
                "the file is not the one that was indexed, index the data set again"
            )

    def _picked(self, first: int, may_seek: bool) -> Iterator[av.VideoFrame]:
        """Frames at the target rate, from ``first`` on."""
        seek_point = None
        with open_video(self.path) as (container, stream):
            if self.convert is None:
                display = Display.of(container, stream)
                self.convert = Converter(display, self.size, self.crop, self.kind)
            clock = new_clock(stream)
            seconds = first / self.rate if self.rate else first * clock.nominal
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
