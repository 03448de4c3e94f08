"""Draw the error of predicted frames against the frame, with all models and trivial baselines.

Reads the predictions of every model on one test set.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import read_predictions
from video_lstm.plots.predictions import plot_errors
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """What to draw."""

    predictions: list[Path]
    """What measure_predictions wrote of every model, on one test set."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Draw cross-entropy where there is one, squared error else; and structural similarity."""
    errors_by_variant = read_predictions(arguments.predictions, "errors")
    binary = any(
        name.endswith("cross_entropy") for errors in errors_by_variant.values() for name in errors
    )
    measures = ["cross_entropy" if binary else "squared_error", "ssim"]
    save_figure(plot_errors(errors_by_variant, measures), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
