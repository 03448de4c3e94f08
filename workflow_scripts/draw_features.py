"""Draw the weights between frames and units as images (paper, section 3.2).

Reads a pretrained encoder-decoder of pixels and writes two figures: the input features of the
encoder's lowest layer, for the input, each gate; and the output features of its decoders. Shown are
those of the largest norm. The same place among the input features is the same unit.
"""

import math
from pathlib import Path

import numpy as np
import torch

from command_line import CommandLine, run
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.plots.style import save_figure
from video_lstm.plots.units import plot_features
from video_lstm.training.pretrained import load_pretrained

_SHOWN = 96


class Arguments(CommandLine):
    """What to draw."""

    pretrained: Path
    """The model."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Draw input and output features."""
    model, _ = load_pretrained(arguments.pretrained)
    save_figure(plot_features(features(model)), arguments.output)


def features(model: EncoderDecoder) -> dict[str, np.ndarray]:
    """Images of weights by what they lead to, those of the largest norm first."""
    weight = model.encoder.layers[0].weight_x.detach()
    gates = weight.unflatten(0, (4, -1))
    order = gates.square().sum((0, 2)).argsort(descending=True)[:_SHOWN]
    names = ("input gate", "forget gate", "cell input", "output gate")
    groups = {f"encoder, {n}": images(g[order]) for n, g in zip(names, gates, strict=True)}
    for name, decoder in (("reconstruction", model.reconstructor), ("future", model.predictor)):
        if decoder is not None:
            outputs = decoder.readout.weight.detach().t()
            largest = outputs.square().sum(1).argsort(descending=True)[:_SHOWN]
            groups[f"output, {name}"] = images(outputs[largest])
    return groups


def images(weights: torch.Tensor) -> np.ndarray:
    """(n, D) to (n, side, side[, 3])."""
    values = weights.shape[1]
    colours = (3,) if math.isqrt(values) ** 2 != values else ()
    side = math.isqrt(values // 3 if colours else values)
    return weights.numpy().reshape(-1, side, side, *colours)


if __name__ == "__main__":
    run(main, Arguments)
