"""Draw what units do while a model predicts far ahead, beside an untrained model (paper, 3.2).

Reads a pretrained model that predicts, and the test set; runs both models a hundred steps ahead of
the first test sequence, and draws some of the frames and the gates, cells and outputs of 200 units
of the top layer, drawn by the seed.
"""

from pathlib import Path

import numpy as np
import torch

from command_line import CommandLine, run
from video_lstm.evaluation.unit_activity import run_ahead
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.plots.style import save_figure
from video_lstm.plots.units import plot_activity
from video_lstm.sequences.fixed_test_sets import open_test_set
from video_lstm.training.pretrained import load_pretrained

_STEPS, _UNITS, _FRAMES = 100, 200, 10


class Arguments(CommandLine):
    """What to draw."""

    pretrained: Path
    """The model."""
    test: Path
    """The test set that its first sequence is taken from."""
    seed: int = 0
    """Random seed for the untrained model's weights and the choice of units."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Run both models and draw."""
    torch.set_num_threads(arguments.threads)
    model, info = load_pretrained(arguments.pretrained)
    generator = torch.Generator().manual_seed(arguments.seed)
    untrained = EncoderDecoder(**info.arguments, generator=generator)
    units = int(info.arguments["hidden_size"])
    rng = np.random.default_rng(arguments.seed)
    chosen = np.sort(rng.choice(units, min(_UNITS, units), replace=False))
    runs = {}
    with open_test_set(arguments.test) as test:
        seen = next(test.batches(1, "cpu"))[: model.input_frames]
        for name, which in (("trained", model), ("untrained", untrained)):
            frames, traces = run_ahead(which, seen, _STEPS)
            pictures = test.to_uint8(frames[_STEPS // _FRAMES - 1 :: _STEPS // _FRAMES])[0]
            runs[name] = pictures, {key: t[:, 0].numpy()[:, chosen] for key, t in traces.items()}
    save_figure(plot_activity(runs, model.future_frames), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
