"""Filmstrips: a few small frames of a video, evenly spaced."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from video_lstm.errors import UserError
from video_lstm.progress import Progress
from video_lstm.video.clips import Clip
from video_lstm.video.decode import read_frames
from video_lstm.video.geometry import Size
from video_lstm.video.source import UnreadableVideoError


def read_filmstrips(clips: Sequence[Clip], frames: int, size: Size, threads: int) -> np.ndarray:
    """Read evenly spaced frames of clips: the middle frames of parts of equal length.

    Args:
        clips: Clips of any length; frames of short ones are repeated.
        frames: Number of frames per strip.
        size: Height and width of a frame in pixels; frames are resized and cropped.
        threads: Number of decoding threads.

    Returns:
        (clips, frames, height, width, 3) uint8.

    Raises:
        UserError: A file is missing or has changed since it was indexed.
    """
    progress = Progress(len(clips), "filmstrips")

    def read(clip: Clip) -> np.ndarray:
        indices = clip.first + (2 * np.arange(frames) + 1) * clip.frames // (2 * frames)
        options = {"rate": clip.rate, "size": size, "frames": clip.native_frames}
        try:
            images = [read_frames(clip.path, int(index), 1, **options) for index in indices]
        except UnreadableVideoError as error:
            raise UserError(
                f"{clip.path}: expected the video '{clip.video}' as it was indexed, but "
                f"{error}; restore the file, or index the videos again"
            ) from error
        return np.concatenate(images)

    strips = np.empty((len(clips), frames, *size, 3), np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        for row, strip in enumerate(pool.map(read, clips)):
            strips[row] = strip
            progress.update()
    return strips
