"""Write frames to a video file with the ffmpeg program, or to a GIF."""

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
    """Encode planar 4:2:0 frames into ``path``: H.264 in .mp4 and .mkv, MPEG-4 part 2 in .avi.

    The same frames and the same ffmpeg give the same bytes. The file appears under its name when
    it is whole.

    Args:
        path: where to; its suffix says which container.
        frames: each (height * 3 / 2, width) uint8, planes Y, U, V (limited range, BT.601).
        size: width and height in pixels, both even.
        rate: frames per second.

    Raises:
        RuntimeError: the ffmpeg program failed; the message has its error output.
        UserError: the folder cannot be written or the disk is full, or see `ffmpeg_program`.
    """
    container, options = CODECS[path.suffix]
    width, height = size
    exact = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1, "threads": 1}
    pipe = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="yuv420p", s=f"{width}x{height}", framerate=rate
    )
    with atomic_write(path) as part:
        command = pipe.output(f"file:{part.absolute()}", format=container, **options, **exact)
        command = command.global_args("-nostdin", "-loglevel", "error").overwrite_output()
        process = command.run_async(cmd=ffmpeg_program(), pipe_stdin=True, pipe_stderr=True)
        refused = False
        try:
            for frame in frames:
                process.stdin.write(np.ascontiguousarray(frame).data)
            process.stdin.close()
        except BrokenPipeError:
            refused = True
        except BaseException:
            process.kill()
            process.wait()
            raise
        error_output = process.stderr.read().decode(errors="replace").strip()
        process.stderr.close()
        if process.wait() != 0 or refused:
            raise_if_full(error_output)
            raise RuntimeError(f"{path}: ffmpeg could not encode it: {error_output}")


def save_animation(path: Path, frames: NDArray[np.uint8], rate: float) -> None:
    """Write RGB frames as an animation: .gif, or one of `CODECS`.

    Args:
        path: where to; its suffix says what kind.
        frames: (T, height, width, 3).
        rate: frames per second; a GIF's is rounded to whole hundredths of a second a frame.

    Raises:
        UserError: another suffix.
    """
    kinds = [".gif", *CODECS]
    if path.suffix not in kinds:
        raise UserError(
            f"{path}: expected a film's name to end in {', '.join(kinds)}, found "
            f"'{path.suffix}'; give it another name"
        )
    if path.suffix == ".gif":
        first, *others = map(Image.fromarray, frames)
        duration = 10 * max(round(100 / rate), 1)
        with atomic_write(path) as temporary:
            first.save(
                temporary, "GIF", save_all=True, append_images=others, duration=duration, loop=0
            )
        return
    height, width = frames.shape[1:3]
    # 4:2:0 has even sides.
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    planar = (cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420) for frame in even)
    encode_video(path, planar, size=(even.shape[2], even.shape[1]), rate=rate)
