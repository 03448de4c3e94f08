"""Tests of frame errors: units, comparison with torch and scikit-image, and trivial baselines."""

import math

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from video_lstm import artifacts
from video_lstm.evaluation.frame_errors import (
    COPY_PROBABILITY,
    average_over_steps,
    cross_entropy,
    measure_frame_errors,
    mse,
    squared_error,
    ssim,
)
from video_lstm.models.encoder_decoder import VARIANTS, EncoderDecoder, activate
from video_lstm.sequences import fixed_test_sets
from video_lstm.training.pretrained import save_pretrained


def test_cross_entropy_is_nats_summed_over_pixels():
    # A probability of 3/4 for pixels on, off and grey.
    logits = torch.full((1, 3), math.log(3.0))
    target = torch.tensor([[1.0, 0.0, 0.5]])
    by_hand = -math.log(0.75) - math.log(0.25) - 0.5 * (math.log(0.75) + math.log(0.25))
    assert cross_entropy(logits, target).item() == pytest.approx(by_hand, rel=1e-6)
    # With probability 1/2 every pixel costs one bit; a certain, wrong pixel costs its logit.
    bits = cross_entropy(torch.zeros(2, 5, 4096), torch.ones(2, 5, 4096))
    assert bits.shape == (2, 5) and bits.dtype == torch.float64
    np.testing.assert_allclose(bits, 4096 * math.log(2), rtol=1e-6)
    assert cross_entropy(torch.full((1, 1), 200.0), torch.zeros(1, 1)).item() == 200


def test_measures_equal_torch_functional_in_float64():
    generator = torch.Generator().manual_seed(0)
    raw, target = (torch.rand(3, 4, 50, generator=generator) for _ in range(2))
    raw = 6 * raw - 3
    expected = F.binary_cross_entropy(torch.sigmoid(raw.double()), target.double(), reduction="sum")
    assert cross_entropy(raw, target).sum().item() == pytest.approx(expected.item(), rel=1e-6)
    expected = F.mse_loss(raw.double(), target.double(), reduction="none")
    np.testing.assert_allclose(squared_error(raw, target), expected.sum(2), rtol=1e-5)
    np.testing.assert_allclose(mse(raw, target), expected.mean(2), rtol=1e-5)


def to_images(frames):
    """Reshape frames (T, B, 64) to grey images."""
    return frames.unflatten(2, (1, 8, 8))


def test_ssim_equals_scikit_image():
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(2, 3, 3, 12, 9, generator=generator)
    target[0, 0] = 0  # a black frame, where both windows are flat
    near = (target + 0.1 * torch.randn(target.shape, generator=generator)).clamp(0, 1)
    similarity = ssim(near, target)
    assert similarity.shape == (2, 3) and similarity.dtype == torch.float64
    for index in np.ndindex(2, 3):
        expected = structural_similarity(
            near[index].numpy(), target[index].numpy(), channel_axis=0, data_range=1
        )
        assert similarity[index].item() == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(ssim(near, near), torch.ones(2, 3, dtype=torch.float64))


def make_model(variant, output, frame_size=64):
    generator = torch.Generator().manual_seed(1)
    return EncoderDecoder(variant, frame_size, 5, 2, 4, 3, output=output, generator=generator)


