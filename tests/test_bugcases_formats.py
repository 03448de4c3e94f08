"""Small files of odd formats, which lie beside the repository, by the commands of a user.

Their right values are in ../shared/bugcases/README.md. What they stand for is made anew in
test_formats.py.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
from made_videos import program_frames
from projects import ROOT

from video_lstm.video.clips import read_clips
from video_lstm.video.decode import read_frames
from video_lstm.video.files import read_files

FOLDER = ROOT.parent / "shared" / "bugcases"
PHOTOGRAPH = "a photograph, no video"
# Name -> status, frames, width, height.
RIGHT = {
    "exif_mjpeg.avi": ("ok", 10, 64, 48),
    "clap.mp4": ("ok", 25, 48, 32),
    "8_then_10_bits.ts": ("ok", 50, 64, 48),
    "still.avif": (PHOTOGRAPH, 0, 0, 0),
    "film.webp": ("ok", 25, 64, 48),
    "film.mjpeg": ("ok", 12, 160, 120),
    "film.mpjpeg": ("ok", 25, 64, 48),
    "two_programs.ts": ("ok", 25, 128, 96),
    "good.avi": ("ok", 50, 64, 48),
}


@pytest.fixture(scope="module")
def bugcases():
    """Paths of the files; the test skips where they are not there."""
    if not FOLDER.is_dir():
        pytest.skip(f"the files of odd formats are not at {FOLDER}")
    return [FOLDER / name for name in RIGHT]


def test_their_index_and_clips_are_right(bugcases, run_script, tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    for path in bugcases:
        shutil.copy(path, root)
    probed, clips = tmp_path / "probed.h5", tmp_path / "clips.h5"
    options = ("--video.rate", "null", "--video.min_frames", 1, "--transcoded", tmp_path / "copies")
    run_script("probe_videos", "--root", root, "--output", probed, *options)
    files = {file.path: file for file in read_files([probed]).files}
    indexed = {name: (f.status, f.native_frames, f.width, f.height) for name, f in files.items()}
    assert indexed == RIGHT
    run_script("sample_clips", "--probed", probed, "--output", clips)
    for clip in read_clips([clips]):
        _, count, width, height = RIGHT[clip.video]
        assert clip.frames == count
        whole = read_frames(clip.path, 0, count, frames=clip.native_frames)
        assert np.abs(whole.astype(int) - program_frames(clip.path, height, width)).max() <= 2
        # Every other way of reading shows the same pictures.
        small = read_frames(clip.path, 0, count, size=(24, 24), frames=clip.native_frames)
        grey = read_frames(clip.path, 0, count, gray=True, frames=clip.native_frames)
        for picture, small_picture, grey_picture in zip(whole, small, grey, strict=True):
            assert abs(small_picture.mean() - picture.mean()) < 15
            assert np.abs(picture @ [0.299, 0.587, 0.114] - grey_picture).mean() < 8


def test_each_is_classified_or_named(bugcases, finished, run_script, tmp_path):
    results = finished / "results"
    run_script(
        "classify_videos", "--videos", *bugcases, "--output", tmp_path / "classes.csv",
        "--classifier", results / "finetune/tiny/split1/rgb/composite/all.h5",
        "--cache", tmp_path,
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "classes.csv")
    left_out = {path: PHOTOGRAPH for path in bugcases if path.suffix == ".avif"}
    for path, row in zip(bugcases, table.itertuples(), strict=True):
        assert row.video == str(path)
        assert (row.score > 0) != (path in left_out)
        if path in left_out:
            assert row[2] == f"not classified: {left_out[path]}"
    for path, error in ((bugcases[0], ""), (FOLDER / "still.avif", f"found: {PHOTOGRAPH}")):
        done = run_script(
            "predict_frames", "--video", path, "--output", tmp_path / "film.gif",
            "--pretrained", results / "pretrain/patches/pixels/composite.h5", check=False,
        )  # fmt: skip
        assert done.returncode == (1 if error else 0), done.stderr
        assert error in done.stderr
