"""Tests of unusual formats: side data, changes within a stream, crops, Motion JPEG."""

import struct

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from video_files import ffmpeg, make, make_kind, program_frames

from video_lstm.percepts.new_videos import find_readable_videos
from video_lstm.video import ffmpeg_program, file_signatures
from video_lstm.video import probe as probing
from video_lstm.video.decode import iter_frames, read_frames, read_yuv
from video_lstm.video.probe import probe


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


def make_jpegs(folder, count=12, size="64x48"):
    """Return JPEG pictures of the moving test picture, as bytes."""
    make(folder / "frames_%02d.jpg", f"-q:v 3 -frames:v {count}", size=size)
    paths = sorted(folder.glob("frames_*.jpg"))
    pictures = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    return pictures


# Side data --------------------------------------------------------------------------------------


def add_exif(picture, orientation):
    """Add an Exif orientation to a JPEG picture (1: upright, 6: rotated by 90 degrees)."""
    tag = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tag
    return picture[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + picture[2:]


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_rotation_is_read_despite_unnamed_side_data(tmp_path, orientation):
    stream = b"".join(add_exif(picture, orientation) for picture in make_jpegs(tmp_path))
    (tmp_path / "video.mjpeg").write_bytes(stream)
    path = tmp_path / "exif.avi"
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "video.mjpeg", "-c", "copy", path)
    info = probe(path)
    assert (info.status, info.frames) == ("ok", 12)
    assert (info.width, info.height) == ((64, 48) if orientation < 5 else (48, 64))
    expected = program_frames(path, info.height, info.width)
    assert abs(read_frames(path).astype(int) - expected).max() <= 2


@pytest.mark.usefixtures("probe_in_process")
def test_any_error_in_a_file_leaves_the_others(tmp_path, videos, monkeypatch, caplog):
    original, good = probing.open_video, make_kind(videos, "plain.mp4")
    paths = [good, tmp_path / "odd.mp4", tmp_path / "huge.mp4", good]
    for path in paths[1:3]:
        path.write_bytes(good.read_bytes())

    def fail(path):
        if path != good:
            raise {"odd": ValueError("31 is\nno type"), "huge": MemoryError()}[path.stem]
        return original(path)

    monkeypatch.setattr(probing, "open_video", fail)
    clips, reasons = find_readable_videos(paths, None, tmp_path)
    assert len(clips) == 2
    odd, huge = "reading it fails (ValueError: 31 is no type)", "reading it fails (MemoryError: "
    assert reasons[1] == odd and reasons[2].startswith(huge)
    assert f"{paths[1]}: left out: {odd}" in caplog.text


# Formats that change within a stream -------------------------------------------------------------

H264 = "-c:v libx264 -bf 0 -pix_fmt"
# Every part has all tags, because a decoder would keep missing ones of the previous part.
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
READ_OPTIONS = {
    "rgb": {},
    "crop_size": {"crop": (31, 41)},
    "size": {"size": (60, 90)},
    "smaller": {"size": (24, 24), "crop": (16, 16)},
    "grey": {"gray": True},
    "smaller grey": {"size": (24, 24), "gray": True},
}


@pytest.mark.parametrize("changes", CHANGES, ids=" to ".join)
def test_format_changes_do_not_affect_frames(tmp_path, changes):
    parts = [
        make(tmp_path / f"{n}.ts", f"{FORMATS[name]} -output_ts_offset {n}", 1, "64x48")
        for n, name in enumerate(changes)
    ]
    path = tmp_path / "changing.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = probe(path)
    assert (info.status, info.frames) == ("ok", 25 * len(parts))
    assert np.abs(read_frames(path).astype(int) - program_frames(path, 48, 64)).max() <= 2
    for case, options in READ_OPTIONS.items():
        expected = np.concatenate([read_frames(part, **options) for part in parts])
        assert np.array_equal(read_frames(path, **options), expected), case
        assert all(map(np.array_equal, iter_frames(path, **options), expected)), case
        part = read_frames(path, 27, 3, frames=info.frames, **options)
        assert np.array_equal(part, expected[27:30]), case
    yuv, matrix = read_yuv(path, 0, info.frames, size=(24, 24))
    rgb = np.clip(np.rint(yuv @ matrix[:, :3].T + matrix[:, 3]), 0, 255)
    # YUV has 8 of 10 bits, and colours far outside RGB are clipped.
    assert np.abs(rgb - read_frames(path, size=(24, 24))).mean() < 4


