"""Odd formats: side data without a name, changes in mid-stream, crops, pixels, Motion JPEG."""

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


@pytest.mark.usefixtures("probe_in_process")
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
    clips, reasons = find_readable_videos(paths, None, tmp_path)
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
    "crop_size": {"crop": (31, 41)},
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
        part = read_frames(path, 27, 3, frames=info.frames, **options)
        assert np.array_equal(part, expected[27:30]), way
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


@pytest.mark.parametrize("orientations", [(1, 4, 1), (2, 3), (3, 2, 3), (5, 8), (6, 7, 6)])
def test_frames_that_are_mirrored_from_one_on_are_shown_so(tmp_path, orientations):
    pictures = jpegs(tmp_path, 6)
    parts = [[with_exif(picture, number) for picture in pictures] for number in orientations]
    (tmp_path / "film.mjpeg").write_bytes(b"".join(map(b"".join, parts)))
    path = tmp_path / "mirrored.avi"
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "film.mjpeg", "-c", "copy", path)
    info = probe(path)
    expected = program_frames(path, info.height, info.width)
    for options in ({}, {"size": (24, 24)}):
        films = []
        for n, part in enumerate(parts):
            (tmp_path / f"{n}.mjpeg").write_bytes(b"".join(part))
            films.append(read_frames(tmp_path / f"{n}.mjpeg", **options))
        assert np.array_equal(read_frames(path, **options), np.concatenate(films))
    assert np.abs(read_frames(path).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("name", ["film.ts", "film.mpg", "film.m2v"])
def test_pixels_that_become_wider_are_as_any_other_change_of_size(tmp_path, name):
    codec = "-c:v libx264 -pix_fmt yuv420p" if name.endswith("ts") else "-c:v mpeg2video"
    path = tmp_path / name
    parts = [
        make(tmp_path / f"{n}{name}", f"{codec} -aspect {shape}", 1).read_bytes()
        for n, shape in enumerate(("4:3", "16:9"))
    ]
    path.write_bytes(b"".join(parts))
    assert probe(path).status.startswith("width of pixels changes near frame 2")
    info = probe(path, transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width, info.height) == ("ok", 50, 160, 120)
    path.write_bytes(parts[1] * 2)
    assert (probe(path).status, probe(path).width) == ("ok", 213)


# What a player shows ----------------------------------------------------------------------------


def with_clap(content, width, height, right, down):
    """An MP4 file that asks for a crop of this size, so many half pixels off the middle."""
    box = struct.pack(">I4s8i", 40, b"clap", width, 1, height, 1, right, 2, down, 2)
    sizes, at = [], 0
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b""):
        while name not in (content[at + 4 : at + 8], b""):
            at += int.from_bytes(content[at : at + 4])
        sizes.append(at)
        at += 16 if name == b"stsd" else 8
    end = sizes[-1] + int.from_bytes(content[sizes[-1] : sizes[-1] + 4])
    content = bytearray(content)
    for at in sizes:
        grown = int.from_bytes(content[at : at + 4]) + len(box)
        content[at : at + 4] = grown.to_bytes(4)
    return bytes(content[:end] + box + content[end:])


