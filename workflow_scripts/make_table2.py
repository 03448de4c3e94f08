"""Make Table 2: the model variants side by side.

Reads the collected scores and writes a CSV file with one row per model: the errors of predicted
frames, and the accuracy for each data set, stream and number of labelled videos per class.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.tables import read_scores, table2, write_csv


class Arguments(CommandLine):
    """Where the scores are, and where the table goes."""

    scores: Path
    """The scores that collect_scores wrote."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read, cut and write."""
    write_csv(table2(read_scores(arguments.scores)), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
