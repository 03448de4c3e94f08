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


# Formats that change in mid-stream --------------------------------------------------------------

H264 = "-c:v libx264 -bf 0 -pix_fmt"
# Every part says what it is: what it left open, a decoder would take from the part before.
TAGS = "-colorspace smpte170m -color_range tv"
SCALE = f"{H264} yuv420p -vf scale=out_color_matrix"
FORMATS = {
    **{name: f"{H264} {name} {TAGS}" for name in ("yuv420p", "yuv420p10", "yuv444p", "yuv422p10")},
    "bt709": f"{SCALE}=bt709 -colorspace bt709 -color_range tv",
    "full": f"{SCALE}=bt601:out_range=pc -colorspace smpte170m -color_range pc",
    "grey": f"{H264} gray {TAGS}",
}
CHANGES = [
    ("yuv420p", "yuv420p10", "yuv420p"),
    ("yuv420p10", "yuv420p"),
    ("yuv420p", "yuv444p", "yuv422p10"),
    ("yuv420p", "bt709"),
    ("bt709", "full"),
    ("full", "yuv420p10", "grey"),
    ("grey", "yuv420p"),
]
WAYS = {
    "rgb": {},
    "crop": {"crop": (31, 41)},
    "size": {"size": (60, 90)},
    "smaller": {"size": (24, 24), "crop": (16, 16)},
    "grey": {"gray": True},
    "smaller grey": {"size": (24, 24), "gray": True},
}


@pytest.mark.parametrize("changes", CHANGES, ids=" to ".join)
def test_frames_after_a_change_of_format_are_as_in_a_file_of_their_own(tmp_path, changes):
    parts = [
        make(tmp_path / f"{n}.ts", f"{FORMATS[name]} -output_ts_offset {n}", 1, "64x48")
        for n, name in enumerate(changes)
    ]
    path = tmp_path / "changing.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = probe(path)
    assert (info.status, info.frames) == ("ok", 25 * len(parts))
    assert np.abs(read_frames(path).astype(int) - program_frames(path, 48, 64)).max() <= 2
    for way, options in WAYS.items():
        expected = np.concatenate([read_frames(part, **options) for part in parts])
        assert np.array_equal(read_frames(path, **options), expected), way
        assert all(map(np.array_equal, iter_frames(path, **options), expected)), way
        found = read_frames(path, 27, 3, frames=info.frames, **options)
        assert np.array_equal(found, expected[27:30]), way
    yuv, matrix = read_yuv(path, 0, info.frames, size=(24, 24))
    late = np.clip(np.rint(yuv @ matrix[:, :3].T + matrix[:, 3]), 0, 255)
    # YUV of 8 bits is left of 10, and what is far outside RGB does not come back.
    assert np.abs(late - read_frames(path, size=(24, 24))).mean() < 4


def test_a_frame_size_that_changes_by_turning_is_as_any_other_that_does(tmp_path):
    upright, turned = (with_exif(jpegs(tmp_path, 1)[0], number) for number in (1, 6))
    (tmp_path / "film.mjpeg").write_bytes(upright * 3 + turned * 3)
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "film.mjpeg", "-c", "copy", tmp_path / "turning.avi")
    assert probe(tmp_path / "turning.avi").status.startswith("frame size on display changes: 64x48")
    info = probe(tmp_path / "turning.avi", transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width, info.height) == ("ok", 6, 64, 48)