X264 = "-c:v libx264 -pix_fmt"
SHOWN = {  # options, what the container crops, how it turns, its name, and the size on display
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


@pytest.mark.parametrize("name", SHOWN)
def test_a_frame_is_what_a_player_shows(tmp_path, name):
    options, crop, turn, size = SHOWN[name]
    path, plain = tmp_path / name, tmp_path / f"plain{name[-4:]}"
    make(plain, f"{X264} {options}", seconds=1)
    if crop is not None:
        cropped = tmp_path / "cropped.mp4"
        ffmpeg("-i", plain, "-c", "copy", tmp_path / "uncropped.mp4")
        cropped.write_bytes(with_clap((tmp_path / "uncropped.mp4").read_bytes(), *crop))
        plain = cropped
    ffmpeg(*turn.split(), "-i", plain, "-c", "copy", path)
    info = probe(path)
    assert (info.status, info.frames, info.height, info.width) == ("ok", 25, *size)
    whole = read_frames(path)
    assert np.abs(whole.astype(int) - program_frames(path, *size)).max() <= 2
    grey = program_frames(path, *size, "gray")
    assert np.abs(read_frames(path, gray=True).astype(int) - grey).max() <= 2
    # Every other way of reading: a part of that, or that resized.
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
    late = np.clip(np.rint(yuv @ matrix[:, :3].T + matrix[:, 3]), 0, 255)
    assert np.abs(late - frames).mean() < 4


def test_what_leaves_nothing_to_show_or_too_much_is_told(tmp_path, videos):
    plain = make_kind(videos, "plain.mp4")
    # Two columns that keep the proportions of the test picture, 4:3.
    make(tmp_path / "wide.mkv", "-c:v ffv1 -pix_fmt yuv444p -vf scale=2:8000 -frames:v 2")
    assert probe(tmp_path / "wide.mkv").status == "frames shown as 10666x8000 are beyond 8K"
    # A crop that is no part of the frame is none, to FFmpeg.
    (tmp_path / "huge.mp4").write_bytes(with_clap(plain.read_bytes(), 999, 999, 0, 0))
    assert probe(tmp_path / "huge.mp4").width == 160


# Several streams, and photographs ---------------------------------------------------------------


def test_of_several_streams_the_one_that_the_program_chooses_is_read(tmp_path, videos):
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
    # A copy is of that stream, too.
    slanted = tmp_path / "slanted.mp4"
    turn = ("-display_rotation", 30)
    ffmpeg(*turn, *both[:2], *turn, *both[2:], *maps, "-disposition:v:0", 0, slanted)
    info = probe(slanted, transcoded=tmp_path / "copies")
    assert (info.status, info.frames, info.width) == ("ok", 25, 128)
    with av.open(info.transcoded) as copy:
        assert len(copy.streams) == 1


def test_a_photograph_is_no_video(tmp_path):
    pictures = [Image.fromarray(np.full((48, 64, 3), grey, np.uint8)) for grey in range(0, 250, 50)]
    pictures[0].save(tmp_path / "still.avif")
    assert probe(tmp_path / "still.avif", transcoded=tmp_path).status == "a photograph, no video"
    content = (tmp_path / "still.avif").read_bytes()
    (tmp_path / "phone.heic").write_bytes(content.replace(b"avif", b"heic"))
    assert probe(tmp_path / "phone.heic", transcoded=tmp_path).status == "a photograph, no video"
    # An animation in AVIF has a still picture beside it.
    pictures[0].save(tmp_path / "film.avif", save_all=True, append_images=pictures[1:], duration=40)
    info = probe(tmp_path / "film.avif")
    assert (info.status, info.frames, info.width) == ("ok", 5, 64)
    means = read_frames(tmp_path / "film.avif").mean((1, 2, 3))
    assert np.abs(means - np.arange(0, 250, 50)).max() < 3


# Odd files --------------------------------------------------------------------------------------


def multipart(pictures, lengths=True):
    """What a network camera sends: JPEG pictures as parts of a never ending answer."""
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
    pictures = jpegs(tmp_path, 12)
    for name, content in {
        "raw.mjpeg": b"".join(pictures),
        "raw without a suffix": b"".join(pictures),
        "exif.mjpg": b"".join(with_exif(picture, 1) for picture in pictures),
        "camera.mpjpeg": multipart(pictures),
        "camera.mjpeg": multipart(pictures, lengths=False),
        "ended.mp4": multipart(pictures) + b"--edge--\r\n",
        "edge_at_the_end.mjpg": multipart(pictures) + b"--edge\r\n",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        info = probe(path)
        assert (info.status, info.frames, info.width) == ("ok", 12, 64), name
        assert info.rate == pytest.approx(25)
        expected = program_frames(path, 48, 64)
        assert np.abs(read_frames(path, 4, 5, frames=12).astype(int) - expected[4:9]).max() <= 2
    # A hole in the middle is no end.
    content = multipart(pictures[:4]) + b"no header\r\n" * 500 + multipart(pictures[4:])
    (tmp_path / "torn.mpjpeg").write_bytes(content)
    assert probe(tmp_path / "torn.mpjpeg").status != "ok"
    # Where the size changes, the first one holds, as in other formats.
    larger = jpegs(tmp_path, 3, "128x96")
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
def test_streams_without_time_stamps_last_as_long_as_they_say(tmp_path, name, codec, rate):
    path = make(tmp_path / name, codec, rate=rate, size="64x48")
    info = probe(path)
    assert (info.status, info.frames, round(info.duration, 3)) == ("ok", 2 * rate, 2.0)
    assert len(read_frames(path, rate=30.0)) == 60
    assert np.abs(read_frames(path).astype(int) - program_frames(path, 48, 64)).max() <= 2


def test_an_animated_webp_is_read_by_way_of_a_copy(tmp_path, monkeypatch):
    pictures = [Image.fromarray(np.full((48, 64, 3), grey, np.uint8)) for grey in range(0, 250, 10)]
    options = {"save_all": True, "append_images": pictures[1:], "lossless": True}
    path = tmp_path / "film.webp"
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


def test_a_file_that_is_no_video_is_told_by_what_it_is(tmp_path):
    (picture, *_), image = jpegs(tmp_path, 1), Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    # A photograph of a phone, with a smaller picture behind the first.
    mpf = picture[:2] + b"\xff\xe2\x00\x0aMPF\0MM\0*" + picture[2:] + jpegs(tmp_path, 1, "32x24")[0]
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
        "words.mp4": (
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
