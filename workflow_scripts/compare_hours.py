"""Tabulate accuracy against the hours of unlabelled video that a model was pretrained on.

Reads classifiers on encoders that were pretrained on different amounts of unlabelled video, these
encoders, and `lstm_baseline` on the same labelled videos, which each is compared with draw by draw.
Writes a CSV file with a row per data set, stream, number of labels and amount of video.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.artifacts import identity, open_artifact
from video_lstm.evaluation.accuracy import hours_table
from video_lstm.evaluation.classifier_scores import read_classifier_accuracy
from video_lstm.evaluation.tables import collect_scores, write_csv


class Arguments(CommandLine):
    """What to compare."""

    finetuned: list[Path]
    """Classifiers on top of pretrained encoders (finetune_classifier)."""
    pretrained: list[Path]
    """The encoder-decoders that they start from (pretrain)."""
    baseline: list[Path]
    """The same without pretraining: `lstm_baseline`."""
    output: Path
    """The CSV file to write."""


def main(arguments: Arguments) -> None:
    """Read and write."""
    hours = {}
    for path in arguments.pretrained:
        with open_artifact(path, "pretrained") as file:
            hours[identity(path)] = round(float(file.attrs["unlabelled_hours"]), 4)
    classifiers: dict[float, dict[tuple[str | int, ...], Path]] = {}
    for path in arguments.finetuned:
        classifier = read_classifier_accuracy(path)
        key = (classifier.dataset, classifier.split, classifier.stream, classifier.variant,
               classifier.labels)  # fmt: skip
        # Amounts beyond the available video are pretrained on the same clips: one amount.
        classifiers.setdefault(hours[classifier.inputs["pretrained"]], {})[key] = path
    scores = {
        amount: collect_scores(list(paths.values()), []) for amount, paths in classifiers.items()
    }
    table = hours_table(scores, collect_scores(arguments.baseline, []))
    write_csv(table, arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