def test_rotation_that_changes_the_display_size_is_a_change_of_size(tmp_path):
    upright, rotated = (add_exif(make_jpegs(tmp_path, 1)[0], orientation) for orientation in (1, 6))
    (tmp_path / "video.mjpeg").write_bytes(upright * 3 + rotated * 3)
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "video.mjpeg", "-c", "copy", tmp_path / "rotating.avi")
    assert probe(tmp_path / "rotating.avi").status.startswith(
        "frame size on display changes: 64x48"
    )
    info = probe(tmp_path / "rotating.avi", transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width, info.height) == ("ok", 6, 64, 48)


@pytest.mark.parametrize("orientations", [(1, 4, 1), (2, 3), (3, 2, 3), (5, 8), (6, 7, 6)])
def test_orientation_may_change_within_a_video(tmp_path, orientations):
    pictures = make_jpegs(tmp_path, 6)
    parts = [
        [add_exif(picture, orientation) for picture in pictures] for orientation in orientations
    ]
    (tmp_path / "video.mjpeg").write_bytes(b"".join(map(b"".join, parts)))
    path = tmp_path / "mirrored.avi"
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "video.mjpeg", "-c", "copy", path)
    info = probe(path)
    expected = program_frames(path, info.height, info.width)
    for options in ({}, {"size": (24, 24)}):
        part_frames = []
        for n, part in enumerate(parts):
            (tmp_path / f"{n}.mjpeg").write_bytes(b"".join(part))
            part_frames.append(read_frames(tmp_path / f"{n}.mjpeg", **options))
        assert np.array_equal(read_frames(path, **options), np.concatenate(part_frames))
    assert np.abs(read_frames(path).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("name", ["video.ts", "film.mpg", "film.m2v"])
def test_change_of_pixel_aspect_is_a_change_of_size(tmp_path, name):
    codec = "-c:v libx264 -pix_fmt yuv420p" if name.endswith("ts") else "-c:v mpeg2video"
    path = tmp_path / name
    parts = [
        make(tmp_path / f"{n}{name}", f"{codec} -aspect {aspect}", 1).read_bytes()
        for n, aspect in enumerate(("4:3", "16:9"))
    ]
    path.write_bytes(b"".join(parts))
    assert probe(path).status.startswith("width of pixels changes near frame 2")
    info = probe(path, transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width, info.height) == ("ok", 50, 160, 120)
    path.write_bytes(parts[1] * 2)
    assert (probe(path).status, probe(path).width) == ("ok", 213)


# Cropping, rotation and pixel aspect ratio ------------------------------------------------------


def add_clap(content, width, height, right, down):
    """Add a centred crop of this size to an MP4 file, shifted by half pixels right and down."""
    box = struct.pack(">I4s8i", 40, b"clap", width, 1, height, 1, right, 2, down, 2)
    size_offsets, offset = [], 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b""):
        while name not in (content[offset + 4 : offset + 8], b""):
            offset += int.from_bytes(content[offset : offset + 4])
        size_offsets.append(offset)
        offset += 16 if name == b"stsd" else 8
    end = size_offsets[-1] + int.from_bytes(content[size_offsets[-1] : size_offsets[-1] + 4])
    content = bytearray(content)
    for offset in size_offsets:
        new_size = int.from_bytes(content[offset : offset + 4]) + len(box)
        content[offset : offset + 4] = new_size.to_bytes(4)
    return bytes(content[:end] + box + content[end:])


