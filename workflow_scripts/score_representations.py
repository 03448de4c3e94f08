"""Score frozen representations of videos: nearest neighbours, a linear probe, retrieval.

Reads the representations of one data set, split and stream by all variants. Writes a CSV file with
one row per draw of the labelled subset or, if all labels are used, per group of test videos. The
number of neighbours, the regularisation of the probe and the part of the representation are chosen
on validation videos.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from video_lstm.command_line import CommandLine, run
from video_lstm.errors import UserError
from video_lstm.evaluation.representation_scores import read_representations, score_representation
from video_lstm.evaluation.tables import write_csv
from video_lstm.settings.base import Fraction, Positive
from video_lstm.settings.training import Labels
from video_lstm.video.labelled_videos import read_labelled_videos

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Representations, labelled subsets and output."""

    representations: list[Path]
    """Artifacts of encode_videos, of one data set, split and stream."""
    videos: Path
    """Index of the labelled set."""
    output: Path
    """CSV file to write."""
    labels: list[Labels]
    """Labelled videos per class, one or more numbers or "all"."""
    draws: list[Positive]
    """Number of draws of the labelled subset, for each of --labels."""
    validation_fraction: Fraction = 0.2
    """Fraction of the training videos that choices are validated on, in whole groups."""
    seed: int = 0
    """Random seed for labelled subsets and validation sets, as in finetune_classifier."""


def main(arguments: Arguments) -> None:
    """Score the representations in parallel and write the scores."""
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
                f"{path}: expected representations of '{arguments.videos.stem}', the data set of "
                f"{arguments.videos}, found those of '{representations.dataset}'; name files of "
                "one data set"
            )
        labelled = read_labelled_videos(arguments.videos, representations.split)
        scores = score_representation(
            representations, labelled, draws, arguments.validation_fraction, arguments.seed
        )
        logger.info("%s: scored", representations.variant)
        return scores

    # One thread per representation, so that the order of sums does not depend on --threads.
    with threadpool_limits(1), ThreadPoolExecutor(arguments.threads) as pool:
        tables = list(pool.map(score_one, arguments.representations))
    write_csv(pd.concat(tables), arguments.output, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
