"""Trained models on new videos, with no Snakemake; and their weights, taken elsewhere."""

import os
import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from video_lstm.errors import UserError
from video_lstm.sequences.fixed_test_sets import normalise, to_uint8
from video_lstm.sequences.tiles import read_tiled
from video_lstm.training.pretrained import load_pretrained
from video_lstm.video.decode import read_frames
from video_lstm.video.sampling import probe_full_clip
from video_lstm.video.source import declared_rate

CLASSIFIER = "finetune/tiny/split1/{}/composite/all.h5"


@pytest.mark.parametrize("stream", ["rgb", "flow1"])
def test_new_videos_get_the_scores_that_the_pipeline_gives_them(
    finished, run_script, tmp_path, stream
):
    results = finished / "results"
    with h5py.File(results / CLASSIFIER.format(stream)) as file:
        rows, scores = file["video"][()], file["scores"][0]
    with h5py.File(results / "videos/tiny.h5") as file:
        names = file["path"].asstr()[()][rows]
        classes = file["classes"].asstr()[()]
    videos = [results / "demo/labelled" / name for name in names]
    odd = tmp_path / os.fsdecode(b"odd\xff.mp4")  # a name that is no text
    shutil.copy(videos[0], odd)
    videos[0] = odd
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    whole = videos[0].read_bytes()
    third = len(whole) // 3  # its header is sound, its middle is not
    (tmp_path / "torn.mp4").write_bytes(whole[:third] + bytes(third) + whole[2 * third :])
    convnet = ("--flow-convnet", results / "flow_convnet/tiny/split1/flow1.h5")
    run_script(
        "classify_videos",
        "--videos", *videos[::-1], tmp_path / "broken.mp4", tmp_path / "torn.mp4",
        "--classifier", results / CLASSIFIER.format(stream), "--output", tmp_path / "classes.csv",
        "--cache", tmp_path, *(convnet if stream == "flow1" else ()),
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "classes.csv")
    probabilities = table.iloc[:-2, 3:].to_numpy()[::-1]
    # Percepts are rounded to 16 bits, after sums over other batches.
    assert abs(probabilities - scores).max() < 2e-3
    assert list(table.columns[3:]) == [f"p({name})" for name in classes]
    best = table.iloc[:-2, 3:].idxmax(axis=1).str.slice(2, -1)
    assert best.equals(table["class"].iloc[:-2])
    reasons = table["class"].iloc[-2:].tolist()
    assert reasons[0].startswith("not classified: not a video")
    assert re.match("not classified: (damaged|cut short): ", reasons[1])
    assert table["score"].iloc[-2:].isna().all()


def test_classifier_refuses_other_convnet_weights_than_in_training(finished, run_script, tmp_path):
    results, video = finished / "results", next((finished / "results/demo").rglob("*.mp4"))
    (tmp_path / "other.pth").write_bytes(b"weights")
    output = ("--output", tmp_path / "classes.csv")
    pretrained = results / "pretrain/tiny_split1/rgb/composite.h5"
    convnet = results / "flow_convnet/tiny/split1/flow1.h5"
    for stream, options, message in (
        ("rgb", ("--weights", tmp_path / "other.pth"), "expected the weights that"),
        ("flow1", (), "--flow-convnet: expected a file, found none"),
        ("flow1", ("--flow-convnet", pretrained), "expected schema 'flow_convnet'"),
    ):
        classifier = ("--classifier", results / CLASSIFIER.format(stream))
        done = run_script(
            "classify_videos", "--videos", video, *classifier, *output, *options, check=False
        )
        assert done.returncode == 1
        assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "classes.csv").exists()
    other = tmp_path / "other.h5"
    shutil.copy(convnet, other)
    with h5py.File(other, "a") as file:
        file.attrs["identity"] = "0"
    done = run_script(
        "classify_videos", "--videos", video, "--classifier",
        results / CLASSIFIER.format("flow1"), "--flow-convnet", other, *output, check=False,
    )  # fmt: skip
    assert "expected the convnet that" in done.stderr