X264 = "-c:v libx264 -pix_fmt"
# name -> encoder options, crop of the container, rotation, and (height, width) on display
DISPLAYED = {
    "crop.mp4": ("yuv420p", (100, 80, 20, -6), "", (80, 100)),
    "crop.mkv": ("yuv420p", (100, 80, 20, -6), "", (80, 100)),
    "odd_crop.mov": ("yuv420p", (101, 81, 21, -7), "", (80, 100)),
    "odd_crop_444.mkv": ("yuv444p", (101, 81, 21, -7), "", (81, 101)),
    "odd_crop_10_bits.mp4": ("yuv422p10", (101, 81, 21, -7), "", (81, 100)),
    "crop_turned.mp4": ("yuv420p", (100, 80, 20, -6), "-display_rotation 90", (100, 80)),
    "wide.mp4": ("yuv420p -vf setsar=16/11", None, "", (120, 232)),
    "wide.mkv": ("yuv420p -vf setsar=64/45", None, "", (120, 227)),
    "wide.mpg": ("yuv420p -c:v mpeg2video -aspect 16:9", None, "", (120, 213)),
    "wide.avi": ("yuv420p -c:v mpeg4 -vf setsar=16/11", None, "", (120, 232)),
    "wide_10_bits.mkv": ("yuv420p10 -vf setsar=16/11", None, "", (120, 232)),
    "narrow.mp4": ("yuv420p -vf setsar=10/11", None, "", (120, 145)),
    "wide_turned.mp4": ("yuv420p -vf setsar=16/11", None, "-display_rotation 90", (160, 82)),
    "narrow_turned.mp4": ("yuv420p -vf setsar=10/11", None, "-display_rotation 270", (160, 132)),
    "all.mov": ("yuv420p -vf setsar=3/2", (100, 80, 0, 8), "-display_rotation 90", (100, 53)),
}


