"""Draw what models make of the same sequences: truth, reconstruction and predicted future.

Reads the predictions of every model on one test set, and writes the first sequences as strips of
frames, a row per model, and as a short animation.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm import plots
from video_lstm.evaluation.frame_error_tables import read_predictions


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
    plots.save(plots.samples(samples), arguments.output)
    plots.preview(samples, arguments.preview)


if __name__ == "__main__":
    run(main, Arguments)
