"""Draw the errors of predicted frames, for all models and the trivial baselines.

Reads the errors of every model on one test set: cross-entropy or, if there is none, squared error;
and structural similarity.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import read_predictions
from video_lstm.plots.predictions import plot_errors
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """Errors and figures."""

    predictions: list[Path]
    """Artifacts of measure_predictions on one test set, one per model."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Read the errors and draw them."""
    errors_by_variant = read_predictions(arguments.predictions, "errors")
    has_cross_entropy = any(
        name.endswith("cross_entropy") for errors in errors_by_variant.values() for name in errors
    )
    measures = ["cross_entropy" if has_cross_entropy else "squared_error", "ssim"]
    save_figure(plot_errors(errors_by_variant, measures), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
