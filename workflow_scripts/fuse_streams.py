"""Fuse two streams: average the class probabilities of their classifiers, with a weight.

The weight is chosen on validation videos, which were scored by classifiers that had not seen them;
the test videos are then fused with it.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.evaluation.fusion import choose_weight, fuse, fused_accuracy

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """What is fused."""

    first: Path
    """Scores of the test videos, by one stream (finetune_classifier)."""
    second: Path
    """By the other."""
    first_validated: list[Path]
    """Scores of the validation videos, one file per choice of settings."""
    second_validated: list[Path]
    """Of the other stream."""
    output: Path
    """Artifact to write, of the same kind: scores (draws, videos, classes), accuracy (draws)."""


def main(arguments: Arguments) -> None:
    """Choose the weight, fuse and write."""
    inputs = {"first": arguments.first, "second": arguments.second}
    for role in ("first_validated", "second_validated"):
        inputs |= {f"{role}_{n}": path for n, path in enumerate(getattr(arguments, role))}
    weight = choose_weight(arguments.first_validated, arguments.second_validated)
    first, second = fuse(arguments.first, arguments.second)
    accuracy = fused_accuracy(first.scores, second.scores, first.labels, weight)
    stream = f"{first.stream}+{second.stream}"
    logger.info("%s, weight %.2f: %.1f%%", stream, weight, 100 * accuracy.mean())
    with artifacts.create(arguments.output, "finetuned", arguments.provenance(inputs)) as file:
        names = ("dataset", "split", "variant", "labels")
        file.attrs.update(dict(zip(names, first.about, strict=True)))
        file.attrs.update(stream=stream, measure="accuracy", weight=weight)
        file["scores"] = weight * first.scores + (1 - weight) * second.scores
        file["video"], file["label"], file["accuracy"] = first.videos, first.labels, accuracy
        artifacts.write_arrays(file, "curves", {})


if __name__ == "__main__":
    run(main, Arguments)
