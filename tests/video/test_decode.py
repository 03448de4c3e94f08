"""Tests of decoding: frames equal those of the ffmpeg program for many formats."""

import gc

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import KINDS, TURNED, X264, ffmpeg, make, make_kind, program_frames

from video_lstm.errors import UserError
from video_lstm.video import decode, seek
from video_lstm.video.colour import yuv_to_rgb
from video_lstm.video.decode import iter_frames, read_frames, read_yuv
from video_lstm.video.probe import probe
from video_lstm.video.source import UnreadableVideoError
from video_lstm.video.timing import Clock, resample, resampled_count

ALL = sorted([*KINDS, *TURNED])


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b)


# Equality with the ffmpeg program ---------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_frames_equal_those_of_the_ffmpeg_program(videos, name):
    path = make_kind(videos, name)
    info = probe(path)
    assert info.status == "ok"
    expected = program_frames(path, info.height, info.width)
    assert info.frames == len(expected)
    assert difference(read_frames(path), expected).max() <= 2
    if "bt709" not in name:
        # For BT.709 the program converts to luma of BT.601; the reader returns the stored luma.
        grey = program_frames(path, info.height, info.width, "gray")
        assert difference(read_frames(path, gray=True), grey).max() <= 2


@pytest.mark.parametrize("name", ALL)
def test_crop_is_the_centre_of_the_whole_frame(videos, name):
    path = make_kind(videos, name)
    whole = read_frames(path)
    # An odd size, so that the edges fall within chroma samples.
    top, left = (whole.shape[1] - 45) // 2, (whole.shape[2] - 61) // 2
    expected = whole[:, top : top + 45, left : left + 61]
    assert np.array_equal(read_frames(path, crop=(45, 61)), expected)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(48, 64), (48, 96), (240, 320)])
def test_resized_frames_equal_resized_whole_frames(videos, name, size):
    path = make_kind(videos, name)
    whole = read_frames(path, 0, 1)[0]
    # Crop the centre to the target's proportions, then resize.
    height, width = whole.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    part_height, part_width = round(size[0] / scale), round(size[1] / scale)
    top, left = (height - part_height) // 2, (width - part_width) // 2
    part = whole[top : top + part_height, left : left + part_width]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    expected = cv2.resize(part, size[::-1], interpolation=method)
    actual = read_frames(path, 0, 1, size=size)[0]
    # The test picture has sharp edges in saturated colours, where interpolated chroma differs and a
    # shift by one pixel is visible; errors of colour conversion would be far larger.
    smooth = [cv2.blur(image, (9, 9)) for image in (actual, expected)]
    assert difference(*smooth).mean() < (4 if "odd" in name else 2)
    smaller = (size[0] - 8, size[1] - 8)
    assert read_frames(path, 0, 1, size=size, crop=smaller).shape == (1, *smaller, 3)


@pytest.mark.parametrize("name", ALL)
def test_yuv_converts_to_the_same_colours(videos, name):
    path = make_kind(videos, name)
    yuv, matrix = read_yuv(path, 0, 1, size=(96, 96))
    rgb = yuv[0] @ matrix[:, :3].T + matrix[:, 3]
    expected = read_frames(path, 0, 1, size=(96, 96))[0]
    actual = np.clip(np.rint(rgb), 0, 255)
    # For 10 bits, RGB is computed from all bits, and YUV has 8 bits.
    assert difference(actual, expected).mean() < (4 if "ten_bits" in name else 1)


def test_grey_is_the_luma_of_rgb(videos):
    for name in ("plain.mp4", "full_range.mp4"):
        path = make_kind(videos, name)
        rgb = read_frames(path, 0, 1)[0]
        flat = np.abs(cv2.Laplacian(rgb, cv2.CV_32F)).max(axis=2) < 6
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        assert difference(read_frames(path, 0, 1, gray=True)[0], luma)[flat].mean() < 3


