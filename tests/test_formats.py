"""Odd formats: side data without a name, changes in mid-stream, crops, pixels, Motion JPEG."""

import struct

import numpy as np
import pytest
from made_videos import PROGRAM, ffmpeg, make, make_kind, program_frames

from video_lstm.percepts.new_videos import readable_videos
from video_lstm.video import probe as probing
from video_lstm.video.decode import iter_frames, read_frames, read_yuv
from video_lstm.video.probe import probe
from video_lstm.video.source import UnreadableVideoError


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


def jpegs(folder, count=12, size="64x48"):
    """JPEG pictures of the moving test picture, as bytes."""
    make(folder / "frames_%02d.jpg", f"-q:v 3 -frames:v {count}", size=size)
    paths = sorted(folder.glob("frames_*.jpg"))
    pictures = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    return pictures


# Side data --------------------------------------------------------------------------------------


def with_exif(picture, orientation):
    """A JPEG picture with Exif that says how a camera was held (1 upright, 6 a quarter turned)."""
    tag = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tag
    return picture[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + picture[2:]


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_side_data_without_a_name_does_not_hide_how_a_frame_is_turned(tmp_path, orientation):
    stream = b"".join(with_exif(picture, orientation) for picture in jpegs(tmp_path))
    (tmp_path / "film.mjpeg").write_bytes(stream)
    path = tmp_path / "exif.avi"
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "film.mjpeg", "-c", "copy", path)
    info = probe(path)
    assert (info.status, info.frames) == ("ok", 12)
    assert (info.width, info.height) == ((64, 48) if orientation < 5 else (48, 64))
    expected = program_frames(path, info.height, info.width)
    assert abs(read_frames(path).astype(int) - expected).max() <= 2


def test_whatever_reading_a_file_raises_the_others_are_read(tmp_path, videos, monkeypatch, caplog):
    real, good = probing.open_video, make_kind(videos, "plain.mp4")
    paths = [good, tmp_path / "odd.mp4", tmp_path / "huge.mp4", good]
    for path in paths[1:3]:
        path.write_bytes(good.read_bytes())

    def fail(path):
        if path != good:
            raise {"odd": ValueError("31 is\nno type"), "huge": MemoryError()}[path.stem]
        return real(path)

    monkeypatch.setattr(probing, "open_video", fail)
    clips, reasons = readable_videos(paths, None, tmp_path)
    assert len(clips) == 2
    odd, huge = "reading it fails (ValueError: 31 is no type)", "reading it fails (MemoryError: "
    assert reasons[1] == odd and reasons[2].startswith(huge)
    assert f"{paths[1]}: left out: {odd}" in caplog.text
