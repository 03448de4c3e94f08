"""Whole frames of a video for models of small pictures: a grid of tiles, each a sequence."""

from dataclasses import dataclass

import numpy as np

from video_lstm.settings import MovingDigits
from video_lstm.video.decode import read_frames
from video_lstm.video.pieces import Piece


@dataclass(frozen=True)
class Pixels:
    """The pictures that a model learned from, and how they are cut from a video.

    Attributes:
        size: side of a picture in pixels.
        colour: RGB pictures; False: grey ones.
        height: frames are scaled to cover height x width, and the centre is cut out.
        width: see `height`.
        rate: frames per second that are picked; None for the video's own frames.
        mean: is subtracted from pixels before the model is fed them.
        std: is then divided by.
    """

    size: int
    colour: bool
    height: int
    width: int
    rate: float | None
    mean: float
    std: float

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of whole tiles in a frame."""
        return self.height // self.size, self.width // self.size


def digit_pixels(settings: MovingDigits) -> Pixels:
    """Moving MNIST's: a video is one tile, the central square of its frames."""
    return Pixels(settings.size, False, settings.size, settings.size, None, 0.0, 255.0)


def read_tiled(video: Piece, pixels: Pixels) -> np.ndarray:
    """The middle of a video's frames, as much as whole tiles fill: (T, height, width[, 3]) uint8.

    Raises:
        UnreadableVideoError: the file cannot be read.
    """
    rows, columns = pixels.grid
    return read_frames(
        video.path,
        video.first,
        video.frames,
        rate=video.rate,
        size=(pixels.height, pixels.width),
        crop=(rows * pixels.size, columns * pixels.size),
        gray=not pixels.colour,
        frames=video.native_frames,
    )


def cut_tiles(frames: np.ndarray, size: int) -> np.ndarray:
    """(T, rows * size, columns * size[, 3]) to tiles (rows * columns, T, size, size[, 3])."""
    count, height, width, *colours = frames.shape
    grid = frames.reshape(count, height // size, size, width // size, size, *colours)
    return np.moveaxis(grid, (1, 3), (0, 1)).reshape(-1, count, size, size, *colours)


def join_tiles(tiles: np.ndarray, rows: int) -> np.ndarray:
    """Undo `cut_tiles`."""
    count, frames, size, _, *colours = tiles.shape
    grid = tiles.reshape(rows, count // rows, frames, size, size, *colours)
    wide = np.moveaxis(grid, (0, 1), (1, 3))
    return wide.reshape(frames, rows * size, count // rows * size, *colours)
