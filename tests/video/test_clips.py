"""Clips cover what they should, evenly and reproducibly."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.video.clips import ClipName, number_clips, read_clips
from video_lstm.video.file_scan import assign_shard
from video_lstm.video.files import FileTable, VideoFile, write_files
from video_lstm.video.sampling import cut_shards, draw_random_clips, make_full_clips


def make_table(*lengths, rate=None, native=25.0):
    """A table of videos that last so many seconds; a negative length is a broken one."""
    files = []
    for number, seconds in enumerate(lengths):
        count = max(0, round(seconds * (rate or native)))
        shape = (160, 120, native, max(0, seconds))
        status = "ok" if seconds > 0 else "broken"
        frames = (count, max(0, round(seconds * native)))
        files.append(VideoFile(f"{number:03}.avi", *frames, *shape, status, ""))
    return FileTable("unlabelled", rate, files)


def seconds(clips, rate=25.0):
    return sum(clip.frames for clip in clips) / rate


def test_whole_clips_are_the_usable_videos():
    table = make_table(2, -1, 3)
    clips = [(*clip.name, clip.frames, str(clip.path)) for clip in make_full_clips(table)]
    assert clips == [
        ("000.avi", 0, 50, "unlabelled/000.avi"),
        ("002.avi", 0, 75, "unlabelled/002.avi"),
    ]


lengths = st.lists(st.integers(1, 400).map(lambda n: n / 4), min_size=1, max_size=12)


@given(lengths, st.sampled_from([1.0, 2.5, 10.0]), st.floats(0.0005, 0.2), st.integers(0, 99))
def test_clips_lie_inside_usable_videos_and_cover_the_hours(durations, length, hours, seed):
    table = make_table(*durations, -1, rate=30.0)
    clips = draw_random_clips(table, length, hours, seed)
    assert clips == draw_random_clips(table, length, hours, seed)
    assert clips == sorted(clips, key=lambda clip: clip.name)
    whole, usable = [], {file.path: file for file in table.usable}
    for clip in clips:
        frames = usable[clip.video].frames
        assert clip.first >= 0 and clip.first + clip.frames <= frames
        assert clip.frames == min(frames, round(length * 30))
        if clip.frames == frames:
            whole.append(clip.video)
    assert len(set(whole)) == len(whole)
    total = sum(file.frames for file in table.usable) / 30
    wanted = min(3600 * hours, total)
    # To the frame, and no clip more than it takes.
    assert wanted - 1 / 30 <= seconds(clips, 30) < wanted + length


def test_every_instant_is_equally_likely():
    # A long video, one four times as long, and a hundred short ones that together last as long.
    table = make_table(1000, 4000, *[10] * 100)
    counts = np.zeros(3)
    starts = []
    for seed in range(40):
        for clip in draw_random_clips(table, 10, 0.2, seed):
            number = int(clip.video[:3])
            counts[min(number, 2)] += 1
            if number == 1:
                starts.append(clip.first / (100000 - 250))
    share = counts / counts.sum()
    # 2,880 draws: the standard error of a share is below 0.009.
    assert share == pytest.approx([1 / 6, 4 / 6, 1 / 6], abs=0.027)
    assert np.histogram(starts, 5, (0, 1))[0] / len(starts) == pytest.approx([0.2] * 5, abs=0.035)


def test_clips_are_as_long_at_any_rate():
    # At their own rates, 10 s are 250 frames of one video and 500 of another.
    table = make_table(60, native=25.0)
    faster = replace(make_table(60, native=50.0).files[0], path="fast.avi")
    mixed = FileTable("unlabelled", None, [*table.files, faster])
    clips = draw_random_clips(mixed, 10, 1, 0)
    assert {(clip.video, clip.frames) for clip in clips} == {("000.avi", 250), ("fast.avi", 500)}
    with pytest.raises(UserError, match="clip_seconds: expected at least one frame of 1/25 s"):
        draw_random_clips(table, 0.01, 1, 0)


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


def test_a_folder_without_usable_videos_is_reported():
    with pytest.raises(
        UserError, match=r"unlabelled: expected videos that can be used, 0 of 2 .*broken"
    ):
        draw_random_clips(make_table(-1, -1), 10, 1, 0)


def test_a_video_stays_in_its_shard_and_shards_are_about_as_large():
    names = [f"class{n % 7}/video {n}.avi" for n in range(4000)]
    counts = np.bincount([assign_shard(name, 8) for name in names], minlength=8)
    # Binomial: the standard deviation of a shard is 21.
    assert abs(counts - 500).max() < 84
    assert [assign_shard(name, 3) for name in ("a.avi", "b.avi", "c/ü.avi")] == [0, 2, 2]


def test_clips_are_numbered_by_name_over_all_shards(tmp_path):
    paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
    names = [[ClipName("b", 7), ClipName("a", 9)], [ClipName("b", 2), ClipName("b", 7)]]
    clips, rows = number_clips(
        paths, [(names[0], np.array([0, 4, 5])), (names[1], np.array([0, 1, 9]))]
    )
    # A place that was drawn twice is two clips.
    assert clips == [("a", 9), ("b", 2), ("b", 7), ("b", 7)]
    assert rows.tolist() == [[0, 4, 5], [1, 0, 1], [0, 0, 4], [1, 1, 9]]
    with pytest.raises(UserError, match=r"0\.h5: expected each shard once"):
        number_clips(paths[:1] * 2, [])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [None, 30.0])
def test_the_script_takes_whole_videos_or_draws_clips(tmp_path, run_script, rate):
    table, nothing = (
        make_table(20, -1, 5, 40, rate=rate),
        artifacts.Provenance("probe_videos", {}, ""),
    )
    probed = [tmp_path / "0.h5", tmp_path / "1.h5"]
    for path, files in zip(probed, (table.files[1::2], table.files[::2]), strict=True):
        with artifacts.create(path, "probed", nothing) as file:
            write_files(file, table.root, rate, files)

    def sample(*options, names=("made.h5",)):
        outputs = [tmp_path / name for name in names]
        run_script("sample_clips", "--output", *outputs, *options)
        return [clip for output in outputs for clip in read_clips([output])]

    both = [clip for path in probed for clip in sample("--probed", path)]
    assert sorted(both, key=lambda clip: clip.name) == make_full_clips(table)
    draw = ["--probed", *probed, "--clip-seconds", 4, "--hours", 0.01, "--seed", 3]
    names = ("a.h5", "b.h5")
    assert sample(*draw, names=names) == sample(*draw) == draw_random_clips(table, 4, 0.01, 3)
    assert all(read_clips([tmp_path / name]) for name in names)
    before = [(tmp_path / name).read_bytes() for name in names]
    sample(*draw, names=names)
    assert [(tmp_path / name).read_bytes() for name in names] == before
    assert len({artifacts.identity(tmp_path / name) for name in names}) == 2
    options = ("--probed", probed[0], "--output", tmp_path / "c.h5", "--hours", 1)
    done = run_script("sample_clips", *options, check=False)
    assert done.returncode == 1 and "both --clip-seconds and --hours or neither" in done.stderr