def test_known_colours_are_preserved(tmp_path):
    for matrix, tag in (("bt601", "smpte170m"), ("bt709", "bt709")):
        for colour_range in ("tv", "pc"):
            path = tmp_path / f"{matrix}_{colour_range}.mkv"
            source = "color=c=0xC86432:size=32x32:duration=0.1:rate=10"
            scale = f"scale=out_color_matrix={matrix}:out_range={colour_range}"
            tags = f"-colorspace {tag} -color_range {colour_range} -pix_fmt yuv420p -c:v ffv1"
            ffmpeg("-f", "lavfi", "-i", source, "-vf", scale, *tags.split(), path)
            for options in ({}, {"size": (16, 16)}, {"crop": (9, 9)}):
                actual = read_frames(path, 0, 1, **options)
                assert difference(actual, np.full_like(actual, [200, 100, 50])).max() <= 4


def test_colour_matrix_follows_the_standards():
    # ITU-R BT.601-7, 2.5: white is (235, 128, 128), red is (81, 90, 240), in 8 bits.
    matrix = yuv_to_rgb(0.299, 0.114, False)
    assert matrix @ [235, 128, 128, 1] == pytest.approx([255, 255, 255], abs=0.01)
    assert matrix @ [81, 90, 240, 1] == pytest.approx([255, 0, 0], abs=1.5)
    # ITU-R BT.709-6, 3: red is (63, 102, 240).
    assert yuv_to_rgb(0.2126, 0.0722, False) @ [63, 102, 240, 1] == pytest.approx(
        [255, 0, 0], abs=1.5
    )


def test_array_grows_if_more_frames_are_read_than_expected(videos, monkeypatch):
    path = make_kind(videos, "plain.mp4")
    monkeypatch.setattr(decode, "_MAX_DECLARED_BYTES", 1)
    for options in ({}, {"rate": 30.0}, {"first": 20, "gray": True}):
        expected = np.stack(list(iter_frames(path, **options)))
        assert np.array_equal(read_frames(path, **options), expected)


def test_frames_of_real_files_equal_those_of_the_ffmpeg_program(real_data):
    for path in sorted(real_data("unlabelled").iterdir()):
        info = probe(path)
        if info.width * info.height > 340 * 256:
            continue
        expected = program_frames(path, info.height, info.width)
        assert (info.status, info.frames) == ("ok", len(expected))
        actual = read_frames(path, 0, 60)
        assert difference(actual, expected[:60]).max() <= 2
        for index, frame in enumerate(iter_frames(path, 5, 3), start=5):
            assert np.array_equal(frame, actual[index])


# Ranges and seeking -----------------------------------------------------------------------------

