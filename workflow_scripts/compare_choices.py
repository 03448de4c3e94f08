"""Tabulate how well each choice of settings did on validation videos.

Reads classifiers that were scored on held-out training videos, and writes a CSV file with a row per
classifier and choice. Test videos are not used.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.choices import choices_table
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """What to compare."""

    validated: list[Path]
    """Classifiers scored on validation videos (finetune_classifier --validation-fraction)."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read and write."""
    write_csv(choices_table(arguments.validated), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
