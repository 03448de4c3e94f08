"""Small files on which the product was once wrong, through the command lines of a user."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from projects import ROOT

from video_lstm.video.clips import read_clips
from video_lstm.video.decode import read_frames
from video_lstm.video.files import read_files

FOLDER = Path(os.environ.get("VIDEO_LSTM_BUGCASES", ROOT.parent / "shared" / "bugcases"))

# file -> frames in the file, fewest and most of them at 30 a second, words of the index's note
VIDEOS = {
    "jump_forward.ts": (50, 60, 60, ""),
    "jump_forward.mpg": (50, 60, 60, ""),
    "jump_back.ts": (50, 60, 60, ""),
    "last_held.mp4": (25, 179, 180, "frame 24 is held"),
    "last_held.mkv": (25, 179, 180, "frame 24 is held"),
    "starts_at_100_s.mkv": (25, 30, 30, ""),
    "starts_within_a_group.ts": (50, 60, 60, ""),
    "no_stss_mpeg4.mp4": (200, 240, 240, ""),
    "all_key_wmv2.avi": (200, 240, 240, ""),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_file_that_was_read_wrongly_is_read_rightly(tmp_path, run_script, name):
    if not (FOLDER / name).is_file():
        pytest.skip(f"'{name}' is not at {FOLDER} (set VIDEO_LSTM_BUGCASES)")
    native, fewest, most, note = VIDEOS[name]
    (tmp_path / "root").mkdir()
    shutil.copy(FOLDER / name, tmp_path / "root" / name)
    probed, clips = tmp_path / "probed.h5", tmp_path / "clips.h5"
    options = ("--root", tmp_path / "root", "--video.rate", 30, "--output", probed)
    done = run_script("probe_videos", *options)
    (file,) = read_files([probed]).files
    assert (file.status, file.native_frames) == ("ok", native)
    assert fewest <= file.frames <= most
    assert note in file.note and file.note in done.stderr
    run_script("sample_clips", "--probed", probed, "--output", clips)
    (clip,) = read_clips([clips])
    assert (clip.first, clip.frames) == (0, file.frames)
    whole = read_frames(clip.path, rate=clip.rate, frames=clip.native_frames)
    assert len(whole) == clip.frames
    # Any part of the clip, wherever it starts, is that of the whole.
    for first in range(0, clip.frames - 5, max(1, clip.frames // 12)):
        part = read_frames(clip.path, first, 5, rate=clip.rate, frames=clip.native_frames)
        assert np.array_equal(part, whole[first : first + 5]), first
