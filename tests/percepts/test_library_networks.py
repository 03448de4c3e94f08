"""Networks of torchvision and timm, with random weights; skipped where these are not installed."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from video_lstm.errors import UserError
from video_lstm.percepts.extract import open_backend
from video_lstm.percepts.networks import build_network
from video_lstm.settings.percepts import PerceptSettings

CROP = 112


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, CROP, CROP, 3), np.uint8)


def settings_of(network, weights, **values):
    sizes = {"height": CROP, "width": CROP, "crop_size": CROP, "backend": "torch"}
    return PerceptSettings(network=network, weights=str(weights), **sizes | values)


@pytest.fixture
def timm_model(tmp_path):
    """Return a function that creates a timm model and saves its random weights."""
    timm = pytest.importorskip("timm")

    def create(name):
        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False).eval()
        save_file(model.state_dict(), tmp_path / "weights.safetensors")
        return model, tmp_path / "weights.safetensors"

    return create


def normalised(frames, network):
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    return (images - network.mean) / network.std


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "vit_b_16"])
def test_torchvision_percepts_are_the_input_of_the_classifier(name, tmp_path):
    torchvision = pytest.importorskip("torchvision")
    crop = 224 if name.startswith("vit") else CROP
    frames = np.random.default_rng(0).integers(0, 256, (2, crop, crop, 3), np.uint8)
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    settings = settings_of(
        f"torchvision:{name}", tmp_path / "weights.safetensors", crop_size=crop, height=crop,
        width=crop,
    )  # fmt: skip
    network, inputs = build_network(settings), []
    last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, values: inputs.append(values[0]))
    with torch.inference_mode():
        model(normalised(frames, network))
        percepts = network(torch.from_numpy(frames))
    torch.testing.assert_close(percepts, inputs[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto"]
)
def test_timm_percepts_are_the_pooled_features_with_its_own_normalisation(name, timm_model):
    crop = 224  # Swin's windows divide it
    frames = np.random.default_rng(0).integers(0, 256, (2, crop, crop, 3), np.uint8)
    model, weights = timm_model(name)
    sizes = {"crop_size": crop, "height": crop, "width": crop}
    network = build_network(settings_of(f"timm:{name}", weights, **sizes))
    mean = 255 * torch.tensor(model.pretrained_cfg["mean"])
    torch.testing.assert_close(network.mean.flatten(), mean)
    with torch.inference_mode():
        expected = model.forward_head(
            model.forward_features(normalised(frames, network)), pre_logits=True
        )
        percepts = network(torch.from_numpy(frames))
    torch.testing.assert_close(percepts, expected, rtol=1e-4, atol=1e-5)


def test_a_transformer_is_built_for_the_crop_from_weights_for_another(timm_model, frames):
    """DINOv2's weights are for 518 x 518 pixels, 37 x 37 positions."""
    name = "vit_small_patch14_dinov2.lvd142m"
    _, weights = timm_model(name)
    network = build_network(settings_of(f"timm:{name}", weights))
    tokens = build_network(settings_of(f"timm:{name}", weights, layer="norm", pooling="token"))
    average = build_network(settings_of(f"timm:{name}", weights, layer="norm"))
    seen = torch.from_numpy(frames)
    with torch.inference_mode():
        percepts = network(seen)
        torch.testing.assert_close(percepts, tokens(seen))  # its own pooling is the class token
        assert percepts.shape == (3, 384) and not torch.allclose(percepts, average(seen))


def test_onnx_runtime_agrees_on_a_transformer(timm_model, frames, tmp_path):
    name = "vit_tiny_patch16_224"
    _, weights = timm_model(name)
    backends = [
        open_backend(
            settings_of(f"timm:{name}", weights, backend=backend), torch.device("cpu"), 2, tmp_path
        )
        for backend in ("torch", "onnx")
    ]
    expected, percepts = (backend.compute(frames).astype(np.float32) for backend in backends)
    np.testing.assert_allclose(percepts, expected, rtol=5e-3, atol=5e-3)


def test_what_does_not_fit_a_network_is_named(timm_model):
    _, weights = timm_model("vit_tiny_patch16_224")
    with pytest.raises(UserError, match="cannot process frames of 10 x 10 pixels"):
        sizes = {"crop_size": 10, "height": 10, "width": 10}
        build_network(settings_of("timm:vit_tiny_patch16_224", weights, **sizes))
    _, weights = timm_model("resnet18")
    with pytest.raises(UserError, match=r"pooling: expected tokens .* found \(2, 512, 4, 4\)"):
        build_network(settings_of("timm:resnet18", weights, layer="layer4", pooling="token"))
