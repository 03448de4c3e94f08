"""Tests of irregular time stamps: frames at a target rate are those of the ffmpeg program."""

import hashlib
import struct
from collections import Counter

import av
import pytest
from video_files import X264, ffmpeg

from video_lstm.video.decode import iter_frames, read_frames
from video_lstm.video.probe import probe
from video_lstm.video.timing import target_frames

MPEG2 = "-c:v mpeg2video -bf 2"
GROUPS = f"{X264} -g 25"
THEORA = "-c:v libtheora"
WRAP = 2**33 / 90000
"""Seconds after which the time stamps of MPEG streams wrap around."""


def write_part(path, codec, seconds=1.0, start=0.0):
    """Write noise, so that all frames differ, at 25 Hz, with time stamps from ``start`` seconds."""
    source = f"testsrc2=size=64x48:rate=25:duration={seconds},noise=alls=40:allf=t"
    source += f":all_seed={int(start)}"
    ffmpeg("-f", "lavfi", "-i", source, *codec.split(), "-output_ts_offset", start, path)
    return path.read_bytes()


def write_joined(path, codec, *parts):
    """Write recordings one after the other: (seconds, first time stamp in seconds) of each."""
    contents = [
        write_part(path.with_name(f"{n}_{path.name}"), codec, *p) for n, p in enumerate(parts)
    ]
    path.write_bytes(b"".join(contents))
    return path


def write_shifted(path, codec, pts, dts, seconds=2):
    """Write a recording with shifted time stamps: seconds as expressions of the frame number N."""
    write_part(path.with_name(f"plain_{path.name}"), codec, seconds)
    stamps_filter = f"setts=pts='PTS+({pts})/TB':dts='DTS+({dts})/TB'"
    ffmpeg("-i", path.with_name(f"plain_{path.name}"), "-c", "copy", "-bsf:v", stamps_filter, path)
    return path


def write_both_shifted(path, codec, expression, seconds=2):
    return write_shifted(path, codec, expression, expression, seconds)


def program_digests(path, *options):
    """Return digests of the frames that the ffmpeg program writes."""
    out = ffmpeg("-i", path, "-map", "0:v:0", *options, "-f", "framemd5", "-")
    return [line.split(b",")[-1] for line in out.splitlines() if not line.startswith(b"#")]


def reader_digests(path, rate):
    """Return digests of the frames that the reader yields."""
    return [hashlib.md5(frame.tobytes()).digest() for frame in iter_frames(path, rate=rate)]


def count_repeats(frames, selected):
    """Count how often each frame is selected, in order."""
    counts = Counter(selected)
    return [counts[frame] for frame in frames]


AFTER = "if(gte(N,25),{},0)"
# name -> writer, its arguments, and whether a frame is shown for most of the video
JUMPS = {
    "forward.ts": (write_joined, (X264, (1, 0), (1, 3600)), False),
    "forward.mpg": (write_joined, (MPEG2, (1, 0), (1, 3600)), False),
    "back.ts": (write_joined, (X264, (1, 3600), (1, 0)), False),
    "back_a_little.ts": (write_joined, (X264, (1, 30), (1, 25)), False),
    "starts_again.mpg": (write_joined, (MPEG2, (1, 0), (1, 0)), False),
    "three.ts": (write_joined, (X264, (1, 0), (1, 500), (1, 3)), False),
    "three.mpg": (write_joined, (MPEG2, (1, 0), (1, 500), (1, 3)), False),
    "wrap.ts": (write_joined, (X264, (2, WRAP - 0.6)), False),
    "wrap.mpg": (write_joined, (MPEG2, (2, WRAP - 0.6)), False),
    "wrap_and_back.ts": (write_joined, (X264, (2, WRAP - 0.6), (1, 0)), False),
    "wild.ts": (write_joined, (X264, (1, 0), (0.04, 5000), (1, 1.04)), False),
    "chained.ogv": (write_joined, (THEORA, (1, 0), (1, 500)), False),
    "pause.ts": (write_both_shifted, (GROUPS, AFTER.format(5)), True),
    "pause.mkv": (write_both_shifted, (GROUPS, AFTER.format(20)), True),
    "pause.mp4": (write_both_shifted, (GROUPS, AFTER.format(20)), True),
    "pauses.mkv": (write_both_shifted, (GROUPS, "if(gte(N,25),20,0)+if(gte(N,50),20,0)", 3), True),
    "wild.mkv": (write_shifted, (X264, "if(eq(N,25),20,0)", "0"), True),
    "wild.mp4": (write_shifted, (X264, "if(eq(N,25),20,0)", "0"), True),
    "wild.ogv": (write_both_shifted, (THEORA, "if(eq(N,25),5000,0)"), False),
    "two_pauses.mkv": (
        write_both_shifted,
        ("-c:v mpeg4", "if(gte(N,40),20,0)+if(gte(N,90),15,0)", 7),
        True,
    ),
    "within_a_group.mp4": (write_shifted, (X264, "if(between(N,11,22),20,0)", "0"), True),
    "within_a_group.ts": (write_shifted, (X264, "if(between(N,11,22),20,0)", "0"), True),
    "within_a_group.flv": (write_shifted, (X264, "if(between(N,11,22),20,0)", "0"), True),
    "out_of_all_proportion.nut": (write_both_shifted, ("-c:v mpeg4", AFTER.format(144000)), False),
}


