"""Draw the training curves of encoder-decoders trained on the same sequences.

Three panels with a line per variant: training loss, and validation errors of the reconstruction and
of the future.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.measures import FRAME_MEASURES
from video_lstm.plots.curves import plot_training_curves
from video_lstm.plots.style import save_figure
from video_lstm.training.training_summary import read_curves


class Arguments(CommandLine):
    """Models and figures."""

    pretrained: list[Path]
    """Artifacts of pretrain, one per variant."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Read the curves and draw them."""
    curves_by_variant, unit = {}, ""
    for path in arguments.pretrained:
        model, curves = read_curves(path)
        curves_by_variant[model["variant"]] = curves
        measure = "cross_entropy" if model["output"] == "logits" else "squared_error"
        unit = FRAME_MEASURES[measure].axis_label
    save_figure(plot_training_curves(curves_by_variant, unit), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
