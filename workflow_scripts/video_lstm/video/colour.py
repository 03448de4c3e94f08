"""Convert decoded frames to arrays of RGB, luma, or YUV (to be converted later).

Frames that are not resized are converted by FFmpeg's own library, so that they equal those of the
ffmpeg program in every pixel format. Frames that are resized have their planes cut and resized
first and their colours converted last, when fewer pixels are left.
"""

from fractions import Fraction
from typing import Literal

import av
import av.error
import av.filter
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from video_lstm.video.geometry import (
    Display,
    Orientation,
    Region,
    Size,
    display_matrix,
    plan_region,
)
from video_lstm.video.source import UnreadableVideoError, UnsupportedVideoError

Kind = Literal["rgb", "gray", "yuv"]

# Planar formats with 8 bits a sample. Any other one goes through FFmpeg's conversion as a whole.
_PLANAR = {"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"}

_BT601 = (0.299, 0.114)
# AVColorSpace -> (Kr, Kb), the weights of red and blue in luma (ITU-T H.273, table 4). Unspecified
# (2) is BT.601, as in the ffmpeg program.
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    2: _BT601,
    5: _BT601,
    6: _BT601,
    9: (0.2627, 0.0593),
}
_JPEG_RANGE = int(ColorRange.JPEG)
# An object where a name would be looked up for each frame.
_RGB24 = av.VideoFormat("rgb24")
# Bytes of RGB; the C library gives larger pieces of memory back to the system when they are freed.
_SMALL = 100_000


