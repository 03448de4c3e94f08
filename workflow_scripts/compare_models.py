"""Compare models and two trivial baselines: size, training time and frame errors.

Reads the models and their predictions on one test set, and writes a CSV file with a row per model,
by the name of its file.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import capacity_table, models_table
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """What to compare."""

    pretrained: list[Path]
    """The models."""
    predictions: list[Path]
    """What measure_predictions wrote of each, in the same order."""
    published: bool = False
    """Add the lab report's errors of autoencoders of as many units."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read and write."""
    table = capacity_table if arguments.published else models_table
    write_csv(table(arguments.pretrained, arguments.predictions), arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
