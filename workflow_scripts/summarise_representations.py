"""Summarise the scores of representations: means, 95% intervals, gains over untrained baselines.

Reads the scores of any number of data sets, splits and streams and writes a CSV file with one row
per data set, stream, number of labelled videos per class, measure and representation. Gains are
paired, over the same labelled and test videos.
"""

from pathlib import Path

import pandas as pd

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.representation_summaries import (
    read_representation_scores,
    summarise_representation_scores,
)
from video_lstm.evaluation.tables import write_csv


class Arguments(CommandLine):
    """Scores and output."""

    scores: list[Path]
    """Tables of score_representations, CSV."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Summarise the scores and write the table."""
    scores = pd.concat(map(read_representation_scores, arguments.scores), ignore_index=True)
    write_csv(summarise_representation_scores(scores), arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
