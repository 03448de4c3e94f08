"""Compare models and two trivial baselines: size, training time and frame errors.

Reads the models and their errors on one test set and writes a CSV file with one row per model,
named after its file.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.frame_error_tables import tabulate_capacity, tabulate_models
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """Models and output."""

    pretrained: list[Path]
    """Artifacts of pretrain."""
    predictions: list[Path]
    """Artifacts of measure_predictions, one per model, in the same order."""
    published: bool = False
    """Add the lab report's errors of autoencoders with the same number of units."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Compare the models and write the table."""
    tabulate = tabulate_capacity if arguments.published else tabulate_models
    write_csv(tabulate(arguments.pretrained, arguments.predictions), arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
