"""Videos whose time stamps are odd are shown as the ffmpeg program shows them at a target rate."""

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
"""Seconds after which the time stamps of MPEG's streams start again."""


def part(path, codec, seconds=1.0, start=0.0):
    """Noise, so that no frame is like another: 25 a second, the first at ``start`` seconds."""
    source = f"testsrc2=size=64x48:rate=25:duration={seconds},noise=alls=40:allf=t"
    source += f":all_seed={int(start)}"
    ffmpeg("-f", "lavfi", "-i", source, *codec.split(), "-output_ts_offset", start, path)
    return path.read_bytes()


def joined(path, codec, *parts):
    """Recordings one after the other, of so many seconds and with stamps from so many on."""
    pieces = [part(path.with_name(f"{n}_{path.name}"), codec, *p) for n, p in enumerate(parts)]
    path.write_bytes(b"".join(pieces))
    return path


def restamped(path, codec, pts, dts, seconds=2):
    """A recording whose stamps are moved by so many seconds: expressions of the frame's number."""
    part(path.with_name(f"plain_{path.name}"), codec, seconds)
    moved = f"setts=pts='PTS+({pts})/TB':dts='DTS+({dts})/TB'"
    ffmpeg("-i", path.with_name(f"plain_{path.name}"), "-c", "copy", "-bsf:v", moved, path)
    return path


def both(path, codec, expression, seconds=2):
    return restamped(path, codec, expression, expression, seconds)


def program_picks(path, *options):
    """Digests of the frames that the program writes."""
    out = ffmpeg("-i", path, "-map", "0:v:0", *options, "-f", "framemd5", "-")
    return [line.split(b",")[-1] for line in out.splitlines() if not line.startswith(b"#")]


def our_picks(path, rate):
    return [hashlib.md5(frame.tobytes()).digest() for frame in iter_frames(path, rate=rate)]


def holds(frames, picks):
    """How often each frame is picked, in order."""
    counts = Counter(picks)
    return [counts[frame] for frame in frames]


AFTER = "if(gte(N,25),{},0)"
# name -> how it is made, and whether some frame is held longer than the rest
JUMPS = {
    "forward.ts": (joined, (X264, (1, 0), (1, 3600)), False),
    "forward.mpg": (joined, (MPEG2, (1, 0), (1, 3600)), False),
    "back.ts": (joined, (X264, (1, 3600), (1, 0)), False),
    "back_a_little.ts": (joined, (X264, (1, 30), (1, 25)), False),
    "starts_again.mpg": (joined, (MPEG2, (1, 0), (1, 0)), False),
    "three.ts": (joined, (X264, (1, 0), (1, 500), (1, 3)), False),
    "three.mpg": (joined, (MPEG2, (1, 0), (1, 500), (1, 3)), False),
    "wrap.ts": (joined, (X264, (2, WRAP - 0.6)), False),
    "wrap.mpg": (joined, (MPEG2, (2, WRAP - 0.6)), False),
    "wrap_and_back.ts": (joined, (X264, (2, WRAP - 0.6), (1, 0)), False),
    "wild.ts": (joined, (X264, (1, 0), (0.04, 5000), (1, 1.04)), False),
    "chained.ogv": (joined, (THEORA, (1, 0), (1, 500)), False),
    "pause.ts": (both, (GROUPS, AFTER.format(5)), True),
    "pause.mkv": (both, (GROUPS, AFTER.format(20)), True),
    "pause.mp4": (both, (GROUPS, AFTER.format(20)), True),
    "pauses.mkv": (both, (GROUPS, "if(gte(N,25),20,0)+if(gte(N,50),20,0)", 3), True),
    "wild.mkv": (restamped, (X264, "if(eq(N,25),20,0)", "0"), True),
    "wild.mp4": (restamped, (X264, "if(eq(N,25),20,0)", "0"), True),
    "wild.ogv": (both, (THEORA, "if(eq(N,25),5000,0)"), False),
    "two_pauses.mkv": (both, ("-c:v mpeg4", "if(gte(N,40),20,0)+if(gte(N,90),15,0)", 7), True),
    "within_a_group.mp4": (restamped, (X264, "if(between(N,11,22),20,0)", "0"), True),
    "within_a_group.ts": (restamped, (X264, "if(between(N,11,22),20,0)", "0"), True),
    "within_a_group.flv": (restamped, (X264, "if(between(N,11,22),20,0)", "0"), True),
    "out_of_all_proportion.nut": (both, ("-c:v mpeg4", AFTER.format(144000)), False),
}


@pytest.mark.parametrize("name", JUMPS)
def test_stamps_that_jump_are_taken_as_the_program_takes_them(tmp_path, name):
    make, how, is_held = JUMPS[name]
    path = make(tmp_path / name, *how)
    info = probe(path)
    assert info.status == "ok"
    own = program_picks(path, "-fps_mode", "passthrough")
    expected = program_picks(path, "-r", 30)
    assert info.frames == len(own)
    assert abs(target_frames(info.frames, info.duration, 30.0) - len(expected)) <= 1
    frames, picks = our_picks(path, None), our_picks(path, 30.0)
    assert len(frames) == info.frames
    assert len(picks) == target_frames(info.frames, info.duration, 30.0)
    # The program rounds to the nearest frame, the rule here looks back.
    pairs = zip(holds(frames, picks), holds(own, expected), strict=True)
    assert all(abs(ours - theirs) <= 2 for ours, theirs in pairs)
    assert ("held for" in info.note) == is_held


