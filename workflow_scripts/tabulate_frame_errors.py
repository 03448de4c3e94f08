"""Tabulate the errors of predicted frames by step.

Reads the errors of every model and writes a CSV file: test set, model, branch, step (and the mean
over steps), and every measure. The trivial baselines `copy_last_frame` and `mean_frame` are the
last rows.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import tabulate_frame_errors
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """Predictions and output."""

    predictions: list[Path]
    """Artifacts of measure_predictions."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Tabulate the errors and write the table."""
    write_csv(tabulate_frame_errors(arguments.predictions), arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
