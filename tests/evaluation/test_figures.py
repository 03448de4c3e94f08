"""Tests of figures: their data, and that files are reproducible."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

import draw_features
from video_lstm.evaluation.unit_activity import TRACES, trace_units
from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.plots.curves import plot_training_curves
from video_lstm.plots.predictions import animate_samples, plot_errors, plot_samples
from video_lstm.plots.style import save_figure
from video_lstm.plots.units import plot_activity, plot_features, tile_weights

pytestmark = pytest.mark.usefixtures("one_thread")


def make_model(variant: str, layers: int = 2) -> EncoderDecoder:
    generator = torch.Generator().manual_seed(0)
    model = EncoderDecoder(variant, 16, 6, layers, 4, 3, output="logits", generator=generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return model


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("variant", ["composite", "conditional_future_predictor"])
def test_traces_belong_to_the_predicted_frames(variant: str, layers: int) -> None:
    model = make_model(variant, layers)
    inputs = torch.rand(4, 2, 16, generator=torch.Generator().manual_seed(1))
    frames, traces = trace_units(model, inputs, 12)
    with torch.no_grad():
        future = model.eval()(inputs, future_frames=12).future
        assert torch.equal(frames, activate(future, "logits"))
        decoded = model.predictor.readout(traces["output"])
    torch.testing.assert_close(decoded, future)
    i, f, o, c, h = (traces[name] for name in TRACES)
    torch.testing.assert_close(h, o * torch.tanh(c))
    # c = f c' + i z with |z| < 1, which other gates would hardly satisfy.
    z = (c[1:] - f[1:] * c[:-1]) / i[1:]
    assert z.abs().max() <= 1 + 1e-4
    assert all(((gate > 0) & (gate < 1)).all() for gate in (i, f, o))
    assert len(model.predictor.stack.layers[-1]._forward_hooks) == 0


def test_tracing_needs_a_future_decoder() -> None:
    with pytest.raises(ValueError, match="future predictor"):
        trace_units(make_model("autoencoder"), torch.rand(4, 1, 16), 5)


def test_weight_images_are_ordered_by_norm_with_the_same_units_in_each_gate() -> None:
    model = make_model("composite")
    groups = draw_features.extract_weight_images(model)
    weights = model.encoder.layers[0].weight_x.detach().numpy().reshape(4, 6, 4, 4)
    norms = np.square(weights).sum((0, 2, 3))
    order = np.argsort(-norms)
    for gate, name in enumerate(("input gate", "forget gate", "cell input", "output gate")):
        np.testing.assert_array_equal(groups[f"encoder, {name}"], weights[gate, order])
    outputs = model.predictor.readout.weight.detach().numpy().T.reshape(6, 4, 4)
    largest = np.argsort(-np.square(outputs).sum((1, 2)))
    np.testing.assert_array_equal(groups["output, future"], outputs[largest])
    assert draw_features.reshape_to_images(torch.zeros(2, 48)).shape == (2, 4, 4, 3), "colours"


def test_tiles_are_scaled_per_image_and_zero_is_grey() -> None:
    images = np.zeros((3, 2, 2))
    images[0, 0, 0], images[1, 1, 1] = 5.0, -0.1
    picture = tile_weights(images, 2)
    assert picture.shape == (6, 6, 3) and picture.dtype == np.uint8
    assert (picture[0, 0] == 255).all() and (picture[1, 5] == 0).all()
    assert (picture[0, 1] == 128).all(), "zero"
    assert (picture[2:4] == 255).all() and (picture[4:, 2:] == 255).all(), "gaps"
    assert (picture[4:, :2] == 128).all(), "an image of zeros"


@pytest.fixture
def sample_frames() -> dict[str, dict[str, np.ndarray]]:
    """Samples of two models, one of which only predicts."""
    rng = np.random.default_rng(0)
    truth = rng.integers(256, size=(3, 7, 5, 5), dtype=np.uint8)
    composite = {"truth": truth, "reconstruction": truth[:, :4], "future": truth[:, 4:]}
    predictor = {"truth": truth, "future": 255 - truth[:, 4:]}
    return {"composite": composite, "future_predictor": predictor}


def test_animation_shows_truth_and_models(sample_frames, tmp_path) -> None:
    animate_samples(sample_frames, tmp_path / "a.gif", sequences=2)
    truth = sample_frames["composite"]["truth"]
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 7
        for frame in (0, 5):
            animation.seek(frame)
            picture = np.asarray(animation.convert("L"))[::2, ::2].astype(int)
            assert picture.shape == (12, 19)
            row, target = picture[7:], truth[1, frame].astype(int)
            assert abs(row[:, :5] - target).max() <= 8, "a GIF has few colours"
            assert abs(row[:, 7:12] - target).max() <= 8
            expected = 255 - target if frame == 5 else 0 * target
            assert abs(row[:, 14:] - expected).max() <= 8


@pytest.mark.slow
def test_figures_are_valid_and_reproducible(sample_frames, tmp_path) -> None:
    steps = {
        f"{prefix}{branch}_{measure}": np.linspace(1, 2, 3)
        for prefix in ("", "copy_last_frame_", "mean_frame_")
        for branch in ("reconstruction", "future")
        for measure in ("cross_entropy", "ssim")
    }
    curves = {"step": np.arange(1.0, 91), "loss": np.linspace(9, 1, 90)}
    curves |= {"validation_step": np.array([45.0, 90]), "future": np.array([3.0, 2.0])}
    traces = {name: np.full((9, 4), 0.5) for name in TRACES}
    frames = sample_frames["composite"]["truth"][0]
    digests = []
    for folder in ("first", "second"):
        figures = {
            "samples": plot_samples(sample_frames),
            "errors": plot_errors({"composite": steps}, ["cross_entropy", "ssim"]),
            "curves": plot_training_curves({"future_predictor": curves}, "nats"),
            "features": plot_features({"gate": np.ones((5, 4, 4))}),
            "activity": plot_activity({"trained": (frames, traces)}, 3),
        }
        paths = []
        for name, figure in figures.items():
            pair = [tmp_path / folder / f"{name}.{suffix}" for suffix in ("png", "svg")]
            save_figure(figure, pair)
            paths += pair
        with Image.open(paths[0]) as picture:
            assert picture.format == "PNG" and min(picture.size) > 100
        assert paths[1].read_text().startswith("<?xml")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths[::2]])
    assert digests[0] == digests[1]
    (axis,) = (a for a in figures["errors"].axes if a.get_ylabel().startswith("cross"))
    lines = {tuple(line.get_xdata()) for line in axis.get_lines()}
    assert {(0, -1, -2), (1, 2, 3)} <= lines, "the last frame seen is frame 0"
