"""Summarise the accuracies: mean, deviation and 95% interval, and the gain over lstm_baseline.

Reads the scores of a run and writes a CSV file with one row per data set, stream, number of
labelled videos per class, and model. Gains are paired, over the same labelled videos.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.accuracy import summarise_accuracy
from video_lstm.evaluation.tables import read_scores, write_csv


class Arguments(CommandLine):
    """Scores and output."""

    scores: Path
    """Scores of the run (collect_scores), CSV."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Summarise the scores and write the table."""
    write_csv(summarise_accuracy(read_scores(arguments.scores)), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
