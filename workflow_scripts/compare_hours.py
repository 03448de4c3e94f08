"""Tabulate accuracy against the hours of unlabelled video that a model was pretrained on.

Reads classifiers on encoders that were pretrained on different amounts of unlabelled video, these
encoders, and `lstm_baseline` on the same labelled videos, which each is compared with draw by draw.
Writes a CSV file with a row per data set, stream, number of labels and amount of video.
"""

import json
from pathlib import Path

from command_line import CommandLine, run
from video_lstm.artifacts import identity, open_artifact
from video_lstm.evaluation.accuracy import hours_table
from video_lstm.evaluation.tables import collect_scores, write_csv


class Arguments(CommandLine):
    """What to compare."""

    finetuned: list[Path]
    """Classifiers."""
    pretrained: list[Path]
    """The encoder-decoders that they start from."""
    baseline: list[Path]
    """Classifiers without pretraining."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read and write."""
    hours = {}
    for path in arguments.pretrained:
        with open_artifact(path, "pretrained") as file:
            hours[identity(path)] = round(float(file.attrs["unlabelled_hours"]), 4)
    classifiers: dict[float, list[Path]] = {}
    for path in arguments.finetuned:
        with open_artifact(path, "finetuned") as file:
            encoder = json.loads(file.attrs["inputs"])["pretrained"]
        classifiers.setdefault(hours[encoder], []).append(path)
    scores = {amount: collect_scores(paths, []) for amount, paths in classifiers.items()}
    table = hours_table(scores, collect_scores(arguments.baseline, []))
    write_csv(table, arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
