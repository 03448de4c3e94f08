"""Geometry of decoded frames on display: cropping, rotation, pixel aspect ratio, resizing."""

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

# Types of frame side data of FFmpeg's libraries for which PyAV has no name.
_UNNAMED = range(28, 64)
# Codecs with frequent key frames that store no orientation, so that the container's holds for all.
_UPRIGHT_CODECS = {"mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9"}


@dataclass(frozen=True)
class Orientation:
    """Rotation and mirroring of stored pixels for display: a transposition, then flips."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def from_frame(cls, frame: av.VideoFrame) -> "Orientation":
        """Read the orientation from the display matrix of a frame.

        Raises:
            UnsupportedVideoError: The rotation is not a multiple of 90 degrees.
        """
        data = display_matrix(frame)
        if not data:
            return cls()
        a, b, _, c, d = np.frombuffer(data, np.int32)[:5].astype(np.float64)
        largest = max(abs(a), abs(b), abs(c), abs(d))
        # Accept angles within one degree of a quarter turn, as the ffmpeg program does.
        if largest > 0 and max(abs(b), abs(c)) < largest * np.sin(np.pi / 180):
            return cls(False, d < 0, a < 0)
        if largest > 0 and max(abs(a), abs(d)) < largest * np.sin(np.pi / 180):
            return cls(True, b < 0, c < 0)
        raise UnsupportedVideoError("turned by an angle that is not a multiple of 90 degrees")

    def display_size(self, stored: Size) -> Size:
        """Convert a stored (height, width) to display, or the reverse."""
        return (stored[1], stored[0]) if self.transpose else stored

    def stored_region(self, region: Region, display: Size) -> Region:
        """Convert a region (top, left, height, width) of the displayed frame to the stored one."""
        top, left, height, width = self._flip_region(region, display)
        return (left, top, width, height) if self.transpose else (top, left, height, width)

    def display_region(self, stored: Region, display: Size) -> Region:
        """Convert a region (top, left, height, width) of the stored frame to the displayed one."""
        top, left, height, width = stored
        transposed = (left, top, width, height) if self.transpose else stored
        return self._flip_region(transposed, display)

    def _flip_region(self, region: Region, display: Size) -> Region:
        """Apply the flips to a region of a frame with the displayed size."""
        top, left, height, width = region
        if self.flip_rows:
            top = display[0] - top - height
        if self.flip_columns:
            left = display[1] - left - width
        return top, left, height, width

    @property
    def filters(self) -> list[tuple[str, str]]:
        """Equivalent FFmpeg filters: their names and options."""
        steps = [("transpose", "cclock_flip")] if self.transpose else []
        steps += [("vflip", "")] if self.flip_rows else []
        return steps + ([("hflip", "")] if self.flip_columns else [])

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return a view of stored pixels (H, W, ...) in display orientation."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


@dataclass(frozen=True)
class Display:
    """Cropping and pixel aspect ratio that the container sets for display.

    A player crops, then rotates, then stretches, as does the ffmpeg program with
    ``scale=iw*sar:ih``.
    """

    margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Stored pixels to crop: left, right, top, bottom."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a stored pixel divided by its height."""
    may_turn: bool = True
    """Whether each key frame may have another orientation."""

    @classmethod
    def from_container(cls, container: InputContainer, stream: VideoStream) -> "Display":
        """Read the display settings of a stream from its container."""
        aspect = stream.sample_aspect_ratio or Fraction(1)
        may_turn = stream.codec_context.name not in _UPRIGHT_CODECS
        return cls(_read_margins(container, stream), aspect, may_turn)

    def visible_region(self, frame: av.VideoFrame) -> Region:
        """Return the stored region (top, left, height, width) to show, rounded as by FFmpeg's crop.

        Raises:
            UnreadableVideoError: The margins cover the whole frame.
        """
        # Pixels per chroma sample; margins are whole samples.
        pixels_x = 64 // (frame.format.chroma_width(64) or 64)
        pixels_y = 64 // (frame.format.chroma_height(64) or 64)
        left, right, above, below = self.margins
        height = (
            (frame.height - above - below) // pixels_y * pixels_y if above + below else frame.height
        )
        width = (frame.width - left - right) // pixels_x * pixels_x if left + right else frame.width
        if min(height, width) < 1:
            raise UnreadableVideoError("its container crops the whole frame away")
        return above // pixels_y * pixels_y, left // pixels_x * pixels_x, height, width

    def display_size(self, upright: Size, transposed: bool) -> Size:
        """Return the displayed (height, width) of the visible region after rotation.

        Args:
            upright: Height and width of the visible region after rotation, in stored pixels.
            transposed: Whether the rotation swaps height and width.

        Raises:
            UnreadableVideoError: The frame has more than `MAX_PIXELS` pixels on display.
        """
        height, width = upright
        aspect = 1 / self.pixel_aspect if transposed else self.pixel_aspect
        # As FFmpeg evaluates `scale=iw*sar:ih`, where 0 means the original width.
        width = int(width * float(aspect)) or width
        if height * width > MAX_PIXELS:
            raise UnreadableVideoError(f"frames shown as {width}x{height} are beyond 8K")
        return height, width


