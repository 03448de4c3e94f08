"""Tabulate how well frames are predicted, step by step.

Reads the predictions of every model and writes a CSV file: test set, model, branch, step (and the
mean over steps), and the error in every measure. The trivial baselines, the copied last frame and
the mean frame, are the last rows.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import frame_errors
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """What to tabulate."""

    predictions: list[Path]
    """What measure_predictions wrote."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read and write."""
    write_csv(frame_errors(arguments.predictions), arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
