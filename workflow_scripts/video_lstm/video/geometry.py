"""Geometry of decoded frames for display: cropping, rotation, stretching, resizing."""

import functools
import re
import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.filter
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from video_lstm.errors import UserError
from video_lstm.video.source import MAX_PIXELS, UnreadableVideoError, UnsupportedVideoError

Size = tuple[int, int]
Region = tuple[int, int, int, int]

# Kinds of side data that FFmpeg's libraries may attach to a frame and PyAV has no name for.
_UNNAMED = range(28, 64)


@dataclass(frozen=True)
class Orientation:
    """How stored pixels are turned for display: transposed first, then mirrored."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """The orientation in the display matrix that the container attached to a frame."""
        data = display_matrix(frame)
        if not data:
            return cls()
        a, b, _, c, d = np.frombuffer(data, np.int32)[:5].astype(np.float64)
        largest = max(abs(a), abs(b), abs(c), abs(d))
        # Less than one degree off a quarter turn, as in the ffmpeg program.
        if largest > 0 and max(abs(b), abs(c)) < largest * np.sin(np.pi / 180):
            return cls(False, d < 0, a < 0)
        if largest > 0 and max(abs(a), abs(d)) < largest * np.sin(np.pi / 180):
            return cls(True, b < 0, c < 0)
        raise UnsupportedVideoError("turned by an angle that is not a multiple of 90 degrees")

    def size(self, stored: Size) -> Size:
        """(height, width) on display of a stored (height, width), or the reverse."""
        return (stored[1], stored[0]) if self.transpose else stored

    def stored_region(self, region: Region, display: Size) -> Region:
        """The stored (top, left, height, width) of a region of the displayed frame."""
        top, left, height, width = self._flipped(region, display)
        return (left, top, width, height) if self.transpose else (top, left, height, width)

    def shown_region(self, stored: Region, display: Size) -> Region:
        """The displayed (top, left, height, width) of a region of the stored frame."""
        top, left, height, width = stored
        turned = (left, top, width, height) if self.transpose else stored
        return self._flipped(turned, display)

    def _flipped(self, region: Region, display: Size) -> Region:
        top, left, height, width = region
        if self.flip_rows:
            top = display[0] - top - height
        if self.flip_columns:
            left = display[1] - left - width
        return top, left, height, width

    @property
    def filters(self) -> list[tuple[str, str]]:
        """FFmpeg's filters that do it, with their options."""
        steps = [("transpose", "cclock_flip")] if self.transpose else []
        steps += [("vflip", "")] if self.flip_rows else []
        return steps + ([("hflip", "")] if self.flip_columns else [])

    def apply(self, image: np.ndarray) -> np.ndarray:
        """A view of stored (H, W, ...) pixels as they are displayed."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


@dataclass(frozen=True)
class Display:
    """How the container asks a player to show its frames, besides turning them.

    A player crops, then turns, then stretches; and so does the ffmpeg program, with
    ``scale=iw*sar:ih``.
    """

    margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Stored pixels to crop off: on the left, on the right, above, below."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a stored pixel over its height."""

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> "Display":
        """What the container says."""
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return cls(_margins(container, stream), aspect)

    def visible(self, frame: av.VideoFrame) -> Region:
        """The stored (top, left, height, width) that is shown, as FFmpeg's `crop` rounds it.

        Raises:
            UnreadableVideoError: nothing is left of the frame.
        """
        # Whole samples of chroma: pixels that one of them stands for.
        across = 64 // (frame.format.chroma_width(64) or 64)
        down = 64 // (frame.format.chroma_height(64) or 64)
        left, right, above, below = self.margins
        height = (frame.height - above - below) // down * down if above + below else frame.height
        width = (frame.width - left - right) // across * across if left + right else frame.width
        if min(height, width) < 1:
            raise UnreadableVideoError("its container crops the whole frame away")
        return above // down * down, left // across * across, height, width

    def stretched(self, upright: Size, transposed: bool) -> Size:
        """(height, width) on display of a visible part that is turned upright.

        Raises:
            UnreadableVideoError: beyond the limit of pixels.
        """
        height, width = upright
        aspect = 1 / self.pixel_aspect if transposed else self.pixel_aspect
        # As FFmpeg evaluates `scale=iw*sar:ih`; 0 keeps the width.
        width = int(width * float(aspect)) or width
        if height * width > MAX_PIXELS:
            raise UnreadableVideoError(f"frames shown as {width}x{height} are beyond 8K")
        return height, width


