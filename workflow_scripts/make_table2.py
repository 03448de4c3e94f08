"""Make Table 2: errors and accuracies of all model variants.

Reads the scores of a run and writes a CSV file with one row per model: the errors of predicted
frames, and the accuracy for each data set, stream and number of labelled videos per class.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.tables import make_table2, read_scores, write_csv


class Arguments(CommandLine):
    """Scores and output."""

    scores: Path
    """Scores of the run (collect_scores), CSV."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Make the table from the scores and write it."""
    write_csv(make_table2(read_scores(arguments.scores)), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
