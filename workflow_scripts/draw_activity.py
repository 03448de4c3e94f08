"""Draw the activity of units over a hundred predicted steps (paper, section 3.2).

Reads a pretrained model with a future decoder, and a test set. This model and an untrained one
predict a hundred frames after the first test sequence. Draws some of these frames, and the gates,
cells and outputs of 200 random units of the top layer.
"""

from pathlib import Path

import numpy as np
import torch

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.unit_activity import trace_units
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.plots.style import save_figure
from video_lstm.plots.units import plot_activity
from video_lstm.sequences.fixed_test_sets import open_test_set
from video_lstm.training.pretrained import load_pretrained

_STEPS, _UNITS, _FRAMES = 100, 200, 10


class Arguments(CommandLine):
    """Model, test set and figures."""

    pretrained: Path
    """Artifact of pretrain, a model with a future decoder."""
    test: Path
    """Test set of the model; its first sequence is used."""
    seed: int = 0
    """Random seed for the untrained model's weights and the choice of units."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Run both models and draw their activity."""
    torch.set_num_threads(arguments.threads)
    model, info = load_pretrained(arguments.pretrained)
    generator = torch.Generator().manual_seed(arguments.seed)
    untrained = EncoderDecoder(**info.arguments, generator=generator)
    units = int(info.arguments["hidden_size"])
    rng = np.random.default_rng(arguments.seed)
    chosen = np.sort(rng.choice(units, min(_UNITS, units), replace=False))
    runs = {}
    with open_test_set(arguments.test) as test:
        inputs = next(test.batches(1, "cpu"))[: model.input_frames]
        for name, network in (("trained", model), ("untrained", untrained)):
            frames, traces = trace_units(network, inputs, _STEPS)
            pictures = test.to_uint8(frames[_STEPS // _FRAMES - 1 :: _STEPS // _FRAMES])[0]
            runs[name] = pictures, {key: t[:, 0].numpy()[:, chosen] for key, t in traces.items()}
    save_figure(plot_activity(runs, model.future_frames), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
