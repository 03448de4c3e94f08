"""Split the frames of a video into a grid of tiles, for models of small images."""

import numpy as np

from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.video.clips import Clip
from video_lstm.video.decode import read_frames, reading_frames


def read_tiled(video: Clip, pixels: PixelFormat) -> np.ndarray:
    """Read the centre of a video's frames, cropped to whole tiles: (T, height, width[, 3]) uint8.

    Raises:
        UnreadableClipError: The file cannot be read.
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
    """Split (T, rows * size, columns * size[, 3]) into (rows * columns, T, size, size[, 3])."""
    count, height, width, *channels = frames.shape
    grid = frames.reshape(count, height // size, size, width // size, size, *channels)
    return np.moveaxis(grid, (1, 3), (0, 1)).reshape(-1, count, size, size, *channels)


def join_tiles(tiles: np.ndarray, rows: int) -> np.ndarray:
    """Join tiles into frames; the inverse of `cut_tiles`."""
    count, frames, size, _, *channels = tiles.shape
    grid = tiles.reshape(rows, count // rows, frames, size, size, *channels)
    frame_grid = np.moveaxis(grid, (0, 1), (1, 3))
    return frame_grid.reshape(frames, rows * size, count // rows * size, *channels)
