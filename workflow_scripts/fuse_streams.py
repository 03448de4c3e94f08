"""Fuse streams by a weighted mean of the class probabilities of their classifiers.

The weights are chosen on validation videos, which the classifiers were not trained on, and applied
to the scores of the test videos.
"""

import logging
from pathlib import Path

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.fusion import (
    choose_weights,
    compute_accuracies,
    fuse_scores,
    read_streams,
)

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Classifiers and output."""

    finetuned: list[Path]
    """Scores of the test videos (finetune_classifier), one file per stream."""
    validated: list[Path]
    """Scores of the validation videos, one file per stream and choice of settings."""
    output: Path
    """Artifact to write: scores (draws, videos, classes), accuracy (draws)."""


def main(arguments: Arguments) -> None:
    """Choose the weights, fuse the scores and write them."""
    inputs = {
        f"{role}_{number}": path
        for role in ("finetuned", "validated")
        for number, path in enumerate(getattr(arguments, role))
    }
    streams = read_streams(arguments.finetuned)
    names = [classifier.stream for classifier in streams]
    weights = choose_weights(names, arguments.validated)
    scores, first = fuse_scores(streams, weights), streams[0]
    accuracy = compute_accuracies(scores, first.video_labels)
    weight_list = ", ".join(f"{n} {w:.2f}" for n, w in zip(names, weights, strict=True))
    logger.info("weights %s: %.1f%%", weight_list, 100 * accuracy.mean())
    with artifacts.create(arguments.output, "finetuned", arguments.provenance(inputs)) as file:
        file.attrs.update(
            dataset=first.dataset, split=str(first.split), variant=first.variant,
            labels=first.labels, stream="+".join(names), measure="accuracy",
        )  # fmt: skip
        file.attrs["softmax_init"] = "/".join(
            dict.fromkeys(classifier.softmax_init for classifier in streams)
        )
        file.attrs["weights"] = weights
        file["scores"], file["accuracy"] = scores, accuracy
        file["video"], file["label"] = first.videos, first.video_labels
        artifacts.write_arrays(file, "curves", {})


if __name__ == "__main__":
    run(main, Arguments)
