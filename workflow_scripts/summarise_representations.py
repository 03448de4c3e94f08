"""Sum up the scores of representations: means, 95% intervals, gains over untrained baselines.

Reads what score_representations wrote, of any number of data sets, splits and streams, and writes a
CSV file with one row per data set, stream, number of labelled videos per class, measure and
representation. Gains are paired: over the same labelled and test videos.
"""

from pathlib import Path

import pandas as pd

from command_line import CommandLine, run
from video_lstm.evaluation.representation_scores import read_scores, summarise
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """Where the scores are, and where the summary goes."""

    scores: list[Path]
    """What score_representations wrote."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read, sum up and write."""
    scores = pd.concat(map(read_scores, arguments.scores), ignore_index=True)
    write_csv(summarise(scores), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
