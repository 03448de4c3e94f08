"""Score frozen representations of videos: nearest neighbours, a linear probe, retrieval.

Reads what encode_videos wrote, of every variant of one data set, split and stream, and writes a CSV
file with a line for each independent number: a draw of the labelled videos, or a group of test
videos. What can be chosen is chosen on validation videos, of the training groups.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from command_line import CommandLine, run
from video_lstm.errors import UserError
from video_lstm.evaluation.representation_scores import read_representations, score
from video_lstm.evaluation.tables import write_csv
from video_lstm.settings.base import Fraction, Positive
from video_lstm.settings.training import Labels
from video_lstm.video.labelled_videos import read_labelled_videos

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """What is scored, and how."""

    representations: list[Path]
    """Artifacts of encode_videos, of one data set, split and stream."""
    videos: Path
    """Index of the labelled set."""
    output: Path
    """The CSV file to write."""
    labels: list[Labels]
    """Labelled videos per class to learn from; "all" of them."""
    draws: list[Positive]
    """How often the labelled subsets are drawn, for each of --labels."""
    validation_fraction: Fraction = 0.2
    """Share of the training videos, in whole groups, that choices are made on."""
    seed: int = 0
    """Random seed for labelled subsets and validation cuts, as in finetune_classifier."""


def main(arguments: Arguments) -> None:
    """Score each representation, several at a time."""
    if len(arguments.draws) != len(arguments.labels):
        raise UserError(
            f"--draws: expected a number for each of --labels {arguments.labels}, found "
            f"{arguments.draws}"
        )
    draws = dict(zip(arguments.labels, arguments.draws, strict=True))

    def score_one(path: Path) -> pd.DataFrame:
        representations = read_representations(path)
        if representations.dataset != arguments.videos.stem:
            raise UserError(
                f"{path}: expected representations of '{arguments.videos.stem}', which the index "
                f"is of, found those of '{representations.dataset}'; name files of one data set"
            )
        labelled = read_labelled_videos(arguments.videos, representations.split)
        scores = score(
            representations, labelled, draws, arguments.validation_fraction, arguments.seed
        )
        logger.info("%s: scored", representations.variant)
        return scores

    # A thread of its own for each: the same sums in the same order, however many threads there are.
    with threadpool_limits(1), ThreadPoolExecutor(arguments.threads) as pool:
        tables = list(pool.map(score_one, arguments.representations))
    write_csv(pd.concat(tables), arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