def slides(path, codec):
    """The last picture is held for five seconds."""
    source = "testsrc2=size=64x48:rate=25:duration=1,noise=alls=40:allf=t"
    late = "setpts='if(eq(N,24),N+125,N)'"
    options = (*codec.split(), "-fps_mode", "vfr")
    ffmpeg("-f", "lavfi", "-i", source, "-vf", late, *options, path)
    return path


def late(path, codec):
    part(path, codec, 1, 100)
    return path


def within_a_group(path, codec):
    """A recording without its first dozen packets."""
    whole = path.with_name(f"whole_{path.name}")
    part(whole, codec, 3)
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
def test_a_start_that_does_not_decode_is_no_more_than_half(tmp_path, name, lost):
    whole, path = tmp_path / f"whole_{name}", tmp_path / name
    part(whole, f"{X264} -g 1000 -force_key_frames {lost / 25}", 4)
    # All but the first packets, of which the first is the key frame.
    ffmpeg("-i", whole, "-c", "copy", "-copyts", "-bsf:v", "noise=drop=lt(n\\,3)", path)
    info = probe(path)
    if lost > 50:
        assert info.status.startswith("damaged: only ")
        assert f" {100 - lost} " in info.status
    else:
        assert (info.status, info.frames) == ("ok", 100 - lost)
        assert "do not decode" in info.note


def edited(path, codec):
    """An edit list that starts between key frames and promises what the file has in all."""
    content = bytearray(part(path, codec, 4))
    entry = content.find(b"elst") + 12
    content[entry + 4 : entry + 8] = struct.pack(">i", int(1.5 * 12800))
    path.write_bytes(content)
    return path


def overstated(path, codec):
    """A header that takes the duration from a stamp that the packets do not have."""
    return restamped(path, codec, "if(eq(N,25),5000,0)", "0")


ODD = {
    "overstated.flv": (overstated, "-c:v flv"),
    "overstated.wmv": (overstated, "-c:v wmv2"),
    "slides.mkv": (slides, X264),
    "slides.mp4": (slides, X264),
    "slides.gif": (slides, "-c:v gif"),
    "late.mkv": (late, X264),
    "late.webm": (late, "-c:v libvpx -cpu-used 16"),
    "late.wmv": (late, "-c:v wmv2"),
    "late.nut": (late, "-c:v mpeg4"),
    "within_a_group.ts": (within_a_group, f"{X264} -g 30"),
    "within_a_group.mkv": (within_a_group, f"{X264} -g 30"),
    "within_a_group.avi": (within_a_group, "-c:v ffv1 -g 30"),
    "edited.mp4": (edited, f"{X264} -g 50"),
    "edited.mov": (edited, "-c:v mpeg4 -g 50"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_shown_late_or_long_is_no_cut_file(tmp_path, name):
    make, codec = ODD[name]
    path = make(tmp_path / name, codec)
    info = probe(path)
    own = program_picks(path, "-fps_mode", "passthrough")
    expected = program_picks(path, "-r", 30)
    assert (info.status, info.frames) == ("ok", len(own))
    assert abs(target_frames(info.frames, info.duration, 30.0) - len(expected)) <= 1
    assert len(our_picks(path, 30.0)) == target_frames(info.frames, info.duration, 30.0)


@pytest.mark.parametrize("name", ["late.mkv", "edited.mp4", "overstated.flv", "overstated.wmv"])
def test_such_files_are_told_where_they_are_cut(tmp_path, name):
    make, codec = ODD[name]
    # Two seconds more, and what says how long it is at the start.
    path = make(tmp_path / name, codec)
    whole = tmp_path / f"whole_{name}"
    options = ("-movflags", "+faststart") if name.endswith("mp4") else ()
    ffmpeg("-copyts", "-i", path, "-c", "copy", *options, whole)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert probe(path).status.startswith("cut short")


@pytest.mark.parametrize("name", ["forward.mpg", "three.ts", "pauses.mkv", "wild.mkv"])
@pytest.mark.parametrize("rate", [None, 12.5])
def test_a_range_of_a_video_with_jumps_is_that_of_the_whole(tmp_path, name, rate):
    make, how, _ = JUMPS[name]
    if make is joined:
        how = (how[0] + " -g 20", *((4, start) for _, start in how[1:]))
    path = make(tmp_path / name, *how)
    frames, whole = probe(path).frames, read_frames(path, rate=rate)
    for first in range(0, len(whole) - 5, max(1, len(whole) // 9)):
        part_of_it = read_frames(path, first, 5, rate=rate, frames=frames)
        assert (part_of_it == whole[first : first + 5]).all(), first


def test_a_frame_that_is_held_is_told_by_probing_and_in_the_index(tmp_path, run_script):
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(2):
            part(tmp_path / "root" / name / f"{number}.mp4", X264)
    both(tmp_path / "root" / "a" / "0.mkv", X264, AFTER.format(20))
    source = f'{{"root": "{tmp_path}/root", "splits": {{"by": "fraction", "test_fraction": 0.5}}}}'
    out = tmp_path / "probed.h5"
    options = ("--root", tmp_path / "root", "--labelled", True, "--output", out)
    done = run_script("probe_videos", *options)
    words = "1 of them with a note ('a/0.mkv': frame 24 is held for 20.0 of its 22.0 s)"
    assert words in done.stderr
    index = ("--source", source, "--probed", out, "--output", tmp_path / "videos.h5")
    assert words in run_script("index_videos", *index).stderr
