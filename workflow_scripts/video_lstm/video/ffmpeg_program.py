"""Find the ffmpeg program, and run it to transcode videos that the reader refuses."""

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
"""Maximal share of packets that fail to decode; above it, the program gives up."""

TRANSCODING_OPTIONS = {
    "format": "mp4",
    "vcodec": "libx264",
    "crf": 16,
    "preset": "veryfast",
    "pix_fmt": "yuv420p",
    # 4:2:0 needs even sides; odd frames are padded.
    "vf": "pad=ceil(iw/2)*2:ceil(ih/2)*2",
    "fps_mode": "passthrough",
    "an": None,
    "sn": None,
    "dn": None,
    "threads": 1,
}
"""Options of transcoding: nearly lossless, with all frames and their time stamps."""

CODECS: dict[str, tuple[str, dict[str, object]]] = {
    ".mp4": ("mp4", {"vcodec": "libx264", "preset": "veryfast", "crf": 21, "g": 50}),
    ".avi": ("avi", {"vcodec": "mpeg4", "qscale:v": 4, "g": 50}),
    ".mkv": ("matroska", {"vcodec": "libx264", "preset": "veryfast", "crf": 21, "g": 50}),
}
"""Container name and encoder options by suffix."""

_TRIAL_SECONDS = 30.0


def ffmpeg_program() -> str:
    """Return the path of an ffmpeg program that has all required features.

    It is the one on PATH if suitable, or else the one of imageio-ffmpeg. Versions before 5.1 have
    no `fps_mode`; some distributions build ffmpeg without libx264.

    Raises:
        UserError: Neither is suitable; the message has their last error lines.
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
        reasons.append(f"{program} lacks a required feature ({reason})")
    raise UserError(
        "ffmpeg: expected a program with fps_mode (5.1 or later) and libx264, "
        f"found none: {'; '.join(reasons) or 'none on PATH'}; install one"
    )


def _bundled_program() -> str | None:
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:  # none for this platform
        return None


def find_missing_feature(program: str) -> str | None:
    """Return why an ffmpeg program is unsuitable; None if it has all required features.

    The program encodes a black frame of 16 x 16 pixels with all of `CODECS`, and transcodes it.
    """
    with tempfile.TemporaryDirectory() as folder, translate_write_errors(Path(folder)):
        raw = Path(folder, "raw")
        raw.write_bytes(bytes(16 * 16 * 3 // 2))
        layout = {"format": "rawvideo", "pix_fmt": "yuv420p", "s": "16x16", "framerate": 25}
        frames = ffmpeg.input(f"file:{raw}", **layout)
        trials = {suffix: Path(folder, f"video{suffix}") for suffix in CODECS}
        commands = {
            trials[suffix]: frames.output(f"file:{trials[suffix]}", format=container, **options)
            .compile([program, "-nostdin", "-v", "error"])
            for suffix, (container, options) in CODECS.items()
        }  # fmt: skip
        copy = Path(folder, "copy")
        commands[copy] = _transcode_command(program, trials[".avi"], copy, _TRIAL_SECONDS)
        for video, command in commands.items():
            try:
                result = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_SECONDS
                )
            except subprocess.TimeoutExpired:
                return f"takes more than {_TRIAL_SECONDS:.0f} s for one frame"
            except OSError as error:  # not a program for this platform
                return error.strerror
            message = result.stderr.decode("utf-8", "replace")
            raise_if_full(message)
            if result.returncode:
                return _last_error_line(message)
            if not video.exists() or video.stat().st_size == 0:
                return f"succeeds without writing {video.name}"
    return None


def raise_if_full(message: str) -> None:
    """Raise an OSError if the program's message is about a full or read-only disk."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in message:
            raise OSError(number, os.strerror(number))


def transcode(path: Path, out: Path, time_limit: float) -> None:
    """Transcode a video that the reader refuses to H.264 in MP4.

    Such files change their frame size (the copy has the first one), are rotated by an angle that is
    not a multiple of 90 degrees, or have a codec that only the program supports. The reader's
    limits apply here too.

    Args:
        path: Local video file.
        out: Output file, written atomically.
        time_limit: Maximal time in seconds.

    Raises:
        UnreadableVideoError: The program cannot read the file; the message has its last error line.
        UserError: The folder is not writable or the disk is full, or see `ffmpeg_program`.
    """
    program = ffmpeg_program()
    with atomic_write(out) as temporary:
        try:
            subprocess.run(
                _transcode_command(program, path, temporary, time_limit),
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
    """Return the last line of the program's error output, at most 200 characters."""
    return (message.strip().splitlines() or ["no error message"])[-1][:200]


def _transcode_command(program: str, path: Path, out: Path, time_limit: float) -> list[str]:
    """Return the command of `transcode`."""
    source = ffmpeg.input(
        f"file:{path.absolute()}",
        protocol_whitelist="file",
        format_whitelist=FORMATS,
        max_streams=MAX_STREAMS,
        max_pixels=MAX_PIXELS,
        threads=1,
    )
    # The program's own limits (CPU seconds) apply if this process is killed.
    limits = ["-timelimit", str(int(time_limit) + 1), "-max_error_rate", str(MAX_ERROR_RATE)]
    command = [program, "-nostdin", "-v", "error", *limits]
    # Without a named stream, the program selects one like the reader.
    target = source.output(
        f"file:{out.absolute()}", **TRANSCODING_OPTIONS, **{"frames:v": MAX_FRAMES}
    )
    return target.overwrite_output().compile(command)
