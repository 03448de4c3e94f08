"""Draw what models make of the same sequences: truth, reconstruction and predicted future.

Reads the predictions of every model on one test set, and writes the first sequences as strips of
frames, a row per model, and as a short animation.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import read_predictions
from video_lstm.plots.predictions import animate_samples, plot_samples
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """What to draw."""

    predictions: list[Path]
    """What measure_predictions wrote of every model, on one test set."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""
    preview: Path
    """Animation to write, a GIF."""


def main(arguments: Arguments) -> None:
    """Draw the strips and the animation."""
    samples = read_predictions(arguments.predictions, "samples")
    save_figure(plot_samples(samples), arguments.output)
    animate_samples(samples, arguments.preview)


if __name__ == "__main__":
    run(main, Arguments)
