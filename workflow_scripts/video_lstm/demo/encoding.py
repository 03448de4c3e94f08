"""Frames into a video file with the ffmpeg program, driven through ffmpeg-python."""

from collections.abc import Iterable
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from video_lstm.video.program import ffmpeg_program

CODECS: dict[str, tuple[str, dict[str, object]]] = {
    ".mp4": ("mp4", {"vcodec": "libx264", "preset": "veryfast", "crf": 21, "g": 50}),
    ".avi": ("avi", {"vcodec": "mpeg4", "qscale:v": 4, "g": 50}),
    ".mkv": ("matroska", {"vcodec": "libx264", "preset": "veryfast", "crf": 21, "g": 50}),
}
"""By suffix: the container's name and the encoder's options."""


def encode(
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
        RuntimeError: the ffmpeg program failed; its own words are in the message.
    """
    container, options = CODECS[path.suffix]
    width, height = size
    part = path.with_name(f".{path.name}.part")
    exact = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1, "threads": 1}
    source = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="yuv420p", s=f"{width}x{height}", framerate=rate
    )
    command = source.output(f"file:{part.absolute()}", format=container, **options, **exact)
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
        part.unlink(missing_ok=True)
        raise
    said = process.stderr.read().decode(errors="replace").strip()
    process.stderr.close()
    if process.wait() != 0 or refused:
        part.unlink(missing_ok=True)
        raise RuntimeError(f"{path}: ffmpeg could not encode it: {said}")
    part.replace(path)
