"""The stream `motion` through the whole workflow: from RGB percepts that are there already."""

import h5py
import numpy as np
import pandas as pd
import pytest
from projects import copy, snakemake

from video_lstm.video.clips import read_names

CLASSIFIER = "results/{}/tiny/split1/{}/composite/all.h5"
FUSED = CLASSIFIER.format("fuse", "rgb+motion+flow1")
REPRESENTATIONS = "results/representations/tiny/split1/motion/composite.h5"
PRETRAINED = "results/pretrain/tiny_split1/motion/composite.h5"


@pytest.fixture(scope="module")
def with_motion(finished, tmp_path_factory):
    """The finished project after another run, with one stream more."""
    folder = copy(finished, tmp_path_factory.mktemp("motion") / "project")
    targets = [FUSED, REPRESENTATIONS, "results/unlabelled_hours.csv"]
    snakemake(folder, *targets, "--config", "streams=[rgb,motion,flow1]")
    return folder


def test_percepts_are_not_extracted_again(finished, with_motion):
    times = [
        {
            path.relative_to(folder): path.stat().st_mtime_ns
            for kind in ("clips", "flow", "percepts")
            for path in (folder / "results" / kind).rglob("*.h5")
        }
        for folder in (finished, with_motion)
    ]
    assert times[0] == times[1]


def test_three_streams_are_fused(with_motion):
    streams = ("rgb", "motion", "flow1")
    with h5py.File(with_motion / FUSED) as file:
        assert file.attrs["stream"] == "+".join(streams)
        weights, scores = file.attrs["weights"], file["scores"][()]
    assert weights.sum() == pytest.approx(1) and len(weights) == 3 and (weights >= 0).all()
    parts = []
    for stream in streams:
        with h5py.File(with_motion / CLASSIFIER.format("finetune", stream)) as file:
            parts.append(file["scores"][()])
    assert not np.allclose(parts[0], parts[1])
    np.testing.assert_allclose(scores, np.tensordot(weights, parts, 1), atol=1e-6)


def test_hours_of_unlabelled_video_are_those_of_movement(with_motion):
    table = pd.read_csv(with_motion / "results/unlabelled_hours.csv", dtype={"labels": str})
    assert table["variant"].tolist() == ["lstm_baseline", "composite", "composite"]
    assert set(table["stream"]) == {"motion"} and set(table["labels"]) == {"1"}
    assert (table["n"] == 2).all() and table["mean"].between(0, 100).all()
    few = "results/unlabelled_hours/tiny_split1/motion/0.002/composite.h5"
    hours = []
    for name in (few, PRETRAINED):
        with h5py.File(with_motion / name) as file:
            hours.append(file.attrs["unlabelled_hours"])
    assert 0.002 <= hours[0] < hours[1]
    assert table["hours"].tolist()[1:] == pytest.approx(hours, abs=1e-4)
    assert np.isnan(table["hours"][0]) and table["gain"].notna().tolist() == [False, True, True]


@pytest.fixture(scope="module")
def videos(with_motion):
    """Every video of the data set: its name, and its file."""
    with h5py.File(with_motion / "results/videos/tiny.h5") as file:
        names = file["path"].asstr()[()]
    return {name: with_motion / "results/demo/labelled" / name for name in names}


def test_a_new_video_gets_the_scores_that_the_pipeline_gives_it(
    with_motion, videos, run_script, tmp_path
):
    classifier = with_motion / CLASSIFIER.format("finetune", "motion")
    with h5py.File(classifier) as file:
        rows, scores = file["video"][()], file["scores"][0]
    files = np.array(list(videos.values()))[rows]
    run_script(
        "classify_videos", "--videos", *files, "--classifier", classifier,
        "--output", tmp_path / "classes.csv", "--cache", tmp_path,
    )  # fmt: skip
    probabilities = pd.read_csv(tmp_path / "classes.csv").iloc[:, 3:].to_numpy()
    # Percepts are rounded to 16 bits, after sums over other batches.
    assert abs(probabilities - scores).max() < 2e-3 < np.ptp(scores, axis=0).max()


def test_a_new_video_is_represented_as_the_pipeline_does(with_motion, videos, run_script, tmp_path):
    with h5py.File(with_motion / REPRESENTATIONS) as file:
        names = [name.video for name in read_names(file)]
        stored = {part: values[()] for part, values in file["videos"].items()}
    output = tmp_path / "new.npz"
    run_script(
        "encode_videos", "--files", *(videos[name] for name in names), "--output", output,
        "--pretrained", with_motion / PRETRAINED, "--cache", tmp_path,
        "--block-frames", 8, "--block-stride", 4,
    )  # fmt: skip
    new = np.load(output)
    assert new["video"].tolist() == [str(videos[name]) for name in names]
    assert set(stored) == {"state", "mean"}
    for part, values in stored.items():
        actual = new[f"videos_{part}"]
        assert abs(actual - values).max() < 2e-3 < np.ptp(values, axis=0).max()
