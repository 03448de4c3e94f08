"""The ffmpeg program: for encoding, and for what the in-process reader refuses."""

import shutil
from pathlib import Path

import ffmpeg
import imageio_ffmpeg

from video_lstm.errors import UserError
from video_lstm.video.source import FORMATS


def ffmpeg_program() -> str:
    """Path of the ffmpeg program: the one installed, or else the one that imageio-ffmpeg brings."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def transcode(path: Path, out: Path) -> None:
    """Re-encode a video as H.264 in MP4, every frame kept with its time, for the reader to read.

    For files whose frame size changes in mid-stream (the first size wins), or whose codec only the
    program knows.

    Args:
        path: a local video file.
        out: written at once under its final name, or not at all.

    Raises:
        UserError: the program cannot read it either; with its last word on why.
    """
    part = out.with_name(f".{out.name}.part")
    source = ffmpeg.input(
        f"file:{path.absolute()}", protocol_whitelist="file", format_whitelist=FORMATS
    )
    run = source.video.output(
        f"file:{part.absolute()}",
        format="mp4",
        vcodec="libx264",
        crf=16,
        preset="veryfast",
        pix_fmt="yuv420p",
        # Sizes in 4:2:0 are even; an odd frame gains a row or column.
        vf="pad=ceil(iw/2)*2:ceil(ih/2)*2",
        fps_mode="passthrough",
        threads=1,
    )
    try:
        run.run(
            cmd=[ffmpeg_program(), "-nostdin", "-v", "error"],
            capture_stderr=True,
            overwrite_output=True,
        )
        part.replace(out)
    except ffmpeg.Error as error:
        words = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(
            f"{path}: expected a video that the ffmpeg program reads, found: "
            f"{words[-1] if words else 'nothing'}; leave the file out or mend it"
        ) from error
    finally:
        part.unlink(missing_ok=True)
