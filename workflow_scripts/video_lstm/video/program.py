"""The ffmpeg program: for encoding, and for what the in-process reader refuses."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import ffmpeg
import imageio_ffmpeg

from video_lstm.artifacts import whole
from video_lstm.video.source import (
    FORMATS,
    MAX_FRAMES,
    MAX_PIXELS,
    MAX_STREAMS,
    UnreadableVideoError,
)

MAX_ERROR_RATE = 0.1
"""Share of packets that may fail to decode before the program gives up."""

RECIPE = {
    "format": "mp4",
    "vcodec": "libx264",
    "crf": 16,
    "preset": "veryfast",
    "pix_fmt": "yuv420p",
    # Sizes in 4:2:0 are even; an odd frame gains a row or column.
    "vf": "pad=ceil(iw/2)*2:ceil(ih/2)*2",
    "fps_mode": "passthrough",
    "an": None,
    "sn": None,
    "dn": None,
    "threads": 1,
}
"""How a video is encoded again: nearly without loss, every frame kept with its time."""


def ffmpeg_program() -> str:
    """Path of the ffmpeg program: the one installed, or else the one that imageio-ffmpeg brings."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def raise_if_full(words: str) -> None:
    """Raise an OSError where the program says that the disk, not the video, is at fault."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in words:
            raise OSError(number, os.strerror(number))


def transcode(path: Path, out: Path, time_limit: float) -> None:
    """Encode a video again as H.264 in MP4, for the reader to read.

    For files whose frame size changes in mid-stream (the first size wins), that are turned by an
    odd angle, or whose codec only the program knows. The limits of the reader hold here too.

    Args:
        path: a local video file.
        out: written at once under its final name, or not at all.
        time_limit: seconds that it may take.

    Raises:
        UnreadableVideoError: the program does not read it either, with its last word on why.
        UserError: the folder cannot be written or the disk is full.
    """
    source = ffmpeg.input(
        f"file:{path.absolute()}",
        protocol_whitelist="file",
        format_whitelist=FORMATS,
        max_streams=MAX_STREAMS,
        max_pixels=MAX_PIXELS,
        threads=1,
    )
    # The program's own limits (of time: seconds of CPU) hold when nobody is left to stop it.
    limits = ["-timelimit", str(int(time_limit) + 1), "-max_error_rate", str(MAX_ERROR_RATE)]
    command = [ffmpeg_program(), "-nostdin", "-v", "error", *limits]
    with whole(out) as part:
        # No stream is named: the program chooses one, as the reader does.
        target = source.output(f"file:{part.absolute()}", **RECIPE, **{"frames:v": MAX_FRAMES})
        try:
            subprocess.run(
                target.overwrite_output().compile(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=max(0.0, time_limit),
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            told = f"transcoding takes more than {time_limit:.0f} s"
            raise UnreadableVideoError(told) from error
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip()
            raise_if_full(said)
            word = (said.splitlines() or ["no word why"])[-1][:200]
            raise UnreadableVideoError(f"the ffmpeg program fails on it ({word})") from error
