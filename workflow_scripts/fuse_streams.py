"""Fuse streams: average the class probabilities of their classifiers, with weights.

The weights are chosen on validation videos, which the classifiers that score them were not trained
on, and then applied to the scores of the test videos.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.evaluation.fusion import accuracies, choose_weights, fuse, read_streams

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """What is fused."""

    finetuned: list[Path]
    """Scores of the test videos (finetune_classifier), one file a stream."""
    validated: list[Path]
    """Scores of the validation videos, for every stream one file per choice of settings."""
    output: Path
    """Artifact to write, of the same kind: scores (draws, videos, classes), accuracy (draws)."""


def main(arguments: Arguments) -> None:
    """Choose the weights, fuse and write."""
    inputs = {
        f"{role}_{number}": path
        for role in ("finetuned", "validated")
        for number, path in enumerate(getattr(arguments, role))
    }
    streams = read_streams(arguments.finetuned)
    names = [scored.stream for scored in streams]
    weights = choose_weights(names, arguments.validated)
    scores, first = fuse(streams, weights), streams[0]
    accuracy = accuracies(scores, first.video_labels)
    shares = ", ".join(f"{n} {w:.2f}" for n, w in zip(names, weights, strict=True))
    logger.info("weights %s: %.1f%%", shares, 100 * accuracy.mean())
    with artifacts.create(arguments.output, "finetuned", arguments.provenance(inputs)) as file:
        file.attrs.update(
            dataset=first.dataset, split=str(first.split), variant=first.variant,
            labels=first.labels, stream="+".join(names), measure="accuracy",
        )  # fmt: skip
        file.attrs["softmax_init"] = "/".join(
            dict.fromkeys(scored.softmax_init for scored in streams)
        )
        file.attrs["weights"] = weights
        file["scores"], file["accuracy"] = scores, accuracy
        file["video"], file["label"] = first.videos, first.video_labels
        artifacts.write_arrays(file, "curves", {})


if __name__ == "__main__":
    run(main, Arguments)