def test_the_frames_of_a_new_video_are_predicted(finished, run_script, tmp_path):
    results = finished / "results"
    model = results / "pretrain/patches/pixels/composite.h5"
    video = next((results / "demo/unlabelled").glob("*.mp4"))
    run_script(
        *("predict_frames", "--video", video, "--pretrained", model),
        *("--output", tmp_path / "film.mp4"),
    )
    # Frames of 120 x 160 hold 7 x 10 tiles of 16 pixels; they are enlarged less than twice: once.
    film = read_frames(tmp_path / "film.mp4")
    info = load_pretrained(model)[1]
    rows, columns = info.pixels.grid
    height, width = 16 * rows, 16 * columns
    scale = max(1, 192 // height)
    assert film.shape[1:3] == (scale * height + 6, scale * (2 * width + 2))
    truth = read_tiled(probe_full_clip(video, info.pixels.rate, tmp_path), info.pixels)
    assert len(film) == len(truth) // 8 * 8
    # Every frame of the file, as fast as there.
    assert info.pixels.rate is None
    assert declared_rate(tmp_path / "film.mp4") == pytest.approx(declared_rate(video))
    left = film[:, : scale * height : scale, : scale * width : scale].astype(float).mean(3)
    assert abs(left - truth[: len(film)]).mean() < 4
    # The line below: grey for 4 frames that are seen, orange for 4 that are predicted.
    red, _, blue = np.moveaxis(film[:, -3, 20].astype(int), 1, 0)
    assert ((red - blue > 100) == (np.arange(len(film)) % 8 >= 4)).all()
    # The right side is what the model makes of each tile.
    net, _ = load_pretrained(model)
    tile = torch.from_numpy(truth[:8, 16:32, 32:48])[None]
    future = net(normalise(tile, info.pixels.mean, info.pixels.std)[:4]).future
    expected = to_uint8(future.detach(), info.pixels.mean, info.pixels.std, (16, 16))[0]
    right = film[4:8, :, scale * (width + 2) :][:, ::scale, ::scale]
    actual = right[:, 16:32, 32:48].astype(float).mean(3)
    assert abs(actual - expected).mean() < 4


def test_a_film_needs_a_model_of_pixels_enough_frames_and_a_known_suffix(
    finished, run_script, tmp_path
):
    results = finished / "results"
    video = next((results / "demo/labelled").rglob("*.mp4"))
    long = next((results / "demo/unlabelled").glob("*.mp4"))
    digits = results / "pretrain/mnist/pixels/composite.h5"
    for film, model, name, message in (
        (video, results / "pretrain/tiny_split1/rgb/composite.h5", "a.gif", "a model of pixels"),
        (long, digits, "a.txt", "expected a file name that ends in .gif, .mp4"),
        (tmp_path / "none.mp4", digits, "a.gif", "expected a video, found: cannot be opened"),
    ):
        done = run_script(
            *("predict_frames", "--video", film, "--pretrained", model),
            *("--output", tmp_path / name), check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert message in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "artifact", ["pretrain/mnist/pixels/composite.h5", "flow_convnet/tiny/split1/flow1.h5",
                 CLASSIFIER.format("rgb")],
)  # fmt: skip
def test_exported_weights_are_those_of_the_artifact(finished, run_script, tmp_path, artifact):
    path, output = finished / "results" / artifact, tmp_path / "weights.safetensors"
    run_script("export_weights", "--artifact", path, "--output", output)
    with h5py.File(path) as file, safe_open(output, "numpy") as exported:
        assert set(exported.keys()) == set(file["weights"])
        for name, values in file["weights"].items():
            assert np.array_equal(exported.get_tensor(name), values[()])
        assert exported.metadata()["identity"] == file.attrs["identity"]


@pytest.mark.parametrize("corpus", ["patches/pixels", "tiny_split1/rgb"])
def test_an_exported_encoder_decoder_is_loaded_as_its_artifact_is(
    finished, run_script, tmp_path, corpus
):
    path = finished / f"results/pretrain/{corpus}/composite.h5"
    exported = tmp_path / "a.safetensors"
    run_script("export_weights", "--artifact", path, "--output", exported)
    (model, metadata), (expected, _) = load_pretrained(str(exported)), load_pretrained(path)
    frames = torch.rand(expected.input_frames, 3, metadata.arguments["frame_size"])
    if metadata.standardize is not None:
        frames = metadata.standardize(frames)
    for state, other in zip(model.encode(frames)[0], expected.encode(frames)[0], strict=True):
        assert torch.equal(state, other)


def test_files_that_are_no_exported_encoder_decoder_are_refused(finished, run_script, tmp_path):
    classifier = finished / "results" / CLASSIFIER.format("rgb")
    run_script("export_weights", "--artifact", classifier, "--output", tmp_path / "c.safetensors")
    with pytest.raises(UserError, match="expected an exported encoder-decoder, found 'finetuned'"):
        load_pretrained(tmp_path / "c.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("text", "none"):
        with pytest.raises(UserError, match=f"{name}.safetensors: expected a safetensors file"):
            load_pretrained(tmp_path / f"{name}.safetensors")


def test_scores_alone_have_no_weights_to_export(finished, run_script, tmp_path):
    fused = next((finished / "results/fuse").rglob("*.h5"))
    options = ("--artifact", fused, "--output", tmp_path / "weights.safetensors")
    done = run_script("export_weights", *options, check=False)
    assert done.returncode == 1 and "found scores only" in done.stderr
