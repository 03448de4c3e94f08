"""Find and run the ffmpeg program: to encode, and to transcode what the reader refuses."""

import errno
import functools
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import ffmpeg
import imageio_ffmpeg

from video_lstm.artifacts import atomic_write, translate_write_errors
from video_lstm.errors import UserError
from video_lstm.video.source import (
    FORMATS,
    MAX_FRAMES,
    MAX_PIXELS,
    MAX_STREAMS,
    UnreadableVideoError,
)

logger = logging.getLogger("video_lstm")

MAX_ERROR_RATE = 0.1
"""Share of packets that may fail to decode before the program gives up."""

TRANSCODING_OPTIONS = {
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

CODECS: dict[str, tuple[str, dict[str, object]]] = {
    ".mp4": ("mp4", {"vcodec": "libx264", "preset": "veryfast", "crf": 21, "g": 50}),
    ".avi": ("avi", {"vcodec": "mpeg4", "qscale:v": 4, "g": 50}),
    ".mkv": ("matroska", {"vcodec": "libx264", "preset": "veryfast", "crf": 21, "g": 50}),
}
"""By suffix: the container's name and the encoder's options."""

_TRIAL_SECONDS = 30.0


def ffmpeg_program() -> str:
    """Return the path of an ffmpeg program that has all required features.

    The one on PATH if it can, or else the one that imageio-ffmpeg brings. Programs before 5.1 do
    not know `fps_mode`; some distributions build theirs without libx264.

    Raises:
        UserError: neither can; the message has their last error lines.
    """
    return _choose_program(shutil.which("ffmpeg"))


@functools.cache
def _choose_program(installed: str | None) -> str:
    reasons: list[str] = []
    for program in (installed, _bundled_program()):
        if program is None:
            continue
        reason = find_missing_feature(program)
        if reason is None:
            if reasons:
                logger.info("%s; using %s instead", reasons[0], program)
            return program
        reasons.append(f"{program} fails at what is needed of it ({reason})")
    raise UserError(
        "ffmpeg: expected a program that knows fps_mode (5.1 or later) and encodes with libx264, "
        f"found none: {'; '.join(reasons) or 'none on PATH'}; install one"
    )


def _bundled_program() -> str | None:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:  # none for this kind of machine
        return None


def find_missing_feature(program: str) -> str | None:
    """Return why an ffmpeg program is unsuitable; None if it has all required features.

    It encodes a black frame of 16 x 16 pixels in every way of `CODECS`, and transcodes that.
    """
    with tempfile.TemporaryDirectory() as folder, translate_write_errors(Path(folder)):
        raw = Path(folder, "raw")
        raw.write_bytes(bytes(16 * 16 * 3 // 2))
        layout = {"format": "rawvideo", "pix_fmt": "yuv420p", "s": "16x16", "framerate": 25}
        frames = ffmpeg.input(f"file:{raw}", **layout)
        trials = {suffix: Path(folder, f"film{suffix}") for suffix in CODECS}
        commands = {
            trials[suffix]: frames.output(f"file:{trials[suffix]}", format=container, **options)
            .compile([program, "-nostdin", "-v", "error"])
            for suffix, (container, options) in CODECS.items()
        }  # fmt: skip
        copy = Path(folder, "copy")
        commands[copy] = _transcoding(program, trials[".avi"], copy, _TRIAL_SECONDS)
        for video, command in commands.items():
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_SECONDS
                )
            except subprocess.TimeoutExpired:
                return f"takes more than {_TRIAL_SECONDS:.0f} s for one frame"
            except OSError as error:  # no program of this machine
                return error.strerror
            message = done.stderr.decode("utf-8", "replace")
            raise_if_full(message)
            if done.returncode:
                return _last_error_line(message)
            if not video.exists() or video.stat().st_size == 0:
                return f"ends well and writes nothing to {video.name}"
    return None


def raise_if_full(message: str) -> None:
    """Raise an OSError if the program's message is about the disk, not the video."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in message:
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
        UnreadableVideoError: the program does not read it either, with its last error line.
        UserError: the folder cannot be written or the disk is full, or see `ffmpeg_program`.
    """
    program = ffmpeg_program()
    with atomic_write(out) as part:
        try:
            subprocess.run(
                _transcoding(program, path, part, time_limit),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=max(0.0, time_limit),
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            reason = f"transcoding takes more than {time_limit:.0f} s"
            raise UnreadableVideoError(reason) from error
        except subprocess.CalledProcessError as error:
            message = error.stderr.decode("utf-8", "replace").strip()
            raise_if_full(message)
            error_line = _last_error_line(message)
            raise UnreadableVideoError(f"the ffmpeg program fails on it ({error_line})") from error


def _last_error_line(message: str) -> str:
    return (message.strip().splitlines() or ["no word why"])[-1][:200]


def _transcoding(program: str, path: Path, out: Path, time_limit: float) -> list[str]:
    """The command that `transcode` runs."""
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
    command = [program, "-nostdin", "-v", "error", *limits]
    # No stream is named: the program chooses one, as the reader does.
    target = source.output(
        f"file:{out.absolute()}", **TRANSCODING_OPTIONS, **{"frames:v": MAX_FRAMES}
    )
    return target.overwrite_output().compile(command)
