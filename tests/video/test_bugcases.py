"""Tests of small files that the pipeline once misread, through the user's commands.

The files are next to the repository, with the correct values in ../shared/bugcases/README.md.
test_time_stamps.py, test_formats.py and test_bugcases_lists.py generate similar files.
"""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from projects import ROOT
from video_files import program_frames

from video_lstm.video.clips import read_clips
from video_lstm.video.decode import read_frames
from video_lstm.video.files import read_files

FOLDER = Path(os.environ.get("VIDEO_LSTM_BUGCASES", ROOT.parent / "shared" / "bugcases"))
PHOTOGRAPH = "a photograph, no video"


class Expected(NamedTuple):
    """Expected properties of a file in the index."""

    native_frames: int
    frames: range | None = None
    """Number of frames at 30 Hz; None: not compared."""
    width: int = 64
    height: int = 48
    note: str = ""
    status: str = "ok"


EXPECTED = {
    "jump_forward.ts": Expected(50, range(60, 61)),
    "jump_forward.mpg": Expected(50, range(60, 61)),
    "jump_back.ts": Expected(50, range(60, 61)),
    "last_held.mp4": Expected(25, range(179, 181), note="frame 24 is held"),
    "last_held.mkv": Expected(25, range(179, 181), note="frame 24 is held"),
    "starts_at_100_s.mkv": Expected(25, range(30, 31)),
    "starts_within_a_group.ts": Expected(50, range(60, 61)),
    "no_stss_mpeg4.mp4": Expected(200, range(240, 241)),
    "all_key_wmv2.avi": Expected(200, range(240, 241)),
    "exif_mjpeg.avi": Expected(10),
    "clap.mp4": Expected(25, width=48, height=32),
    "8_then_10_bits.ts": Expected(50),
    "still.avif": Expected(0, width=0, height=0, status=PHOTOGRAPH),
    "film.webp": Expected(25),
    "film.mjpeg": Expected(12, width=160, height=120),
    "film.mpjpeg": Expected(25),
    "two_programs.ts": Expected(25, width=128, height=96),
    "good.avi": Expected(50),
}


@pytest.fixture(scope="module")
def bugcases(tmp_path_factory):
    """Copy the files to a folder; skip the test if they do not exist."""
    if not FOLDER.is_dir():
        pytest.skip(f"the files are not at {FOLDER} (set VIDEO_LSTM_BUGCASES)")
    root = tmp_path_factory.mktemp("bugcases")
    for name in EXPECTED:
        shutil.copy(FOLDER / name, root)
    return root


@pytest.mark.parametrize("rate", [30, None])
def test_index_and_clips_are_correct(bugcases, run_script, tmp_path, rate):
    probed, clips = tmp_path / "probed.h5", tmp_path / "clips.h5"
    options = ("--video.frame_rate", rate or "null", "--video.min_frames", 1)
    options += ("--transcoded", tmp_path / "copies", "--output", probed)
    messages = run_script("probe_videos", "--root", bugcases, *options).stderr
    files = {file.path: file for file in read_files([probed]).files}
    assert files.keys() == EXPECTED.keys()
    for name, file in files.items():
        expected = EXPECTED[name]
        actual = (file.native_frames, file.width, file.height, file.status)
        assert actual == (expected.native_frames, expected.width, expected.height, expected.status)
        assert expected.note in file.note
        if rate and expected.frames:
            assert file.frames in expected.frames
    assert "3 of them with a note" in messages
    run_script("sample_clips", "--probed", probed, "--output", clips)
    for clip in read_clips([clips]):
        assert (clip.first, clip.frames) == (0, files[clip.video].frames)
        options = {"rate": clip.rate, "frames": clip.native_frames}
        whole = read_frames(clip.path, 0, clip.frames, **options)
        # Any range of the clip equals that of the whole.
        for first in range(0, clip.frames - 5, max(1, clip.frames // 6)):
            part = read_frames(clip.path, first, 5, **options)
            assert np.array_equal(part, whole[first : first + 5]), (clip.video, first)
        if rate is None:
            check_read_options(clip, whole)


def check_read_options(clip, whole):
    """Check that the frames of a clip are the ffmpeg program's, for all options of reading."""
    height, width = whole.shape[1:3]
    program = program_frames(clip.path, height, width)
    if len(program) == len(whole):  # else the program repeats or drops by time stamps
        assert np.abs(whole.astype(int) - program).max() <= 2, clip.video
    options = {"frames": clip.native_frames}
    small = read_frames(clip.path, 0, clip.frames, size=(24, 24), **options)
    gray = read_frames(clip.path, 0, clip.frames, gray=True, **options)
    for picture, small_picture, gray_picture in zip(whole, small, gray, strict=True):
        assert abs(small_picture.mean() - picture.mean()) < 15
        assert np.abs(picture @ [0.299, 0.587, 0.114] - gray_picture).mean() < 8


def test_each_file_is_classified_or_reported(bugcases, finished, run_script, tmp_path):
    paths = [bugcases / name for name in EXPECTED]
    run_script(
        "classify_videos", "--videos", *paths, "--output", tmp_path / "classes.csv",
        "--classifier", finished / "results/finetune/tiny/split1/rgb/composite/all.h5",
        "--cache", tmp_path,
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "classes.csv")
    assert list(table["video"]) == [str(path) for path in paths]
    for row, expected in zip(table.itertuples(), EXPECTED.values(), strict=True):
        if expected.status == "ok":
            assert row.score > 0
        else:
            assert row[2] == f"not classified: {expected.status}"


@pytest.mark.parametrize(("name", "error"), [("exif_mjpeg.avi", ""), ("still.avif", PHOTOGRAPH)])
def test_each_file_is_predicted_or_reported(bugcases, finished, run_script, tmp_path, name, error):
    result = run_script(
        "predict_frames", "--video", bugcases / name, "--output", tmp_path / "film.gif",
        "--pretrained", finished / "results/pretrain/patches/pixels/composite.h5", check=False,
    )  # fmt: skip
    assert result.returncode == (1 if error else 0), result.stderr
    assert error in result.stderr
