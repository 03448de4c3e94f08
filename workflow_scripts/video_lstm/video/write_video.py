"""Write frames to video files with the ffmpeg program, or to GIFs."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from video_lstm.artifacts import atomic_write
from video_lstm.errors import UserError
from video_lstm.video.ffmpeg_program import CODECS, ffmpeg_program, raise_if_full


def encode_video(
    path: Path, frames: Iterable[NDArray[np.uint8]], *, size: tuple[int, int], rate: float
) -> None:
    """Encode planar 4:2:0 frames as H.264 (.mp4, .mkv) or MPEG-4 part 2 (.avi).

    The same frames and the same ffmpeg program result in the same bytes. The file is written
    atomically.

    Args:
        path: Output file; its suffix selects the container.
        frames: Frames, each (height * 3 / 2, width) uint8, planes Y, U, V (limited range, BT.601).
        size: Width and height in pixels, both even.
        rate: Frame rate in Hz.

    Raises:
        RuntimeError: The ffmpeg program failed; the message has its error output.
        UserError: The folder is not writable or the disk is full, or see `ffmpeg_program`.
    """
    container, options = CODECS[path.suffix]
    width, height = size
    reproducible = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1, "threads": 1}
    pipe = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="yuv420p", s=f"{width}x{height}", framerate=rate
    )
    with atomic_write(path) as temporary:
        command = pipe.output(
            f"file:{temporary.absolute()}", format=container, **options, **reproducible
        )
        command = command.global_args("-nostdin", "-loglevel", "error").overwrite_output()
        process = command.run_async(cmd=ffmpeg_program(), pipe_stdin=True, pipe_stderr=True)
        has_broken_pipe = False
        try:
            for frame in frames:
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.close()
        except BrokenPipeError:
            has_broken_pipe = True
        except BaseException:
            process.kill()
            process.wait()
            raise
        error_output = process.stderr.read().decode(errors="replace").strip()
        process.stderr.close()
        if process.wait() != 0 or has_broken_pipe:
            raise_if_full(error_output)
            raise RuntimeError(f"{path}: the ffmpeg program failed to encode it: {error_output}")


def save_animation(path: Path, frames: NDArray[np.uint8], rate: float) -> None:
    """Write RGB frames as a GIF, or as a video with one of `CODECS`.

    Args:
        path: Output file; its suffix selects the format.
        frames: (T, height, width, 3) uint8.
        rate: Frame rate in Hz; the frame interval of a GIF is rounded to 0.01 s.

    Raises:
        UserError: The suffix is unknown; or see `encode_video`.
    """
    suffixes = [".gif", *CODECS]
    if path.suffix not in suffixes:
        raise UserError(
            f"{path}: expected a file name that ends in {', '.join(suffixes)}, found "
            f"'{path.suffix}'; rename the output"
        )
    if path.suffix == ".gif":
        first_image, *next_images = map(Image.fromarray, frames)
        duration = 10 * max(round(100 / rate), 1)
        with atomic_write(path) as temporary:
            first_image.save(
                temporary,
                "GIF",
                save_all=True,
                append_images=next_images,
                duration=duration,
                loop=0,
            )
        return
    height, width = frames.shape[1:3]
    # 4:2:0 needs even sides.
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    planar = (cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in even)
    encode_video(path, planar, size=(even.shape[2], even.shape[1]), rate=rate)