@pytest.mark.parametrize("name", JUMPS)
def test_jumps_are_treated_as_by_the_ffmpeg_program(tmp_path, name):
    write, options, has_note = JUMPS[name]
    path = write(tmp_path / name, *options)
    info = probe(path)
    assert info.status == "ok"
    program_frames = program_digests(path, "-fps_mode", "passthrough")
    expected = program_digests(path, "-r", 30)
    assert info.frames == len(program_frames)
    assert abs(target_frames(info.frames, info.duration, 30.0) - len(expected)) <= 1
    frames, selected = reader_digests(path, None), reader_digests(path, 30.0)
    assert len(frames) == info.frames
    assert len(selected) == target_frames(info.frames, info.duration, 30.0)
    # The program selects the nearest frame, the reader the last one before.
    repeats = zip(
        count_repeats(frames, selected), count_repeats(program_frames, expected), strict=True
    )
    assert all(abs(actual - reference) <= 2 for actual, reference in repeats)
    assert ("held for" in info.note) == has_note


def write_slides(path, codec):
    """Write a video whose last frame is shown for five seconds."""
    source = "testsrc2=size=64x48:rate=25:duration=1,noise=alls=40:allf=t"
    stamps_filter = "setpts='if(eq(N,24),N+125,N)'"
    options = (*codec.split(), "-fps_mode", "vfr")
    ffmpeg("-f", "lavfi", "-i", source, "-vf", stamps_filter, *options, path)
    return path


def write_late(path, codec):
    """Write a video that starts at 100 s."""
    write_part(path, codec, 1, 100)
    return path


def write_without_start(path, codec):
    """Write a recording without its first dozen packets."""
    whole = path.with_name(f"whole_{path.name}")
    write_part(whole, codec, 3)
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if packet.dts is not None and number >= 12:
                packet.stream = copy
                out.mux(packet)
    return path


@pytest.mark.parametrize("name", ["late.ts", "late.mkv", "late.flv"])
@pytest.mark.parametrize("lost", [30, 70])
def test_video_is_refused_if_more_than_half_is_missing_at_the_start(tmp_path, name, lost):
    whole, path = tmp_path / f"whole_{name}", tmp_path / name
    write_part(whole, f"{X264} -g 1000 -force_key_frames {lost / 25}", 4)
    # Drop the first packets, including the key frame.
    ffmpeg("-i", whole, "-c", "copy", "-copyts", "-bsf:v", "noise=drop=lt(n\\,3)", path)
    info = probe(path)
    if lost > 50:
        assert info.status.startswith("damaged: only ")
        assert f" {100 - lost} " in info.status
    else:
        assert (info.status, info.frames) == ("ok", 100 - lost)
        assert "do not decode" in info.note


def write_edit_list(path, codec):
    """Write an edit list that starts between key frames and declares the whole duration."""
    content = bytearray(write_part(path, codec, 4))
    entry = content.find(b"elst") + 12
    content[entry + 4 : entry + 8] = struct.pack(">i", int(1.5 * 12800))
    path.write_bytes(content)
    return path