def plan_region(frame_size: Size, size: Size | None, crop: Size | None) -> tuple[Size, Size]:
    """Return the size of the centred region of a frame that becomes the output, and of the output.

    Args:
        frame_size: Height and width of the frame on display.
        size: Height and width that the frame is resized to cover, keeping its proportions, and
            cropped to around the centre; None: no resizing.
        crop: Height and width of the centre crop after resizing; None: no crop.

    Returns:
        Height and width of the region in pixels of the frame, and of the output.

    Raises:
        UserError: The crop is larger than the resized frame.
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
    """Return the bytes of a frame's display matrix; empty if it has none."""
    data = _side_data(frame, "DISPLAYMATRIX")
    return b"" if data is None else bytes(data)


def _side_data(frame: av.VideoFrame, name: str) -> Any:
    """Return side data of a frame by PyAV's name; None if there is none."""
    try:
        return frame.side_data.get(name)
    except ValueError:
        # PyAV fails for all side data if it has no name for one of them, such as Exif.
        layout = frame.width, frame.height, frame.format.name
        graph = _unnamed_data_remover(threading.get_ident(), *layout)
        graph.vpush(frame)
        return graph.vpull().side_data.get(name)


@functools.lru_cache(maxsize=8)
def _unnamed_data_remover(
    thread: int, width: int, height: int, pixel_format: str
) -> av.filter.Graph:
    """Return a filter graph, for one thread, that removes side data without a name in PyAV."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat(pixel_format), time_base=Fraction(1, 1000)
    )
    steps = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in _UNNAMED]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    return graph


# The level of FFmpeg's log is global to the process.
_log_lock = threading.Lock()


def _read_margins(container: InputContainer, stream: VideoStream) -> tuple[int, int, int, int]:
    """Read the stored pixels that the container crops: left, right, top, bottom."""
    if not container.format.name.startswith(("mov", "matroska")):
        return 0, 0, 0, 0
    # PyAV does not expose side data of streams, but FFmpeg's description of the file has it.
    with _log_lock, av.logging.Capture(local=False):
        level = av.logging.get_level()
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.INFO)
        try:
            description = container.dumps_format()  # type: ignore[attr-defined]
        finally:
            av.logging.set_level(level)
    sections = re.split(r"^  Stream #0:(\d+)", description, flags=re.MULTILINE)
    description_by_stream = dict(zip(sections[1::2], sections[2::2], strict=True))
    cropping = r"^      Frame [Cc]ropping: (\d+)/(\d+)/(\d+)/(\d+)$"
    match = re.search(cropping, description_by_stream.get(str(stream.index), ""), re.MULTILINE)
    return tuple(map(int, match.groups())) if match else (0, 0, 0, 0)