def yuv_to_rgb(kr: float, kb: float, full_range: bool) -> np.ndarray:
    """The (3, 4) float32 matrix that takes 8-bit (Y, U, V, 1) to 8-bit (R, G, B).

    Args:
        kr: weight of red in luma.
        kb: weight of blue in luma.
        full_range: Y, U, V use 0..255 (else 16..235 and 16..240). Source: ITU-T H.273, 8.3.
    """
    kg = 1 - kr - kb
    chroma = np.array(
        [
            [0, 2 * (1 - kr)],
            [-2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
            [2 * (1 - kb), 0],
        ]
    )
    y_scale, y_offset, c_scale = (1, 0, 1) if full_range else (255 / 219, 16, 255 / 224)
    linear = np.hstack([np.full((3, 1), y_scale), chroma * c_scale])
    offset = -linear @ np.array([[y_offset], [128], [128]])
    return np.hstack([linear, offset]).astype(np.float32)


class Converter:
    """Turns the frames of one video into arrays of one shape.

    A stream may change its pixel format, bit depth, colour matrix, range or orientation on the way:
    the frames of each have a :class:`FormatConverter`.

    Args:
        display, size, crop, kind: as for :class:`FormatConverter`.
    """

    def __init__(self, display: Display, size: Size | None, crop: Size | None, kind: Kind) -> None:
        self._arguments = (display, size, crop, kind)
        self._key: tuple[object, ...] = ()
        self._rotation: int | None = None
        self._display_matrix = b""
        self._convert: FormatConverter | None = None
        self._converters: dict[tuple[object, ...], FormatConverter] = {}
        self._correction: np.ndarray | None = None
        self.shape: tuple[int, ...] = ()
        """Shape of every array; known from the first frame on."""
        self.matrix = np.empty((0, 4), np.float32)
        """Colour matrix of the first frame, see :class:`FormatConverter`; later ones adapt."""

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 of this converter's shape, in memory of its own, rows perhaps padded.

        Raises:
            UserError: the crop does not fit.
            UnreadableVideoError: no conversion from the frame's format.
            UnsupportedVideoError: the size on display changes.
        """
        key = self._format_of(frame)
        if key != self._key:
            self._switch(key, frame)
        image = self._convert(frame)
        return image if self._correction is None else cv2.transform(image, self._correction)

    def check(self, frame: av.VideoFrame) -> None:
        """Convert a frame if none of its format was converted before; raises as a call does."""
        key = self._format_of(frame)
        if key not in self._converters:
            self(frame)

    def _format_of(self, frame: av.VideoFrame) -> tuple[object, ...]:
        """Return what the conversion of a frame depends on.

        The display matrix is read at key frames and where the rotation changes: a frame whose side
        data is read refers to itself, so that its buffer is not reused for the next ones.
        """
        if frame.key_frame or frame.rotation != self._rotation:
            self._rotation, self._display_matrix = frame.rotation, display_matrix(frame)
        return frame.format.name, frame.colorspace, frame.color_range, self._display_matrix

    def _switch(self, key: tuple[object, ...], frame: av.VideoFrame) -> None:
        """Convert this frame and those after it as frames of its format."""
        if key not in self._converters:
            self._converters[key] = FormatConverter(frame, *self._arguments)
        self._key, self._convert = key, self._converters[key]
        shape, matrix = self._convert.shape, self._convert.matrix
        if not self.shape:
            self.shape, self.matrix = shape, matrix
        if shape != self.shape:
            change = f"{self.shape[1]}x{self.shape[0]} to {shape[1]}x{shape[0]}"
            raise UnsupportedVideoError(f"frame size on display changes: {change}")
        self._correction = None
        if self._arguments[-1] == "yuv" and not np.array_equal(matrix, self.matrix):
            # By way of RGB: from this format's YUV to the first one's.
            inverse = np.linalg.inv(np.vstack([self.matrix, [0, 0, 0, 1]]))
            self._correction = (inverse @ np.vstack([matrix, [0, 0, 0, 1]]))[:3].astype(np.float32)


class FormatConverter:
    """Turns frames of one format into arrays of one shape.

    Args:
        frame: the first of the frames; what it says of size, format, colours and orientation is
            taken to hold for the others.
        display: how the container wants its frames shown.
        size: cover this (height, width), see :func:`plan_region`.
        crop: then take the central (height, width).
        kind: ``rgb`` (H, W, 3); ``gray`` (H, W), luma stretched to 0..255; ``yuv`` (H, W, 3) with
            chroma at full resolution, to be converted with ``matrix``.

    Raises:
        UserError: the crop does not fit.
        UnreadableVideoError: no conversion from the frame's format, or nothing to show of it.
    """

    def __init__(
        self,
        frame: av.VideoFrame,
        display: Display,
        size: Size | None,
        crop: Size | None,
        kind: Kind,
    ) -> None:
        self.orientation = Orientation.of(frame)
        stored = (frame.height, frame.width)
        visible = display.visible(frame)
        upright = self.orientation.size(visible[2:])
        displayed = display.stretched(upright, self.orientation.transpose)
        top, left, height, width = visible
        cropping = [("crop", f"{width}:{height}:{left}:{top}:exact=1")]
        self._steps = (cropping if visible[2:] != stored else []) + self.orientation.filters
        self._stretch = f"{displayed[1]}:{displayed[0]}:" if displayed != upright else ""
        region, output = plan_region(displayed, size, crop)
        self.shape: tuple[int, ...] = output if kind == "gray" else (*output, 3)
        self._convert = {"rgb": self._rgb, "gray": self._gray, "yuv": self._yuv}[kind]
        self._output = output
        self._resized = region != output
        self._display_region = (
            (displayed[0] - region[0]) // 2,
            (displayed[1] - region[1]) // 2,
            *region,
        )
        self._stored = self.orientation.stored_region(self._display_region, displayed)
        # FFmpeg converts frames of odd size in another way, and so do their parts have to be.
        odd = stored[0] % 2 == 1 or stored[1] % 2 == 1
        self._whole = region == displayed or odd
        weights = _LUMA_WEIGHTS.get(frame.colorspace)
        # What is cropped or stretched for display is converted as a whole, too.
        as_stored = visible[2:] == stored and displayed == upright
        self._planar = frame.format.name in _PLANAR and weights is not None and as_stored
        turned = self.orientation != Orientation()
        self._plain = self._planar and not turned and region == displayed == output and not odd
        self._small = 3 * frame.width * frame.height < _SMALL
        self._graph: av.filter.Graph | None = None
        self._reformatter = VideoReformatter()
        # What is not planar is converted to BT.601 in full range.
        full = frame.color_range == _JPEG_RANGE or frame.format.name.startswith("yuvj")
        self._full_range = full or not self._planar
        self.matrix = yuv_to_rgb(*(weights if self._planar else _BT601), self._full_range)
        """(3, 4) float32: takes (Y, U, V, 1) of kind ``yuv`` to (R, G, B), yet to be clipped."""

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 of this converter's shape, in memory of its own, rows perhaps padded."""
        try:
            return self._convert(frame)
        except (av.error.FFmpegError, cv2.error, ValueError) as error:
            if isinstance(error, MemoryError) or getattr(error, "code", 0) == cv2.Error.StsNoMem:
                raise  # not the file's fault
            raise UnreadableVideoError(
                f"no conversion of its pixel format {frame.format.name} ({error})"
            ) from error

    def _rgb(self, frame: av.VideoFrame) -> np.ndarray:
        if self._plain:
            # The bare conversion does the same here, and costs less while frames are small; large
            # ones it takes from the system anew, where the filters have a pool.
            if self._small and not frame.interlaced_frame:
                return _rgb_image(self._reformatter.reformat(frame, format=_RGB24, threads=1))
            return _rgb_image(self._filtered(frame, "rgb24"))
        if self._planar and self._resized:
            return cv2.transform(self._yuv(frame), self.matrix)
        if self._planar and not self._whole:
            return self._cropped(frame)
        # Copied: where there was nothing to convert, this is the decoder's own memory.
        return self._fit(_rgb_image(self._filtered(frame, "rgb24"))).copy()

    def _gray(self, frame: av.VideoFrame) -> np.ndarray:
        if not self._planar:
            return self._fit(_planes(self._filtered(frame, "gray"))[0]).copy()
        luma = self._part(_planes(frame)[0], 1, 1)
        return luma.copy() if self._full_range else cv2.LUT(luma, _STRETCH)

    def _yuv(self, frame: av.VideoFrame) -> np.ndarray:
        planes = _planes(frame)
        if not self._planar:
            options = "out_color_matrix=bt601:out_range=pc"
            planes = _planes(self._filtered(frame, "yuv444p", options))
            return cv2.merge([self._fit(plane) for plane in planes])
        return cv2.merge([self._part(plane, *_subsampling(frame, plane)) for plane in planes])

    def _cropped(self, frame: av.VideoFrame) -> np.ndarray:
        """RGB of a region, of which alone the colours are converted, as FFmpeg does."""
        top, left, height, width = self._stored
        # Whole chroma samples: grow the region to even edges, convert, cut.
        odd_top, odd_left = top % 2, left % 2
        grown = (height + odd_top + 1) // 2 * 2, (width + odd_left + 1) // 2 * 2
        small = av.VideoFrame(grown[1], grown[0], frame.format.name)
        small.colorspace, small.color_range = frame.colorspace, frame.color_range
        for source, target in zip(_planes(frame), _planes(small), strict=True):
            down, across = _subsampling(frame, source)
            y, x = (top - odd_top) // down, (left - odd_left) // across
            target[...] = source[y : y + target.shape[0], x : x + target.shape[1]]
        image = _rgb_image(self._filtered(small, "rgb24"))
        inner = (odd_top, odd_left, height, width)
        return _cut(image, self.orientation.shown_region(inner, image.shape[:2]))

    def _part(self, plane: np.ndarray, down: int, across: int) -> np.ndarray:
        """The region of a stored plane at the output's size, upright.

        ``down`` and ``across``: rows and columns of the frame that one sample stands for.
        """
        top, left, height, width = self._stored
        rows = slice(top // down, -(-(top + height) // down))
        columns = slice(left // across, -(-(left + width) // across))
        part = plane[rows, columns]
        halved = top % down or left % across
        # The last sample of a frame of odd size stands for what is left of the frame.
        halved = halved or ((top + height) % down and rows.stop < plane.shape[0])
        halved = halved or ((left + width) % across and columns.stop < plane.shape[1])
        if halved or (not self._resized and (down, across) != (1, 1)):
            # The region's edges fall between samples of chroma: cut where there is one a pixel.
            size = part.shape[1] * across, part.shape[0] * down
            whole = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            part = _cut(whole, (top % down, left % across, height, width))
        part = _resize(part, self.orientation.size(self._output))
        return np.ascontiguousarray(self.orientation.apply(part))

    def _fit(self, image: np.ndarray) -> np.ndarray:
        """The region of a whole upright image, at the output's size."""
        return _resize(_cut(image, self._display_region), self._output)

    def _filtered(self, frame: av.VideoFrame, layout: str, options: str = "") -> av.VideoFrame:
        """A frame upright and in another pixel format, by the filters the ffmpeg program uses.

        The bare conversion (``VideoFrame.reformat``) takes another place for the chroma of 10-bit
        video and another way with interlaced frames, and starts threads for each frame.
        """
        if self._graph is None:
            self._graph = graph = av.filter.Graph()
            graph.threads = 1
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=Fraction(1, 1000),
            )
            steps = [
                *self._steps,
                ("scale", f"{self._stretch}flags=bicubic" + (":" + options if options else "")),
                ("format", layout),
                ("buffersink", None),
            ]
            graph.link_nodes(source, *(graph.add(*step) for step in steps)).configure()
        self._graph.vpush(frame)
        return self._graph.vpull()


_STRETCH = np.clip(np.rint((np.arange(256) - 16.0) * 255 / 219), 0, 255).astype(np.uint8)


def _rows(plane: av.video.plane.VideoPlane, width: int, height: int) -> np.ndarray:
    """A view of a plane's bytes, (height, width), without the padding at the end of rows."""
    stride = plane.line_size
    image = np.frombuffer(plane, np.uint8, count=abs(stride) * height).reshape(height, abs(stride))
    # A negative stride means that the rows lie in memory bottom up.
    return image[:: 1 if stride > 0 else -1, :width]


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Views of the planes of a frame with 8 bits a sample, each (height, width)."""
    return [_rows(plane, plane.width, plane.height) for plane in frame.planes]


def _rgb_image(frame: av.VideoFrame) -> np.ndarray:
    """A view of an rgb24 frame, (H, W, 3)."""
    plane = frame.planes[0]
    stride, height = plane.line_size, plane.height
    # A negative stride means that the rows lie in memory bottom up.
    first = 0 if stride > 0 else (height - 1) * -stride
    return np.ndarray((height, plane.width, 3), np.uint8, plane, first, (stride, 3, 1))


def _subsampling(frame: av.VideoFrame, plane: np.ndarray) -> Size:
    """How many rows and columns of luma one sample of a plane stands for."""
    return -(-frame.height // plane.shape[0]), -(-frame.width // plane.shape[1])


def _cut(image: np.ndarray, region: Region) -> np.ndarray:
    top, left, height, width = region
    return image[top : top + height, left : left + width]


def _resize(image: np.ndarray, size: Size) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)
