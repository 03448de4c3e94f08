"""Draw the reconstruction and the predicted future of some test sequences, for all models.

Reads the samples of every model on one test set. Draws the first sequences as strips of frames, a
row per model below the truth, and as a short animation.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import read_predictions
from video_lstm.plots.predictions import animate_samples, plot_samples
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """Predictions and figures."""

    predictions: list[Path]
    """Artifacts of measure_predictions on one test set, one per model."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""
    preview: Path
    """Animation to write, GIF."""


def main(arguments: Arguments) -> None:
    """Read the samples and draw both figures."""
    samples = read_predictions(arguments.predictions, "samples")
    save_figure(plot_samples(samples), arguments.output)
    animate_samples(samples, arguments.preview)


if __name__ == "__main__":
    run(main, Arguments)
