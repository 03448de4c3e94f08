"""Sum up the accuracies: mean, deviation and 95% interval, and the gain over lstm_baseline.

Reads the collected scores and writes a CSV file with one row per data set, stream, number of
labelled videos per class, and model. Gains are paired: over the same labelled videos.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.accuracy import summarise
from video_lstm.evaluation.tables import read_scores, write_csv


class Arguments(CommandLine):
    """Where the scores are, and where the summary goes."""

    scores: Path
    """The scores that collect_scores wrote."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read, sum up and write."""
    write_csv(summarise(read_scores(arguments.scores)), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