LONG = {
    "open_groups.mp4": f"{X264} -x264-params open-gop=1:keyint=40:bframes=3",
    "refresh.mp4": f"{X264} -x264-params intra-refresh=1:keyint=50",
    "old_444.mp4": "-c:v libx264 -pix_fmt yuv444p -g 40",
    "xvid.avi": "-c:v libxvid -g 40",
    "vp8.webm": "-c:v libvpx -g 40 -cpu-used 16 -b:v 200k",
    "program_stream.mpg": "-c:v mpeg2video -bf 2 -g 15",
    "milliseconds.mkv": f"{X264} -g 40 -r 30000/1001",
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("rate", [None, 12.5, 30.0])
def test_seeking_reads_the_same_frames_as_decoding_from_the_start(videos, name, rate):
    path = videos / f"long_{name}"
    if not path.exists():
        make(path, LONG[name], seconds=7)
    frames = probe(path).frames
    whole = read_frames(path, rate=rate, crop=(48, 48))
    for first in range(0, len(whole) - 5, len(whole) // 9):
        actual = read_frames(path, first, 5, rate=rate, crop=(48, 48), frames=frames)
        assert np.array_equal(actual, whole[first : first + 5]), first


FALSE_KEYS = {
    "mpeg4.mp4": "-c:v mpeg4 -g 40",
    "mpeg4.avi": "-c:v mpeg4 -g 40",
    "h264.mp4": f"{X264} -x264-params keyint=500:min-keyint=400:scenecut=80",
    "wmv2.avi": "-c:v wmv2 -g 40",
    "flv.avi": "-c:v flv -g 40",
    "vp9.mkv": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 40",
    "animation.mov": "-c:v qtrle -g 40",
    "video1.avi": "-c:v msvideo1 -g 40",
    "ffv1.mkv": "-c:v ffv1 -g 40",
}


@pytest.mark.parametrize("name", FALSE_KEYS)
def test_false_key_frames_are_not_used_for_seeking(tmp_path, name):
    plain, path = make(tmp_path / f"plain_{name}", FALSE_KEYS[name], seconds=6), tmp_path / name
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream, packet.is_keyframe = copy, True
                out.mux(packet)
    frames, whole = probe(path).frames, read_frames(path)
    assert frames == len(whole) == 150
    for first in range(77, 145, 9):
        frames_by_seeking = read_frames(path, first, 5, frames=frames)
        assert np.array_equal(frames_by_seeking, whole[first : first + 5]), first


def write_jumps(path, codec, *jumps):
    """Write a video with jumps in its time stamps: (packet in decoding order, seconds)."""
    plain = make(path.with_name(f"plain_{path.name}"), codec, seconds=7)
    offset = "+".join(f"if(gte(N,{number}),{seconds},0)/TB" for number, seconds in jumps)
    ffmpeg(
        "-i", plain, "-c", "copy", "-bsf:v", f"setts=pts='PTS+{offset}':dts='DTS+{offset}'", path
    )


def write_without_durations(path, codec):
    """Write a video without packet durations."""
    plain = make(path.with_name(f"plain_{path.name}.mp4"), codec, seconds=7)
    ffmpeg("-i", plain, "-c", "copy", "-bsf:v", "setts=duration=0", path)


def write_without_index(path, codec):
    """Write an MXF file without its footer, which has the index."""
    content = make(path, codec, seconds=7).read_bytes()
    footer = bytes.fromhex("060e2b34020501010d010201010404")
    path.write_bytes(content[: content.rindex(footer)])


def write_after_junk(path, codec):
    """Write a video after 100 bytes that do not belong to it."""
    path.write_bytes(bytes(range(1, 101)) + make(path, codec, seconds=7).read_bytes())


# Time stamps depend on where reading starts, or are not in display order.
UNRELIABLE_STAMPS = {
    "no_durations.mkv": (write_without_durations, "-c:v mpeg4 -bf 2 -g 40"),
    "no_index.mxf": (write_without_index, "-c:v mpeg2video -bf 2 -g 15"),
    "no_header.avi": (write_after_junk, "-c:v mpeg4 -bf 2 -g 40"),
    "back.mp4": (write_jumps, "-c:v mpeg4 -bf 2 -g 40", (60, 20), (90, -30)),
    "forward.mp4": (write_jumps, "-c:v mpeg4 -bf 2 -g 40", (60, 20), (100, 15)),
    "forward.flv": (write_jumps, f"{X264} -g 40", (60, 20), (100, 15)),
}


@pytest.mark.parametrize("name", UNRELIABLE_STAMPS)
def test_seeking_does_not_rely_on_unreliable_time_stamps(tmp_path, name):
    write, *options = UNRELIABLE_STAMPS[name]
    write(tmp_path / name, *options)
    frames = probe(tmp_path / name).frames
    for rate in (None, 30.0):
        whole = read_frames(tmp_path / name, rate=rate, crop=(48, 48))
        for first in [*range(len(whole) // 3, len(whole) - 3, len(whole) // 25), len(whole) - 3]:
            for count in (1, 3):
                options = {"rate": rate, "crop": (48, 48), "frames": frames}
                part = read_frames(tmp_path / name, first, count, **options)
                assert np.array_equal(part, whole[first : first + count]), (rate, first)


def test_seeking_decodes_few_frames(videos, monkeypatch):
    path = make(videos / "groups.mp4", f"{X264} -g 25", seconds=10)
    decoded = []
    original = seek.decode_frames
    monkeypatch.setattr(
        seek, "decode_frames", lambda *a: (decoded.append(1) or f for f in original(*a))
    )
    monkeypatch.setattr(
        decode, "decode_frames", lambda *a: (decoded.append(1) or f for f in original(*a))
    )
    read_frames(path, 230, 5, frames=250)
    assert len(decoded) < 20


def test_wrong_frame_count_does_not_change_frames(videos):
    path = make_kind(videos, "plain.mp4")
    whole = read_frames(path)
    assert np.array_equal(read_frames(path, 40, 5, frames=999), whole[40:45])


def test_missing_frames_are_an_error(videos):
    path = make_kind(videos, "plain.mp4")
    with pytest.raises(UnreadableVideoError, match=r"plain.mp4: expected frames 48 to 52, found 2"):
        read_frames(path, 48, 5)
    with pytest.raises(UnreadableVideoError, match="found 0"):
        read_frames(path, 50)
    with pytest.raises(UserError, match="crop: expected at most the frame's 120x160"):
        read_frames(path, 0, 1, crop=(200, 200))


# Target rates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
@pytest.mark.parametrize("rate", [5.0, 10.0, 24.0, 30.0])
def test_target_rate_selects_frames_by_time_stamp(videos, name, rate):
    path = make_kind(videos, name)
    # The video has the frames n with n mod 7 < 3 at 25 Hz.
    times = np.array([n for n in range(50) if n % 7 < 3]) / 25
    duration = times[-1] * len(times) / (len(times) - 1)
    expected = [np.flatnonzero(times <= k / rate + 0.001)[-1] for k in range(int(duration * rate))]
    whole, actual = read_frames(path), read_frames(path, rate=rate)
    assert len(actual) == resampled_count(probe(path).duration, rate)
    assert abs(len(actual) - duration * rate) <= 1
    for k, source in enumerate(expected):
        assert np.array_equal(actual[k], whole[source]), k


def test_native_rate_yields_every_frame_once(videos):
    # In AVI with B frames, FFmpeg computes the time stamps; Matroska rounds them to milliseconds.
    for name, rate in {
        "plain.mp4": 25,
        "b_frames.avi": 25,
        "xvid.avi": 25,
        "ntsc.mkv": 30000 / 1001,
    }.items():
        path = make_kind(videos, name)
        assert np.array_equal(read_frames(path, rate=float(rate)), read_frames(path)), name


def test_real_file_with_irregular_time_stamps(real_data):
    path = real_data("unlabelled") / "S001C001P001R001A001_rgb.avi"
    actual, whole = (list(iter_frames(path, crop=(32, 32), rate=rate)) for rate in (30.0, None))
    assert len(actual) == len(whole) == 103
    assert all(map(np.array_equal, actual, whole))


steps = st.lists(st.floats(0.001, 3.0), min_size=0, max_size=40)


@given(steps, st.floats(0.5, 120.0))
def test_resampling_follows_its_definition(gaps, rate):
    clock = Clock(nominal=0.04)
    times = [clock.tick(7.5 + t) for t in np.concatenate([[0], np.cumsum(gaps)])]
    second_clock = Clock(nominal=0.04)
    timed_frames = ((second_clock.tick(7.5 + t), n) for n, t in enumerate(times))
    picked = list(resample(timed_frames, rate, second_clock))
    assert len(picked) == resampled_count(clock.duration, rate)
    expected = [
        max(n for n, t in enumerate(times) if t <= k / rate + 1.5e-3) for k in range(len(picked))
    ]
    assert picked == expected


@given(st.integers(1, 3000), st.floats(1.0, 240.0), st.booleans())
def test_native_rate_preserves_the_frame_count_despite_rounding(frames, rate, milliseconds):
    clock = Clock(nominal=1 / rate)
    for n in range(frames):
        clock.tick(round(n / rate, 3) if milliseconds else n / rate)
    assert resampled_count(clock.duration, rate) == frames


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=50))
def test_display_times_increase_for_any_time_stamps(stamps):
    clock = Clock(nominal=0.04)
    times = [time for stamp in stamps if (time := clock.tick(stamp)) is not None]
    assert times[:1] in ([], [0.0])
    assert times == sorted(set(times))


def test_frames_are_freed_without_garbage_collection(video, tmp_path):
    """A frame in a reference cycle, and its buffer, would wait for the garbage collector."""
    path = tmp_path / "video.avi"
    path.write_bytes(video)
    gc.collect()
    gc.disable()
    try:
        num_frames = sum(1 for _ in iter_frames(path))
        alive = sum(type(item) is av.VideoFrame for item in gc.get_objects())
    finally:
        gc.enable()
    assert num_frames == 50 and alive < num_frames / 2
