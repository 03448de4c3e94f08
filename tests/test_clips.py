"""Clips cover what they should, evenly and reproducibly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.video.clips import Clip, cut_shards, random_clips, read_clips, whole_clips
from video_lstm.video.index import Video, VideoTable, write_videos


def pile(*lengths, rate=None, native=25.0):
    """A table of videos that last so many seconds; a negative length is a broken one."""
    videos = []
    for number, seconds in enumerate(lengths):
        count = max(0, round(seconds * (rate or native)))
        shape = (160, 120, native, max(0, seconds))
        status = "ok" if seconds > 0 else "broken"
        frames = (count, max(0, round(seconds * native)))
        videos.append(Video(f"{number}.avi", "", -1, "", (), *frames, *shape, status, ""))
    return VideoTable("pile", rate, [], videos, [])


def seconds(clips, rate=25.0):
    return sum(clip.frames for clip in clips) / rate


def test_whole_clips_are_the_usable_videos():
    table = pile(2, -1, 3)
    assert whole_clips(table) == [Clip(0, 0, 50, -1), Clip(2, 0, 75, -1)]


lengths = st.lists(st.integers(1, 400).map(lambda n: n / 4), min_size=1, max_size=12)


@given(lengths, st.sampled_from([1.0, 2.5, 10.0]), st.floats(0.0005, 0.2), st.integers(0, 99))
def test_clips_lie_inside_usable_videos_and_cover_the_hours(durations, length, hours, seed):
    table = pile(*durations, -1, rate=30.0)
    clips = random_clips(table, length, hours, seed)
    assert clips == random_clips(table, length, hours, seed) == sorted(clips)
    whole = []
    for clip in clips:
        frames = table.videos[clip.video].frames
        assert clip.video in table.usable
        assert clip.first >= 0 and clip.first + clip.frames <= frames
        assert clip.frames == min(frames, round(length * 30))
        if clip.frames == frames:
            whole.append(clip.video)
    assert len(set(whole)) == len(whole)
    total = sum(table.videos[row].frames for row in table.usable) / 30
    wanted = min(3600 * hours, total)
    # To the frame, and no clip more than it takes.
    assert wanted - 1 / 30 <= seconds(clips, 30) < wanted + length


def test_every_instant_is_equally_likely():
    # A long video, one four times as long, and a hundred short ones that together last as long.
    table = pile(1000, 4000, *[10] * 100)
    counts = np.zeros(3)
    starts = []
    for seed in range(40):
        for clip in random_clips(table, 10, 0.2, seed):
            counts[min(clip.video, 2)] += 1
            if clip.video == 1:
                starts.append(clip.first / (100000 - 250))
    share = counts / counts.sum()
    # 2,880 draws: the standard error of a share is below 0.009.
    assert share == pytest.approx([1 / 6, 4 / 6, 1 / 6], abs=0.027)
    assert np.histogram(starts, 5, (0, 1))[0] / len(starts) == pytest.approx([0.2] * 5, abs=0.035)


def test_clips_are_as_long_at_any_rate():
    # At their own rates, 10 s are 250 frames of one video and 500 of another.
    table = pile(60, native=25.0)
    faster = pile(60, native=50.0).videos[0]
    mixed = VideoTable("pile", None, [], [*table.videos, faster], [])
    clips = random_clips(mixed, 10, 1, 0)
    assert {(clip.video, clip.frames) for clip in clips} == {(0, 250), (1, 500)}
    with pytest.raises(UserError, match="clip_seconds: expected at least one frame of 1/25 s"):
        random_clips(table, 0.01, 1, 0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 12))
def test_shards_are_contiguous_and_even(frames, shards):
    ranges = cut_shards(frames, shards)
    assert len(ranges) == shards
    assert ranges[0][0] == 0 and ranges[-1][1] == len(frames)
    assert all(a[1] == b[0] and a[0] <= a[1] for a, b in pairwise(ranges))
    share, largest = sum(frames) / shards, max(frames)
    for start, stop in ranges:
        assert abs(sum(frames[start:stop]) - share) <= largest


def test_equal_clips_make_equal_shards():
    assert cut_shards([7] * 12, 4) == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert cut_shards([5, 5], 4)[-1][1] == 2
    assert cut_shards(np.array([100, 1, 1]), 2) == [(0, 1), (1, 3)]


@pytest.mark.parametrize("rate", [None, 30.0])
def test_the_script_draws_clips(tmp_path, run_script, rate):
    table = pile(20, -1, 5, 40, rate=rate)
    with artifacts.create(
        tmp_path / "videos.h5", "videos", artifacts.Provenance("index_videos", {}, "")
    ) as file:
        write_videos(file, table)
    name = ["--videos", tmp_path / "videos.h5"]
    run_script("sample_clips", *name, "--output", tmp_path / "whole.h5")
    assert read_clips(tmp_path / "whole.h5") == (whole_clips(table), rate)
    draw = [*name, "--clip-seconds", 4, "--hours", 0.01, "--seed", 3]
    run_script("sample_clips", *draw, "--output", tmp_path / "a.h5")
    run_script("sample_clips", *draw, "--output", tmp_path / "b.h5")
    assert read_clips(tmp_path / "a.h5") == (random_clips(table, 4, 0.01, 3), rate)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    done = run_script(
        "sample_clips", *name, "--output", tmp_path / "c.h5", "--hours", 1, check=False
    )
    assert done.returncode == 1 and "both --clip-seconds and --hours or neither" in done.stderr
