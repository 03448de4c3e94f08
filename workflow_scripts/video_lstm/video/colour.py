"""Convert decoded frames to arrays of RGB, luma, or YUV (for conversion to RGB on a GPU).

Frames that are not resized are converted by FFmpeg's library, so that they equal those of the
ffmpeg program in every pixel format. For frames that are resized, planes are cropped and resized
before colours are converted, when fewer pixels are left.
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

# Planar formats with 8 bits per sample. FFmpeg converts whole frames of all other formats.
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
# An object, because PyAV would look up a name for each frame.
_RGB24 = av.VideoFormat("rgb24")
# Bytes of RGB; the C library returns larger blocks to the system when they are freed.
_MAX_SMALL_BYTES = 100_000


def yuv_to_rgb(kr: float, kb: float, full_range: bool) -> np.ndarray:
    """Return the matrix that converts 8-bit (Y, U, V, 1) to 8-bit (R, G, B) (ITU-T H.273, 8.3).

    Args:
        kr: Weight of red in luma.
        kb: Weight of blue in luma.
        full_range: Whether Y, U, V use 0..255 instead of 16..235 and 16..240.

    Returns:
        (3, 4) float32.
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
    """Converts the frames of a video to arrays of one shape.

    A stream may change its pixel format, bit depth, colour matrix, range or orientation; each
    combination has a :class:`FormatConverter`.

    Args:
        display: Cropping and pixel aspect ratio on display.
        size: Height and width to cover, see :func:`plan_region`; None: no resizing.
        crop: Height and width of the centre crop after resizing; None: no crop.
        kind: Kind of output, see :class:`FormatConverter`.
    """

    def __init__(self, display: Display, size: Size | None, crop: Size | None, kind: Kind) -> None:
        self._arguments = (display, size, crop, kind)
        self._may_turn = display.may_turn
        self._key: tuple[object, ...] = ()
        self._rotation: int | None = None
        self._display_matrix = b""
        self._convert: FormatConverter | None = None
        self._converters: dict[tuple[object, ...], FormatConverter] = {}
        self._correction: np.ndarray | None = None
        self.shape: tuple[int, ...] = ()
        """Shape of every array; set by the first frame."""
        self.matrix = np.empty((0, 4), np.float32)
        """Matrix of the first frame (see :class:`FormatConverter`); others are adapted to it."""

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Convert a frame to uint8 of this converter's shape, in new memory; rows may be padded.

        Raises:
            UserError: The crop is larger than the frame.
            UnreadableVideoError: The pixel format cannot be converted.
            UnsupportedVideoError: The size on display changes.
        """
        key = self._read_format(frame)
        if key != self._key:
            self._select_converter(key, frame)
        image = self._convert(frame)
        return image if self._correction is None else cv2.transform(image, self._correction)

    def check(self, frame: av.VideoFrame) -> None:
        """Check that a frame can be converted, as a call does; each format is converted once."""
        key = self._read_format(frame)
        if key not in self._converters:
            self(frame)

    def _read_format(self, frame: av.VideoFrame) -> tuple[object, ...]:
        """Return the properties of a frame that its conversion depends on.

        The display matrix is read only where it may change, because reading side data creates a
        reference cycle, so that the frame's buffer is not reused: 5% of the time of reading MPEG-4
        with a key frame in every 12.
        """
        if frame.rotation != self._rotation or (frame.key_frame and self._may_turn):
            self._rotation, self._display_matrix = frame.rotation, display_matrix(frame)
        return frame.format.name, frame.colorspace, frame.color_range, self._display_matrix

    def _select_converter(self, key: tuple[object, ...], frame: av.VideoFrame) -> None:
        """Switch to the converter of a frame's format."""
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
            # From this format's YUV through RGB to the first format's YUV.
            inverse = np.linalg.inv(np.vstack([self.matrix, [0, 0, 0, 1]]))
            self._correction = (inverse @ np.vstack([matrix, [0, 0, 0, 1]]))[:3].astype(np.float32)


