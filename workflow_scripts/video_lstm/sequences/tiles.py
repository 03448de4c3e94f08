"""Whole frames of a video for models of small pictures: a grid of tiles, each a sequence."""

import numpy as np

from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.video.clips import Clip
from video_lstm.video.decode import read_frames, reading_frames


def read_tiled(video: Clip, pixels: PixelFormat) -> np.ndarray:
    """The middle of a video's frames, as much as whole tiles fill: (T, height, width[, 3]) uint8.

    Raises:
        UnreadableClipError: the file cannot be read.
    """
    rows, columns = pixels.grid
    with reading_frames(video):
        return read_frames(
            video.path,
            video.first,
            video.frames,
            rate=video.rate,
            size=(pixels.height, pixels.width),
            crop=(rows * pixels.size, columns * pixels.size),
            gray=not pixels.color,
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
