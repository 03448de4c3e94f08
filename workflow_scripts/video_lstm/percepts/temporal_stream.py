"""The temporal-stream convnet of Simonyan & Zisserman (2014), whose fc6 is the flow percept.

The network is CNN-M-2048 of Chatfield et al. (2014): five convolutions, two hidden layers. Its
input is a stack of L consecutive flow fields, 2 L channels in the order u, v, u, v, ...; the mean
displacement of each field is subtracted, which compensates camera motion.

For the paper's crop of 224 the strides are those of CNN-M and reduce it by 32, to 7 x 7. For
smaller crops the last map keeps about that size: each halving of the crop drops one of the five
reductions, in the order of `_DROPPED_REDUCTIONS`, so that a crop of 112 is reduced by 16, one of 56
by 8, one of 28 by 4. Other departures: convolutions are padded, so that strides divide the size;
weights are initialised as by He et al. (2015), so that the network trains from scratch at any size;
and the input is divided by the standard deviation of the training flow, where the original scaled
it to +-128.
"""

import json
import math

import cv2
import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm import artifacts
from video_lstm.settings.percepts import FlowConvnetSettings

STACKS = {"flow1": 1, "flow10": 10}
"""Number of flow fields in the input of the convnet, by stream."""

_KERNELS = (7, 5, 3, 3, 3)
_REDUCTIONS = ("conv1", "pool1", "conv2", "pool2", "pool5")
_DROPPED_REDUCTIONS = ("conv2", "conv1", "pool2", "pool1")


def layer_strides(crop: int) -> dict[str, int]:
    """Return the strides (1 or 2) of conv1, pool1, conv2, pool2 and pool5 for a crop size."""
    halvings = min(max(round(math.log2(224 / crop)), 0), len(_DROPPED_REDUCTIONS))
    return {name: 1 if name in _DROPPED_REDUCTIONS[:halvings] else 2 for name in _REDUCTIONS}