@pytest.mark.parametrize("output", ["logits", "linear"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_errors_of_each_step_and_baseline(variant, output):
    model = make_model(variant, output).train()
    frames = torch.rand(9, 10, 64, generator=torch.Generator().manual_seed(2))
    mean = frames.mean((0, 1))
    errors = measure_frame_errors(model, [frames[:, :7], frames[:, 7:]], mean, to_images)
    expected = {}
    measures = ["squared_error", "mse", "ssim"] + ["cross_entropy"] * (output == "logits")
    with torch.no_grad():
        prediction = model.eval()(frames[:4])  # decodes from its own outputs
    for branch, raw, target in (
        ("reconstruction", prediction.reconstruction, frames[[3, 2, 1, 0]]),
        ("future", prediction.future, frames[4:7]),
    ):
        if raw is None:
            continue
        last, activated = frames[3].expand_as(target), activate(raw, output)
        for prefix, image in (("", activated), ("copy_last_frame_", last), ("mean_frame_", mean)):
            squares = (image - target).double().square().sum(2).mean(1)
            expected[f"{prefix}{branch}_squared_error"] = squares
            expected[f"{prefix}{branch}_mse"] = squares / 64
            images = to_images(image.expand_as(target).contiguous())
            expected[f"{prefix}{branch}_ssim"] = ssim(images, to_images(target)).mean(1)
            if output == "logits":
                p = image.double().expand_as(target)
                if prefix == "copy_last_frame_":
                    p = p.clamp(1 - COPY_PROBABILITY, COPY_PROBABILITY)
                nats = F.binary_cross_entropy(p, target.double(), reduction="none")
                expected[f"{prefix}{branch}_cross_entropy"] = nats.sum(2).mean(1)
    assert set(errors) == set(expected)
    assert len(errors) == 3 * len(measures) * (1 + variant.startswith("composite"))
    for name, values in expected.items():
        assert errors[name].dtype == np.float64
        np.testing.assert_allclose(errors[name], values, rtol=1e-5, atol=1e-9, err_msg=name)
    assert average_over_steps(errors) == {
        name: pytest.approx(v.mean()) for name, v in errors.items()
    }


def test_mean_frame_is_the_best_constant_image():
    model = make_model("future_predictor", "logits")
    frames = torch.rand(7, 20, 64, generator=torch.Generator().manual_seed(3)).round()
    mean = frames[4:].mean((0, 1))
    best = average_over_steps(measure_frame_errors(model, [frames], mean, to_images))
    for name in ("mean_frame_future_cross_entropy", "mean_frame_future_squared_error"):
        for offset in (-0.02, 0.02):
            assert (
                best[name]
                < average_over_steps(
                    measure_frame_errors(model, [frames], mean + offset, to_images)
                )[name]
            )


@pytest.fixture
def files(tmp_path):
    """A pretrained model of 8 x 8 frames, and a folder with its artifact and a test set."""
    provenance = artifacts.Provenance("test", {}, "")
    arguments = {
        "variant": "composite_conditional_future",
        "frame_size": 64,
        "hidden_size": 5,
        "num_layers": 1,
        "input_frames": 4,
        "future_frames": 3,
        "output": "logits",
    }
    model = EncoderDecoder(**arguments, generator=torch.Generator().manual_seed(1))
    with artifacts.create(tmp_path / "model.h5", "pretrained", provenance) as file:
        save_pretrained(
            file, model, source="mnist", arguments=arguments, standardize=None, curves={}
        )
    rng = np.random.default_rng(0)
    with artifacts.create(tmp_path / "test.h5", "moving_mnist", provenance) as file:
        file["test"] = rng.integers(256, size=(30, 8, 8, 8), dtype=np.uint8)
        file["mean_frame"] = np.full((8, 8), 127.5)
        file.attrs.update(mean=0.0, std=255.0)
    return model, tmp_path


def measure(run_script, folder, *options, check=True):
    return run_script(
        *("measure_predictions", "--pretrained", folder / "model.h5", "--test", folder / "test.h5"),
        *("--output", folder / "out.h5", "--device", "cpu", *options),
        check=check,
    )


def test_script_writes_errors_means_and_samples(files, run_script):
    model, folder = files
    measure(run_script, folder, "--batch-size", 7)
    with h5py.File(folder / "test.h5") as file:
        pixels = file["test"][()]
    frames = torch.from_numpy(pixels.reshape(30, 8, 64) / 255).float().swapaxes(0, 1)
    expected = measure_frame_errors(model, [frames], torch.full((64,), 0.5), to_images)
    with artifacts.open_artifact(folder / "out.h5", "predictions") as file:
        errors, samples = (
            artifacts.read_arrays(file, "errors"),
            artifacts.read_arrays(file, "samples"),
        )
        attributes = dict(file.attrs)
    assert set(errors) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(errors[name], values, rtol=1e-5)
        assert attributes[name] == errors[name].mean()
    assert (attributes["variant"], attributes["corpus"]) == (
        "composite_conditional_future",
        "mnist",
    )
    # A constant probability of 1/2 costs log 2 per pixel.
    assert attributes["mean_frame_future_cross_entropy"] == pytest.approx(64 * math.log(2))
    with fixed_test_sets.open_test_set(folder / "test.h5") as test:
        selected = test.to_uint8(test.select_moving_sequences(12, 4, "cpu"))
    np.testing.assert_array_equal(samples["truth"], selected[:, :7])
    rows = [(pixels == sequence).all((1, 2, 3)).argmax() for sequence in selected]
    with torch.no_grad():
        prediction = model.eval()(frames[:4, rows])
    for name, raw in (
        ("reconstruction", prediction.reconstruction.flip(0)),
        ("future", prediction.future),
    ):
        sample_pixels = 255 * torch.sigmoid(raw).swapaxes(0, 1).reshape(samples[name].shape)
        np.testing.assert_allclose(samples[name], sample_pixels, atol=0.51)


def test_samples_are_sequences_with_steady_motion(tmp_path):
    """Among still and flickering sequences and late changes, two sequences move."""
    rng = np.random.default_rng(0)
    pixels = np.full((20, 8, 9, 9), 60, np.uint8)
    pixels[1::4] += rng.integers(40, size=(5, 8, 9, 9), dtype=np.uint8)
    pixels[2::4, 6:] = 200
    for row, step in ((8, 1), (19, -1)):
        for frame in range(8):
            pixels[row, frame, :, : 4 + step * frame // 2] = 200
    test = fixed_test_sets.TestSet("patches", pixels, 10.0, 2.0, np.zeros((9, 9)))
    selected = test.to_uint8(test.select_moving_sequences(2, 4, "cpu"))
    rows = {int((pixels == sequence).all((1, 2, 3)).argmax()) for sequence in selected}
    assert rows == {8, 19}
    assert test.select_moving_sequences(50, 4, "cpu").shape == (8, 20, 81)


def test_test_set_that_does_not_fit_the_model_is_refused(files, run_script):
    _, folder = files
    with h5py.File(folder / "test.h5", "r+") as file:
        short = file["test"][:, :6]
        del file["test"]
        file["test"] = short
    done = measure(run_script, folder, check=False)
    assert done.returncode == 1
    assert "expected 7 frames of mnist, of 64 values each" in done.stderr
    assert not (folder / "out.h5").exists()