@pytest.mark.parametrize("name", DISPLAYED)
def test_frames_are_as_a_player_shows_them(tmp_path, name):
    options, crop, rotation, size = DISPLAYED[name]
    path, plain = tmp_path / name, tmp_path / f"plain{name[-4:]}"
    make(plain, f"{X264} {options}", seconds=1)
    if crop is not None:
        cropped = tmp_path / "cropped.mp4"
        ffmpeg("-i", plain, "-c", "copy", tmp_path / "uncropped.mp4")
        cropped.write_bytes(add_clap((tmp_path / "uncropped.mp4").read_bytes(), *crop))
        plain = cropped
    ffmpeg(*rotation.split(), "-i", plain, "-c", "copy", path)
    info = probe(path)
    assert (info.status, info.frames, info.height, info.width) == ("ok", 25, *size)
    whole = read_frames(path)
    assert np.abs(whole.astype(int) - program_frames(path, *size)).max() <= 2
    grey = program_frames(path, *size, "gray")
    assert np.abs(read_frames(path, gray=True).astype(int) - grey).max() <= 2
    # All other ways to read: crop, resize, YUV.
    top, left = (size[0] - 41) // 2, (size[1] - 31) // 2
    middle = whole[:, top : top + 41, left : left + 31]
    assert np.array_equal(read_frames(path, crop=(41, 31)), middle)
    part = round(32 * min(size) / 40)
    top, left = ((n - part) // 2 for n in size)
    expected = [
        cv2.resize(
            frame[top : top + part, left : left + part], (32, 32), interpolation=cv2.INTER_AREA
        )
        for frame in whole
    ]
    frames = read_frames(path, size=(40, 40), crop=(32, 32))
    assert np.array_equal(frames, expected)
    yuv, matrix = read_yuv(path, 0, 25, size=(40, 40), crop=(32, 32))
    rgb = np.clip(np.rint(yuv @ matrix[:, :3].T + matrix[:, 3]), 0, 255)
    assert np.abs(rgb - frames).mean() < 4


def test_excessive_display_sizes_and_crops(tmp_path, videos):
    plain = make_kind(videos, "plain.mp4")
    # Two columns with the proportions of the test picture, 4:3.
    make(tmp_path / "wide.mkv", "-c:v ffv1 -pix_fmt yuv444p -vf scale=2:8000 -frames:v 2")
    assert probe(tmp_path / "wide.mkv").status == "frames shown as 10666x8000 are beyond 8K"
    # FFmpeg ignores a crop that is larger than the frame.
    (tmp_path / "huge.mp4").write_bytes(add_clap(plain.read_bytes(), 999, 999, 0, 0))
    assert probe(tmp_path / "huge.mp4").width == 160


# Several streams, and photographs ---------------------------------------------------------------


def test_reader_and_ffmpeg_program_select_the_same_stream(tmp_path, videos):
    inputs = [
        make(tmp_path / f"{size}.mp4", f"{X264} yuv420p", 1, size) for size in ("64x48", "128x96")
    ]
    both = [option for path in inputs for option in ("-i", path)]
    maps = ("-map", "0:v", "-map", "1:v", "-c", "copy")
    programs = ("-program", "title=a:st=0", "-program", "title=b:st=1")
    ffmpeg(*both, *maps, *programs, tmp_path / "programs.ts")
    ffmpeg(*both, *maps, "-disposition:v:1", 0, tmp_path / "tracks.mp4")
    ffmpeg(*both, *maps, "-disposition:v:0", 0, "-disposition:v:1", 0, tmp_path / "tracks.mkv")
    for name in ("programs.ts", "tracks.mp4", "tracks.mkv"):
        path, height = tmp_path / name, 48 if name == "tracks.mp4" else 96  # its default
        info = probe(path)
        assert (info.status, info.frames, info.height) == ("ok", 25, height), name
        expected = program_frames(path, info.height, info.width)
        assert np.abs(read_frames(path).astype(int) - expected).max() <= 2
    # So does transcoding.
    slanted = tmp_path / "slanted.mp4"
    rotation = ("-display_rotation", 30)
    ffmpeg(*rotation, *both[:2], *rotation, *both[2:], *maps, "-disposition:v:0", 0, slanted)
    info = probe(slanted, transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width) == ("ok", 25, 128)
    with av.open(info.transcoded) as copy:
        assert len(copy.streams) == 1


def test_photograph_is_not_a_video(tmp_path):
    pictures = [Image.fromarray(np.full((48, 64, 3), grey, np.uint8)) for grey in range(0, 250, 50)]
    pictures[0].save(tmp_path / "still.avif")
    assert probe(tmp_path / "still.avif", transcoded=tmp_path).status == "a photograph, no video"
    content = (tmp_path / "still.avif").read_bytes()
    (tmp_path / "phone.heic").write_bytes(content.replace(b"avif", b"heic"))
    assert probe(tmp_path / "phone.heic", transcoded=tmp_path).status == "a photograph, no video"
    # An AVIF animation has a still picture, too.
    pictures[0].save(
        tmp_path / "video.avif", save_all=True, append_images=pictures[1:], duration=40
    )
    info = probe(tmp_path / "video.avif")
    assert (info.status, info.frames, info.width) == ("ok", 5, 64)
    means = read_frames(tmp_path / "video.avif").mean((1, 2, 3))
    assert np.abs(means - np.arange(0, 250, 50)).max() < 3


# Unusual files ----------------------------------------------------------------------------------


def make_multipart(pictures, lengths=True):
    """Return a network camera's endless multipart response with JPEG pictures."""
    length = b"Content-Length: %d\r\n"
    return b"".join(
        b"--edge\r\nContent-Type: image/jpeg\r\n"
        + (length % len(picture) if lengths else b"")
        + b"\r\n"
        + picture
        + b"\r\n"
        for picture in pictures
    )


def test_motion_jpeg_without_a_container_is_read(tmp_path):
    pictures = make_jpegs(tmp_path, 12)
    for name, content in {
        "raw.mjpeg": b"".join(pictures),
        "raw without a suffix": b"".join(pictures),
        "exif.mjpg": b"".join(add_exif(picture, 1) for picture in pictures),
        "camera.mpjpeg": make_multipart(pictures),
        "camera.mjpeg": make_multipart(pictures, lengths=False),
        "ended.mp4": make_multipart(pictures) + b"--edge--\r\n",
        "edge_at_the_end.mjpg": make_multipart(pictures) + b"--edge\r\n",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        info = probe(path)
        assert (info.status, info.frames, info.width) == ("ok", 12, 64), name
        assert info.rate == pytest.approx(25)
        expected = program_frames(path, 48, 64)
        assert np.abs(read_frames(path, 4, 5, frames=12).astype(int) - expected[4:9]).max() <= 2
    # A gap in the middle is not the end.
    content = make_multipart(pictures[:4]) + b"no header\r\n" * 500 + make_multipart(pictures[4:])
    (tmp_path / "torn.mpjpeg").write_bytes(content)
    assert probe(tmp_path / "torn.mpjpeg").status != "ok"
    # If the size changes, the copy has the first size, as for other formats.
    larger = make_jpegs(tmp_path, 3, "128x96")
    (tmp_path / "changing.mjpeg").write_bytes(b"".join(pictures + larger))
    info = probe(tmp_path / "changing.mjpeg", transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width) == ("ok", 15, 64)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("fast.h264", "-c:v libx264 -bf 0 -pix_fmt yuv420p", 60),
        ("fast.hevc", "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none", 60),
        ("slow.h264", "-c:v libx264 -bf 2 -pix_fmt yuv420p", 10),
        ("fast.m2v", "-c:v mpeg2video", 60),
        ("dirac.drc", "-c:v vc2 -pix_fmt yuv420p -f dirac", 25),
        ("game.roq", "-c:v roqvideo", 30),
    ],
)
def test_streams_without_time_stamps_have_the_declared_duration(tmp_path, name, codec, rate):
    path = make(tmp_path / name, codec, rate=rate, size="64x48")
    info = probe(path)
    assert (info.status, info.frames, round(info.duration, 3)) == ("ok", 2 * rate, 2.0)
    assert len(read_frames(path, rate=30.0)) == 60
    assert np.abs(read_frames(path).astype(int) - program_frames(path, 48, 64)).max() <= 2