def write_wrong_duration(path, codec):
    """Write a header whose duration comes from a time stamp far beyond the packets."""
    return write_shifted(path, codec, "if(eq(N,25),5000,0)", "0")


IRREGULAR = {
    "overstated.flv": (write_wrong_duration, "-c:v flv"),
    "overstated.wmv": (write_wrong_duration, "-c:v wmv2"),
    "slides.mkv": (write_slides, X264),
    "slides.mp4": (write_slides, X264),
    "slides.gif": (write_slides, "-c:v gif"),
    "late.mkv": (write_late, X264),
    "late.webm": (write_late, "-c:v libvpx -cpu-used 16"),
    "late.wmv": (write_late, "-c:v wmv2"),
    "late.nut": (write_late, "-c:v mpeg4"),
    "within_a_group.ts": (write_without_start, f"{X264} -g 30"),
    "within_a_group.mkv": (write_without_start, f"{X264} -g 30"),
    "within_a_group.avi": (write_without_start, "-c:v ffv1 -g 30"),
    "edited.mp4": (write_edit_list, f"{X264} -g 50"),
    "edited.mov": (write_edit_list, "-c:v mpeg4 -g 50"),
}


@pytest.mark.parametrize("name", IRREGULAR)
def test_irregular_durations_do_not_count_as_cut_files(tmp_path, name):
    write, codec = IRREGULAR[name]
    path = write(tmp_path / name, codec)
    info = probe(path)
    program_frames = program_digests(path, "-fps_mode", "passthrough")
    expected = program_digests(path, "-r", 30)
    assert (info.status, info.frames) == ("ok", len(program_frames))
    assert abs(target_frames(info.frames, info.duration, 30.0) - len(expected)) <= 1
    assert len(reader_digests(path, 30.0)) == target_frames(info.frames, info.duration, 30.0)


@pytest.mark.parametrize("name", ["late.mkv", "edited.mp4", "overstated.flv", "overstated.wmv"])
def test_cut_files_with_irregular_durations_are_recognised(tmp_path, name):
    write, codec = IRREGULAR[name]
    # A complete file with the duration in its header.
    path = write(tmp_path / name, codec)
    whole = tmp_path / f"whole_{name}"
    options = ("-movflags", "+faststart") if name.endswith("mp4") else ()
    ffmpeg("-copyts", "-i", path, "-c", "copy", *options, whole)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert probe(path).status.startswith("cut short")


@pytest.mark.parametrize("name", ["forward.mpg", "three.ts", "pauses.mkv", "wild.mkv"])
@pytest.mark.parametrize("rate", [None, 12.5])
def test_ranges_of_videos_with_jumps_equal_those_of_the_whole(tmp_path, name, rate):
    write, options, _ = JUMPS[name]
    if write is write_joined:
        options = (options[0] + " -g 20", *((4, start) for _, start in options[1:]))
    path = write(tmp_path / name, *options)
    frames, whole = probe(path).frames, read_frames(path, rate=rate)
    for first in range(0, len(whole) - 5, max(1, len(whole) // 9)):
        actual = read_frames(path, first, 5, rate=rate, frames=frames)
        assert (actual == whole[first : first + 5]).all(), first


def test_note_about_a_frozen_frame_is_logged_by_probing_and_indexing(tmp_path, run_script):
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(2):
            write_part(tmp_path / "root" / name / f"{number}.mp4", X264)
    write_both_shifted(tmp_path / "root" / "a" / "0.mkv", X264, AFTER.format(20))
    source = f'{{"root": "{tmp_path}/root", "splits": {{"by": "fraction", "test_fraction": 0.5}}}}'
    out = tmp_path / "probed.h5"
    options = ("--root", tmp_path / "root", "--labelled", True, "--output", out)
    result = run_script("probe_videos", *options)
    message = "1 of them with a note ('a/0.mkv': frame 24 is held for 20.0 of its 22.0 s)"
    assert message in result.stderr
    index = ("--source", source, "--probed", out, "--output", tmp_path / "videos.h5")
    assert message in run_script("index_videos", *index).stderr