class TemporalStream(nn.Module):
    """Convnet that maps flow stacks to logits, or to percepts.

    Args:
        stack: Number of flow fields in the input, L.
        classes: Number of classes.
        settings: Sizes, normalisation and dropout.
        generator: Random number generator on the CPU for weight initialisation.

    Attributes:
        scale: Standard deviation of the training flow in pixels, () float32; set before training.
    """

    def __init__(
        self, stack: int, classes: int, settings: FlowConvnetSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.stack, self.classes, self.settings = stack, classes, settings
        self.strides = layer_strides(settings.crop_size)
        self.local_response = settings.normalization == "local_response"
        batch_norm = settings.normalization == "batch"
        widths = [2 * stack, *settings.channels]
        # Batch norm has a bias already.
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                widths[layer],
                widths[layer + 1],
                kernel,
                stride=self.strides.get(f"conv{layer + 1}", 1),
                padding=kernel // 2,
                bias=not batch_norm,
            )
            for layer, kernel in enumerate(_KERNELS)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width) if batch_norm else nn.Identity() for width in widths[1:]
        )
        side = settings.crop_size
        for name in _REDUCTIONS:
            side = math.ceil(side / self.strides[name])
        self.fc6 = nn.Linear(settings.channels[-1] * side * side, settings.fc6)
        self.fc7 = nn.Linear(settings.fc6, settings.fc7)
        self.classifier = nn.Linear(settings.fc7, classes)
        self.register_buffer("scale", torch.ones(()))
        for module in (*self.convolutions, self.fc6, self.fc7, self.classifier):
            gain = 1.0 if module is self.classifier else math.sqrt(2)
            fan_in = module.weight[0].numel()
            with torch.no_grad():
                module.weight.normal_(0, gain / math.sqrt(fan_in), generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
        self.to(memory_format=torch.channels_last)  # a training step on a CPU takes 3/4 of the time

    def percepts(self, stacks: Tensor) -> Tensor:
        """Return the fc6 activations after the ReLU.

        Args:
            stacks: Flow in pixels, mean displacements subtracted, (B, 2 L, crop, crop) float32.

        Returns:
            (B, fc6) float32, >= 0.
        """
        x = (stacks / self.scale).contiguous(memory_format=torch.channels_last)
        for layer, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True), start=1
        ):
            x = F.relu(norm(convolution(x)))
            if layer == 1 and self.local_response:
                x = F.local_response_norm(x, size=5, alpha=5e-4, beta=0.75, k=2.0)
            if self.strides.get(f"pool{layer}") == 2:
                x = F.max_pool2d(x, 3, stride=2, padding=1)
        return F.relu(self.fc6(x.flatten(1)))

    def forward(self, stacks: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the logits of flow stacks.

        Args:
            stacks: Flow in pixels, mean displacements subtracted, (B, 2 L, crop, crop) float32.
            generator: Random number generator for the dropout of fc6 and fc7; None: no dropout.

        Returns:
            (B, classes) float32.
        """
        x = self._drop(self.percepts(stacks), generator)
        return self.classifier(self._drop(F.relu(self.fc7(x)), generator))

    def _drop(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        # The generator is seeded by the step, so that a resumed run draws the same masks.
        rate = self.settings.dropout
        if generator is None or rate == 0:
            return x
        mask = torch.rand(x.shape, generator=generator, device=x.device) >= rate
        return x * mask / (1 - rate)


def write_network(file: h5py.File, network: TemporalStream) -> None:
    """Write the network into an artifact: group `weights` and attribute `model`."""
    model = {
        "stack": network.stack,
        "classes": network.classes,
        "settings": network.settings.model_dump(mode="json"),
    }
    file.attrs["model"] = json.dumps(model, sort_keys=True)
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    artifacts.write_arrays(file, "weights", weights)


def read_network(file: h5py.File) -> TemporalStream:
    """Read a network that `write_network` wrote, in evaluation mode on the CPU."""
    model = json.loads(file.attrs["model"])
    settings = FlowConvnetSettings.model_validate(model["settings"])
    network = TemporalStream(model["stack"], model["classes"], settings, torch.Generator())
    weights = artifacts.read_arrays(file, "weights")
    network.load_state_dict({name: torch.from_numpy(np.asarray(w)) for name, w in weights.items()})
    return network.eval()


def crop_flow(fields: np.ndarray, top: int, left: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Crop a square of quantised flow, and compute the mean displacements of the whole fields.

    Args:
        fields: Quantised flow, (..., 2, H, W) uint8.
        top: First row of the square.
        left: First column of the square.
        side: Side of the square in pixels.

    Returns:
        Crops (..., 2, side, side) uint8, and means (..., 2) float32, quantised.
    """
    flat = fields.reshape(-1, *fields.shape[-2:])
    # 5 times as fast as numpy's mean for uint8, and it releases the GIL.
    means = np.array([cv2.mean(field)[0] for field in flat], np.float32)
    crop = fields[..., top : top + side, left : left + side]
    return np.ascontiguousarray(crop), means.reshape(fields.shape[:-2])


def subtract_means(crops: Tensor, means: Tensor, step: float) -> Tensor:
    """Convert quantised flow to pixels and subtract each field's mean displacement.

    Args:
        crops: Quantised flow, (..., 2, side, side) uint8.
        means: Mean quantised displacements of the whole fields, (..., 2) float32.
        step: Quantisation step in pixels.

    Returns:
        Flow in pixels, (..., 2, side, side) float32.
    """
    return (crops.float() - means[..., None, None]) * step


def mirror_flow(flow: Tensor, flips: Tensor) -> Tensor:
    """Mirror some of the stacks left to right, and negate their horizontal displacements.

    Args:
        flow: Flow stacks, (B, L, 2, H, W).
        flips: Stacks to mirror, (B,) bool.

    Returns:
        (B, L, 2, H, W)
    """
    signs = torch.tensor([-1.0, 1.0], device=flow.device)[:, None, None]
    return torch.where(flips[:, None, None, None, None], flow.flip(-1) * signs, flow)


def stack_indices(num_flows: int, stack: int) -> np.ndarray:
    """Return the indices of the flow fields of each percept of a clip.

    Percept t uses fields t to t + L - 1. A clip with fewer than L fields has one percept, for which
    its last field is repeated.

    Args:
        num_flows: Number of flow fields of the clip, at least 1.
        stack: Number of flow fields per percept, L.

    Returns:
        (max(1, num_flows - L + 1), L) int64.
    """
    first = np.arange(max(1, num_flows - stack + 1))
    return np.minimum(first[:, None] + np.arange(stack), num_flows - 1)