def test_animated_webp_is_transcoded(tmp_path, monkeypatch):
    pictures = [Image.fromarray(np.full((48, 64, 3), grey, np.uint8)) for grey in range(0, 250, 10)]
    options = {"save_all": True, "append_images": pictures[1:], "lossless": True}
    path = tmp_path / "video.webp"
    pictures[0].save(path, duration=[40] * 20 + [200] * 5, **options)
    info = probe(path, transcoded=tmp_path / "copies")
    assert (info.status, info.frames) == ("ok", 25)
    assert 25 * 0.04 < info.duration <= 20 * 0.04 + 5 * 0.2
    means = read_frames(info.transcoded).mean((1, 2, 3))
    assert np.abs(means - np.arange(0, 250, 10)).max() < 3
    status = "an animated WebP, which only the ffmpeg program from version 9 on reads"
    assert probe(path).status == status
    monkeypatch.setattr(ffmpeg_program, "FORMATS", ffmpeg_program.FORMATS.replace("webp_anim,", ""))
    assert probe(path, transcoded=tmp_path / "others").status.startswith(f"{status}; the ffmpeg ")


def test_status_describes_files_that_are_not_videos(tmp_path):
    (picture, *_), image = make_jpegs(tmp_path, 1), Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    # A phone's photograph, with a smaller picture after the first.
    mpf = (
        picture[:2]
        + b"\xff\xe2\x00\x0aMPF\0MM\0*"
        + picture[2:]
        + make_jpegs(tmp_path, 1, "32x24")[0]
    )
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 12345\n"
    page = '<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title></head></html>\n'
    failed = "a download that failed: download it again"
    expected = {
        "lfs.mp4": (pointer, "a Git LFS pointer, no video (get the file by: git lfs pull)"),
        "annex.mkv": (
            "/annex/objects/SHA256E-s9--0a.mkv\n",
            "a git-annex pointer, no video (get the file by: git annex get)",
        ),
        "page.mp4": (page, f"an HTML page, no video ({failed})"),
        "mark.avi": (f"\ufeff\n<!-- saved -->\n{page}", f"an HTML page, no video ({failed})"),
        "xhtml.mp4": (f'<?xml version="1.0"?>\n{page}', f"an HTML page, no video ({failed})"),
        "denied.mp4": (
            '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            f"an XML text, no video ({failed})",
        ),
        "error.webm": ('{"error": "quota"}', f"a JSON text, no video ({failed})"),
        "frame_0001.jpg": (picture, file_signatures.JPEG),
        "many.JPEG": (picture * 3, file_signatures.JPEG),
        "picture": (picture, file_signatures.JPEG),
        "phone": (mpf, file_signatures.JPEG),
        "packed.mp4": (b"PK\x03\x04" + bytes(100), "a packed archive, no video (unpack it)"),
        "text.mp4": (
            "no video at all " * 99,
            "not a video that FFmpeg reads (Invalid data found when processing input)",
        ),
    }
    for name, (content, _) in expected.items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for suffix in ("png", "webp", "bmp", "tiff"):
        image.save(tmp_path / f"picture.{suffix}")
        kind = "WebP" if suffix == "webp" else suffix.upper()
        expected[f"picture.{suffix}"] = ("", f"a {kind} picture, no video")
    for name, (_, status) in expected.items():
        actual = probe(tmp_path / name, transcoded=tmp_path / "copies").status
        assert actual.startswith(status), name
    assert file_signatures.JPEG.endswith(
        "(extracted frames become one by: ffmpeg -i frame_%04d.jpg video.mp4)"
    )
