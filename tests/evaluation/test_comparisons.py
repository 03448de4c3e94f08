"""Tests of model comparisons: matched sizes and times, and tables."""

import numpy as np
import pandas as pd
import pytest

from video_lstm.artifacts import Provenance, create, write_arrays
from video_lstm.evaluation.frame_error_tables import (
    tabulate_capacity,
    tabulate_frame_errors,
    tabulate_models,
)
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.training.model_matching import (
    count_parameters,
    matching_hidden_size,
    matching_steps,
)
from video_lstm.training.pretrained import save_pretrained

ARGUMENTS = {
    "variant": "composite", "frame_size": 64, "hidden_size": 5, "num_layers": 2, "input_frames": 4,
    "future_frames": 3, "output": "logits",
}  # fmt: skip
TRIVIAL_BASELINES = {"copy_last_frame": 5.0, "mean_frame": 6.0}
CONV = ARGUMENTS | {"patch_size": 2, "kernel_size": 3}


def write_model(path, arguments, throughput, batch=4):
    """Write a model trained for 30 steps at the given throughput in two intervals."""
    settings = {"model": {"training": {"batch_size": batch}}}
    with create(path, "pretrained", Provenance("pretrain", settings, "")) as file:
        curves = {"step": np.array([10.0, 30.0]), "throughput": np.array(throughput)}
        model = EncoderDecoder(**arguments)
        save_pretrained(
            file, model, source="mnist", arguments=arguments, standardize=None, curves=curves
        )
    return path


def write_predictions(path, test="mnist", variant="composite", **errors):
    """Write an artifact with errors as measure_predictions does."""
    with create(path, "predictions", Provenance("measure_predictions", {}, "")) as file:
        file.attrs.update(test=test, variant=variant)
        write_arrays(file, "errors", {name: np.array(value) for name, value in errors.items()})
        write_arrays(file, "samples", {})
    return path


def test_parameters_are_counted_without_allocating_memory():
    for arguments in (ARGUMENTS, CONV):
        expected = sum(p.numel() for p in EncoderDecoder(**arguments).parameters())
        assert count_parameters(arguments) == expected


@pytest.mark.parametrize("target", [1, 5_000, 23_456])
def test_matching_hidden_size_is_the_closest(target):
    hidden_size = matching_hidden_size(ARGUMENTS, target)
    counts = {size: count_parameters(ARGUMENTS | {"hidden_size": size}) for size in range(1, 80)}
    assert hidden_size == min(counts, key=lambda size: abs(counts[size] - target))


def test_matching_steps_take_equal_time(tmp_path):
    # 10 steps of 4 at 2/s and 20 at 4/s: 20 s + 20 s; the fast model needs 10 s for 30 steps.
    slow = write_model(tmp_path / "slow.h5", CONV, [2.0, 4.0])
    fast = write_model(tmp_path / "fast.h5", ARGUMENTS, [12.0, 12.0])
    assert matching_steps(slow, fast) == 120


def test_table_has_models_and_trivial_baselines(tmp_path):
    models = [
        write_model(tmp_path / "500.h5", ARGUMENTS | {"hidden_size": 500}, [12.0, 12.0]),
        write_model(tmp_path / "7.h5", ARGUMENTS | {"hidden_size": 7}, [2.0, 4.0]),
    ]
    baseline_errors = {
        "copy_last_frame_reconstruction_mse": [5.0],
        "mean_frame_reconstruction_mse": [6.0],
    }
    predictions = [
        write_predictions(tmp_path / f"p{n}.h5", reconstruction_mse=[n, n + 1.0], **baseline_errors)
        for n in (1, 3)
    ]
    table = tabulate_models(models, predictions).set_index("model")
    assert list(table.index) == ["500", "7", "copy_last_frame", "mean_frame"]
    assert table["reconstruction_mse"].tolist() == [1.5, 3.5, 5.0, 6.0]
    assert table["seconds"].tolist()[:2] == [10.0, 40.0] and table["seconds"].isna()[2:].all()
    assert table.loc["7", "parameters"] == count_parameters(ARGUMENTS | {"hidden_size": 7})
    published = tabulate_capacity(models, predictions).set_index("model")[
        "published_reconstruction_mse"
    ]
    assert published["500"] == 0.027440 and published.isna().sum() == 3


def test_integers_are_written_without_decimals(tmp_path, run_script):
    model = write_model(tmp_path / "8.h5", ARGUMENTS, [2.0, 4.0])
    errors = write_predictions(tmp_path / "p.h5", future_mse=[1.0], mean_frame_future_mse=[2.0])
    options = ("--pretrained", model, "--predictions", errors, "--output", tmp_path / "t.csv")
    run_script("compare_models", *options)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "model,units,parameters,steps,seconds,future_mse"
    assert lines[1].startswith("8,5,") and lines[1].endswith(",30,40.000000,1.000000")
    assert lines[-1] == "mean_frame,,,,,2.000000"


def test_frame_errors_by_step(tmp_path):
    common = {"mean_frame_future_mse": [7.0, 9.0], "copy_last_frame_future_mse": [1.0, 2.0]}
    table = tabulate_frame_errors(
        [
            write_predictions(
                tmp_path / "a.h5", future_mse=[1.0, 3.0], future_ssim=[0.5, 0.7], **common
            ),
            write_predictions(
                tmp_path / "b.h5", variant="future_predictor", future_mse=[2.0, 4.0], **common
            ),
            write_predictions(
                tmp_path / "c.h5", test="mnist_3", reconstruction_cross_entropy=[300.0]
            ),
        ]
    )
    assert not table.duplicated(["test", "model", "branch", "step"]).any()
    assert list(dict.fromkeys(table["model"])) == [
        *("composite", "future_predictor", "copy_last_frame", "mean_frame")
    ]
    rows = table[(table.test == "mnist") & (table.branch == "future")].set_index(["model", "step"])
    assert rows.loc[("composite", "mean"), ["mse", "ssim"]].tolist() == [2.0, pytest.approx(0.6)]
    assert rows.loc[("future_predictor", "2"), "mse"] == 4.0
    assert rows.loc[("mean_frame", "mean"), "mse"] == 8.0
    assert pd.isna(rows.loc[("mean_frame", "mean"), "cross_entropy"])
    assert (table[table.test == "mnist_3"]["cross_entropy"] == 300).all()
