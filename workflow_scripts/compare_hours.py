"""Tabulate accuracy against the hours of unlabelled video that a model was pretrained on.

Reads encoder-decoders that were pretrained on different amounts of unlabelled video, classifiers
that start from them, and `lstm_baseline` on the same labelled videos. Gains over this baseline are
paired, draw by draw. Writes a CSV file with one row per data set, stream, number of labels and
amount of video.
"""

from pathlib import Path

from video_lstm.artifacts import identity, open_artifact
from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.accuracy import tabulate_hours
from video_lstm.evaluation.classifier_scores import read_classifier_accuracy
from video_lstm.evaluation.tables import collect_scores, write_csv


class Arguments(CommandLine):
    """Models and output."""

    finetuned: list[Path]
    """Artifacts of finetune_classifier that start from pretrained encoders."""
    pretrained: list[Path]
    """Artifacts of pretrain that these classifiers start from."""
    baseline: list[Path]
    """Artifacts of finetune_classifier without pretraining: `lstm_baseline`."""
    output: Path
    """CSV file to write."""


def main(arguments: Arguments) -> None:
    """Tabulate accuracy against hours of video and write the table."""
    hours = {}
    for path in arguments.pretrained:
        with open_artifact(path, "pretrained") as file:
            hours[identity(path)] = round(float(file.attrs["unlabelled_hours"]), 4)
    classifiers: dict[float, dict[tuple[str | int, ...], Path]] = {}
    for path in arguments.finetuned:
        classifier = read_classifier_accuracy(path)
        key = (classifier.dataset, classifier.split, classifier.stream, classifier.variant,
               classifier.labels)  # fmt: skip
        # Amounts that exceed the available video give the same clips, and count as one amount.
        classifiers.setdefault(hours[classifier.inputs["pretrained"]], {})[key] = path
    scores = {
        amount: collect_scores(list(paths.values()), []) for amount, paths in classifiers.items()
    }
    table = tabulate_hours(scores, collect_scores(arguments.baseline, []))
    write_csv(table, arguments.output, decimals=4)


if __name__ == "__main__":
    run(main, Arguments)
