"""Tabulate the validation accuracy of each choice of settings.

Reads classifiers that were scored on held-out training videos and writes a CSV file with one row
per classifier and choice. Test videos are not used.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.choices import tabulate_choices
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """Classifiers and output."""

    validated: list[Path]
    """Classifiers scored on validation videos (finetune_classifier --validation-fraction)."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Compare the choices and write the table."""
    write_csv(tabulate_choices(arguments.validated), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