class FormatConverter:
    """Converts frames of one format to arrays of one shape.

    Args:
        frame: Frame with the size, pixel format, colour space and orientation of all frames.
        display: Cropping and pixel aspect ratio on display.
        size: Height and width to cover, see :func:`plan_region`; None: no resizing.
        crop: Height and width of the centre crop after resizing; None: no crop.
        kind: ``rgb`` (H, W, 3); ``gray`` (H, W), luma stretched to 0..255; ``yuv`` (H, W, 3) with
            chroma at full resolution, to be converted with ``matrix``.

    Raises:
        UserError: The crop is larger than the frame.
        UnreadableVideoError: The pixel format cannot be converted, or nothing of the frame is
            visible.
    """

    def __init__(
        self,
        frame: av.VideoFrame,
        display: Display,
        size: Size | None,
        crop: Size | None,
        kind: Kind,
    ) -> None:
        self.orientation = Orientation.from_frame(frame)
        stored = (frame.height, frame.width)
        visible = display.visible_region(frame)
        upright = self.orientation.display_size(visible[2:])
        displayed = display.display_size(upright, self.orientation.transpose)
        top, left, height, width = visible
        cropping = [("crop", f"{width}:{height}:{left}:{top}:exact=1")]
        self._display_filters = (
            cropping if visible[2:] != stored else []
        ) + self.orientation.filters
        self._scale_size = f"{displayed[1]}:{displayed[0]}:" if displayed != upright else ""
        region, output = plan_region(displayed, size, crop)
        self.shape: tuple[int, ...] = output if kind == "gray" else (*output, 3)
        self._convert = {"rgb": self._to_rgb, "gray": self._to_gray, "yuv": self._to_yuv}[kind]
        self._output = output
        self._is_resized = region != output
        self._display_region = (
            (displayed[0] - region[0]) // 2,
            (displayed[1] - region[1]) // 2,
            *region,
        )
        self._stored_region = self.orientation.stored_region(self._display_region, displayed)
        # FFmpeg converts frames of odd size differently; their regions have to be converted alike.
        is_odd = stored[0] % 2 == 1 or stored[1] % 2 == 1
        self._convert_whole = region == displayed or is_odd
        weights = _LUMA_WEIGHTS.get(frame.colorspace)
        # Frames that are cropped or stretched for display are converted as a whole, too.
        is_displayed_as_stored = visible[2:] == stored and displayed == upright
        self._is_planar = (
            frame.format.name in _PLANAR and weights is not None and is_displayed_as_stored
        )
        is_rotated = self.orientation != Orientation()
        self._is_plain = (
            self._is_planar and not is_rotated and region == displayed == output and not is_odd
        )
        self._is_small = 3 * frame.width * frame.height < _MAX_SMALL_BYTES
        self._graph: av.filter.Graph | None = None
        self._reformatter = VideoReformatter()
        # All other formats are converted to BT.601 in full range.
        is_full_range = frame.color_range == _JPEG_RANGE or frame.format.name.startswith("yuvj")
        self._full_range = is_full_range or not self._is_planar
        self.matrix = yuv_to_rgb(*(weights if self._is_planar else _BT601), self._full_range)
        """Matrix from (Y, U, V, 1) of kind ``yuv`` to unclipped (R, G, B), (3, 4) float32."""

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Convert a frame to uint8 of this converter's shape, in new memory; rows may be padded."""
        try:
            return self._convert(frame)
        except (av.error.FFmpegError, cv2.error, ValueError) as error:
            if isinstance(error, MemoryError) or getattr(error, "code", 0) == cv2.Error.StsNoMem:
                raise  # not the file's fault
            raise UnreadableVideoError(
                f"no conversion of its pixel format {frame.format.name} ({error})"
            ) from error

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        if self._is_plain:
            # The bare conversion has the same result and is faster for small frames; for large
            # ones it allocates new memory, where the filters have a pool.
            if self._is_small and not frame.interlaced_frame:
                return _view_rgb(self._reformatter.reformat(frame, format=_RGB24, threads=1))
            return _view_rgb(self._filter(frame, "rgb24"))
        if self._is_planar and self._is_resized:
            return cv2.transform(self._to_yuv(frame), self.matrix)
        if self._is_planar and not self._convert_whole:
            return self._crop_to_rgb(frame)
        # Copied, because it is the decoder's memory if there was nothing to convert.
        return self._crop_and_resize(_view_rgb(self._filter(frame, "rgb24"))).copy()

    def _to_gray(self, frame: av.VideoFrame) -> np.ndarray:
        if not self._is_planar:
            return self._crop_and_resize(_view_planes(self._filter(frame, "gray"))[0]).copy()
        luma = self._crop_plane(_view_planes(frame)[0], 1, 1)
        return luma.copy() if self._full_range else cv2.LUT(luma, _FULL_RANGE_LUMA)

    def _to_yuv(self, frame: av.VideoFrame) -> np.ndarray:
        planes = _view_planes(frame)
        if not self._is_planar:
            options = "out_color_matrix=bt601:out_range=pc"
            planes = _view_planes(self._filter(frame, "yuv444p", options))
            return cv2.merge([self._crop_and_resize(plane) for plane in planes])
        return cv2.merge([self._crop_plane(plane, *_subsampling(frame, plane)) for plane in planes])

    def _crop_to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """Convert a region only to RGB, as FFmpeg does."""
        top, left, height, width = self._stored_region
        # Grow the region to even edges, so that chroma samples are whole; convert; crop.
        odd_top, odd_left = top % 2, left % 2
        grown = (height + odd_top + 1) // 2 * 2, (width + odd_left + 1) // 2 * 2
        small = av.VideoFrame(grown[1], grown[0], frame.format.name)
        small.colorspace, small.color_range = frame.colorspace, frame.color_range
        for source, target in zip(_view_planes(frame), _view_planes(small), strict=True):
            step_y, step_x = _subsampling(frame, source)
            y, x = (top - odd_top) // step_y, (left - odd_left) // step_x
            target[...] = source[y : y + target.shape[0], x : x + target.shape[1]]
        image = _view_rgb(self._filter(small, "rgb24"))
        inner = (odd_top, odd_left, height, width)
        return _crop_image(image, self.orientation.display_region(inner, image.shape[:2]))

    def _crop_plane(self, plane: np.ndarray, step_y: int, step_x: int) -> np.ndarray:
        """Crop the region from a stored plane, resize it to the output and rotate it for display.

        Args:
            plane: Samples, (rows, columns) uint8.
            step_y: Rows of the frame per sample.
            step_x: Columns of the frame per sample.

        Returns:
            uint8 of the output's height and width.
        """
        top, left, height, width = self._stored_region
        rows = slice(top // step_y, -(-(top + height) // step_y))
        columns = slice(left // step_x, -(-(left + width) // step_x))
        part = plane[rows, columns]
        splits_samples = top % step_y or left % step_x
        # The last sample of a frame of odd size covers the remaining pixels only.
        splits_samples = splits_samples or ((top + height) % step_y and rows.stop < plane.shape[0])
        splits_samples = splits_samples or (
            (left + width) % step_x and columns.stop < plane.shape[1]
        )
        if splits_samples or (not self._is_resized and (step_y, step_x) != (1, 1)):
            # The region's edges fall within chroma samples: crop at one sample per pixel.
            size = part.shape[1] * step_x, part.shape[0] * step_y
            whole = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            part = _crop_image(whole, (top % step_y, left % step_x, height, width))
        part = _resize(part, self.orientation.display_size(self._output))
        return np.ascontiguousarray(self.orientation.apply(part))

    def _crop_and_resize(self, image: np.ndarray) -> np.ndarray:
        """Crop the region from a whole displayed image and resize it to the output."""
        return _resize(_crop_image(image, self._display_region), self._output)

    def _filter(self, frame: av.VideoFrame, pixel_format: str, options: str = "") -> av.VideoFrame:
        """Rotate a frame for display and convert its format, by the ffmpeg program's filters.

        The bare conversion (``VideoFrame.reformat``) assumes other chroma positions for 10-bit
        video, treats interlaced frames differently, and starts threads for each frame.
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
                *self._display_filters,
                ("scale", f"{self._scale_size}flags=bicubic" + (":" + options if options else "")),
                ("format", pixel_format),
                ("buffersink", None),
            ]
            graph.link_nodes(source, *(graph.add(*step) for step in steps)).configure()
        self._graph.vpush(frame)
        return self._graph.vpull()


_FULL_RANGE_LUMA = np.clip(np.rint((np.arange(256) - 16.0) * 255 / 219), 0, 255).astype(np.uint8)


def _view_rows(plane: av.video.plane.VideoPlane, width: int, height: int) -> np.ndarray:
    """Return a view of a plane's bytes, (height, width), without the padding at the end of rows."""
    stride = plane.line_size
    image = np.frombuffer(plane, np.uint8, count=abs(stride) * height).reshape(height, abs(stride))
    # With a negative stride, rows are stored bottom up.
    return image[:: 1 if stride > 0 else -1, :width]


def _view_planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Return views of the planes of a frame with 8 bits per sample, each (height, width)."""
    return [_view_rows(plane, plane.width, plane.height) for plane in frame.planes]


def _view_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Return a view of an rgb24 frame, (H, W, 3)."""
    plane = frame.planes[0]
    stride, height = plane.line_size, plane.height
    # With a negative stride, rows are stored bottom up.
    first = 0 if stride > 0 else (height - 1) * -stride
    return np.ndarray((height, plane.width, 3), np.uint8, plane, first, (stride, 3, 1))


def _subsampling(frame: av.VideoFrame, plane: np.ndarray) -> Size:
    """Return the numbers of luma rows and columns per sample of a plane."""
    return -(-frame.height // plane.shape[0]), -(-frame.width // plane.shape[1])


def _crop_image(image: np.ndarray, region: Region) -> np.ndarray:
    """Return a view of a region (top, left, height, width)."""
    top, left, height, width = region
    return image[top : top + height, left : left + width]


def _resize(image: np.ndarray, size: Size) -> np.ndarray:
    """Resize to (height, width): by area averages if it shrinks, else linearly."""
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)
