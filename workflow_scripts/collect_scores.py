"""Collect every number of a run in one tidy table.

Reads the classifiers' accuracies and the frame errors from their artifacts and writes a CSV file
with one row per number: measure, value, unit, and the columns that identify it.
"""

from pathlib import Path

from pydantic import Field

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.tables import collect_scores, write_csv


class Arguments(CommandLine):
    """Artifacts and output."""

    finetuned: list[Path] = Field(default_factory=list)
    """Artifacts of finetune_classifier."""
    predictions: list[Path] = Field(default_factory=list)
    """Artifacts of measure_predictions."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Collect the numbers and write the table."""
    scores = collect_scores(arguments.finetuned, arguments.predictions)
    write_csv(scores, arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
