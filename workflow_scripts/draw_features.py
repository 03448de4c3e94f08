"""Draw the weights between frames and units as images (paper, section 3.2).

Reads an encoder-decoder of pixels. Draws the input weights of the encoder's lowest layer, a panel
for the cell input and for each gate, and the output weights of its decoders. Only the units with
the largest norm are shown. The input panels show the same units in the same order.
"""

import math
from pathlib import Path

import numpy as np
import torch

from video_lstm.command_line import CommandLine, run
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.plots.style import save_figure
from video_lstm.plots.units import plot_features
from video_lstm.training.pretrained import load_pretrained

_MAX_IMAGES = 96


class Arguments(CommandLine):
    """Model and figures."""

    pretrained: Path
    """Artifact of pretrain, a model of pixels."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Draw the input and output weights."""
    model, _ = load_pretrained(arguments.pretrained)
    save_figure(plot_features(extract_weight_images(model)), arguments.output)


def extract_weight_images(model: EncoderDecoder) -> dict[str, np.ndarray]:
    """Return the weights of each panel as images, by name, the largest norm first."""
    weight = model.encoder.layers[0].weight_x.detach()
    gates = weight.unflatten(0, (4, -1))
    order = gates.square().sum((0, 2)).argsort(descending=True)[:_MAX_IMAGES]
    names = ("input gate", "forget gate", "cell input", "output gate")
    groups = {
        f"encoder, {n}": reshape_to_images(g[order]) for n, g in zip(names, gates, strict=True)
    }
    for name, decoder in (("reconstruction", model.reconstructor), ("future", model.predictor)):
        if decoder is not None:
            outputs = decoder.readout.weight.detach().t()
            largest = outputs.square().sum(1).argsort(descending=True)[:_MAX_IMAGES]
            groups[f"output, {name}"] = reshape_to_images(outputs[largest])
    return groups


def reshape_to_images(weights: torch.Tensor) -> np.ndarray:
    """Reshape weights (n, D) to images (n, side, side[, 3]) float32."""
    values = weights.shape[1]
    colours = (3,) if math.isqrt(values) ** 2 != values else ()
    side = math.isqrt(values // 3 if colours else values)
    return weights.numpy().reshape(-1, side, side, *colours)


if __name__ == "__main__":
    run(main, Arguments)