def plan_region(frame_size: Size, size: Size | None, crop: Size | None) -> tuple[Size, Size]:
    """Plan which centred part of a frame becomes the output, and the output's size.

    Args:
        frame_size: (height, width) of the frame on display.
        size: the frame is enlarged or shrunk, keeping its proportions, until it just covers this
            (height, width), and what sticks out is cut off evenly on both sides; None keeps it.
        crop: the central (height, width) of that; None keeps all.

    Returns:
        (height, width) of the central region of the frame, in its own pixels, and of the output.

    Raises:
        UserError: the crop is larger than what it is cut from.
    """
    whole = size or frame_size
    output = crop or whole
    if output[0] > whole[0] or output[1] > whole[1]:
        raise UserError(
            f"crop: expected at most the frame's {whole[0]}x{whole[1]} (height x width), "
            f"found {output[0]}x{output[1]}; set a smaller crop or resize first"
        )
    if size is None:
        return output, output
    scale = max(size[0] / frame_size[0], size[1] / frame_size[1])
    region = tuple(
        min(s, max(1, round(o / scale))) for o, s in zip(output, frame_size, strict=True)
    )
    return (region[0], region[1]), output


def display_matrix(frame: av.VideoFrame) -> bytes:
    """What the file says of turning and mirroring a frame; empty where it says nothing."""
    data = _side_data(frame, "DISPLAYMATRIX")
    return b"" if data is None else bytes(data)


def _side_data(frame: av.VideoFrame, name: str) -> Any:
    """Side data of a frame by PyAV's name for it, whatever else is attached to the frame."""
    try:
        return frame.side_data.get(name)
    except ValueError:
        # PyAV gives none at all where it has no name for one of them, such as Exif.
        form = frame.width, frame.height, frame.format.name
        graph = _unnamed_data_remover(threading.get_ident(), *form)
        graph.vpush(frame)
        return graph.vpull().side_data.get(name)


@functools.lru_cache(maxsize=8)
def _unnamed_data_remover(thread: int, width: int, height: int, layout: str) -> av.filter.Graph:
    """Filters that take away the side data of frames that PyAV has no name for, for one thread."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat(layout), time_base=Fraction(1, 1000)
    )
    steps = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in _UNNAMED]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    return graph


# A level of FFmpeg's log holds for the whole process.
_log_lock = threading.Lock()


def _margins(container: InputContainer, stream: VideoStream) -> tuple[int, int, int, int]:
    """Stored pixels that the container crops off: left, right, above, below."""
    if not container.format.name.startswith(("mov", "matroska")):
        return 0, 0, 0, 0
    # PyAV hands out no side data of streams; FFmpeg's description of the file tells it.
    with _log_lock, av.logging.Capture(local=False):
        level = av.logging.get_level()
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.INFO)
        try:
            description = container.dumps_format()  # type: ignore[attr-defined]
        finally:
            av.logging.set_level(level)
    parts = re.split(r"^  Stream #0:(\d+)", description, flags=re.MULTILINE)
    described = dict(zip(parts[1::2], parts[2::2], strict=True))
    cropping = r"^      Frame [Cc]ropping: (\d+)/(\d+)/(\d+)/(\d+)$"
    match = re.search(cropping, described.get(str(stream.index), ""), re.MULTILINE)
    return tuple(map(int, match.groups())) if match else (0, 0, 0, 0)
