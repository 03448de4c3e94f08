"""Train classifiers of videos from some labels per class, and score the test videos.

Reads the percepts of a labelled set and, but for `single_frame` and `lstm_baseline`, a pretrained
encoder-decoder. Draws labelled subsets of the split's training videos, trains a classifier on each,
and writes the class probabilities of every test video and the accuracy of each draw, and the first
draw's classifier, for classify_videos to apply to new videos. With
--validation-fraction a part of the training videos takes the place of the test videos, which then
play no part: so settings are chosen. A job that was killed goes on from its checkpoint.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from command_line import TrainingCommandLine, run
from video_lstm import artifacts
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.evaluation.classifier_scores import best_validated
from video_lstm.sequences.labelled_clips import (
    LabelledClips,
    read_split,
    split_off_validation,
)
from video_lstm.sequences.labelled_subsets import draw_labelled_subset
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.base import Fraction, Positive, Stream
from video_lstm.settings.training import ClassifierName, ClassifierSettings, Labels
from video_lstm.training.checkpoints import Checkpoint, remove_checkpoint
from video_lstm.training.finetuning import (
    ClassifierBuilder,
    finetune,
    pretrained_classifier_builder,
    save_classifier,
    score_videos,
    untrained_classifier_builder,
)
from video_lstm.training.tensorboard import log_folder

logger = logging.getLogger("video_lstm")
_WEIGHTS = "weights."


class Arguments(TrainingCommandLine):
    """Which classifier, from what."""

    videos: Path
    """Index of the labelled set."""
    percepts: list[Path]
    """Their percepts, all shards."""
    pretrained: Path | None = None
    """Encoder-decoder that the classifier starts from."""
    output: Path
    """Artifact to write: scores (draws, videos, classes), accuracy (draws), curves."""
    dataset: str
    """Name of the labelled set."""
    stream: Stream
    """Which percepts these are."""
    split: Positive = 1
    """Split of the labelled set."""
    variant: ClassifierName
    """The classifier: what its encoder was pretrained as, or one of two without pretraining."""
    labels: Labels
    """Labelled videos per class, or all."""
    hidden_size: Positive = 2048
    """LSTM units of a layer of `lstm_baseline`."""
    num_layers: Positive = 2
    """Layers of `lstm_baseline`."""
    finetuning: ClassifierSettings = ClassifierSettings()
    """Draws, blocks, dropout and training of the classifiers."""
    validation_fraction: Fraction | None = None
    """Score this share of the training videos, in whole groups, and train on the others."""
    validated: list[Path] = Field(default_factory=list)
    """What this script made with --validation-fraction and other settings: those of the best are
    taken, in place of --finetuning."""
    seed: int = 0
    """Random seed for labelled subsets, weight initialisation and batch sampling."""


def main(arguments: Arguments) -> None:
    """Train every draw, and write the artifact."""
    torch.set_num_threads(max(arguments.threads, 1))
    device, device_name = pick_device(arguments.device)
    provenance = arguments.provenance(inputs(arguments), device_name)
    key = provenance.attributes("finetuned")["identity"]
    settings, store = arguments.finetuning, PerceptStore(arguments.percepts)
    if arguments.validated:
        best = best_validated(arguments.validated)
        with artifacts.open_artifact(best, "finetuned") as file:
            settings = ClassifierSettings.model_validate_json(file.attrs["finetuning"])
        logger.info("settings chosen by validation: %s", best)
    train, test, data_set = read_split(arguments.videos, arguments.split, store)
    measure = "accuracy"
    if arguments.validation_fraction is not None:
        measure = "validation_accuracy"
        train, test = split_off_validation(train, arguments.validation_fraction, arguments.seed)
    fewest = np.bincount(train.labels, minlength=len(data_set.classes))
    if arguments.labels != "all" and fewest.min() < arguments.labels:
        logger.warning(
            "finetuning.labels: %d per class are more than there are: class '%s' has %d training "
            "videos, and gives all of them",
            arguments.labels, data_set.classes[fewest.argmin()], fewest.min(),
        )  # fmt: skip
    build = builder(arguments, settings, store, train, len(data_set.classes))
    logs = log_folder(arguments.tensorboard, arguments.output)

    scores, curves, weights, draw_files = [], {}, {}, []
    for draw in range(settings.num_draws):
        draw_files.append(arguments.checkpoints / f"{key}.{draw}.npz")
        if not draw_files[draw].exists():
            chosen = train[
                draw_labelled_subset(train.labels, arguments.labels, arguments.seed, draw)
            ]
            checkpoint = Checkpoint(
                arguments.checkpoints / f"{key}.{draw}.ckpt.safetensors",
                arguments.checkpoint_seconds,
            )
            model, attributes = finetune(
                build, store, chosen.clips, chosen.labels, train.clips, settings,
                seed=arguments.seed, draw=draw, device=device, checkpoint=checkpoint,
                tensorboard=logs and logs / f"draw{draw}",
            )  # fmt: skip
            scored = score_videos(
                model, store, test.clips, settings.block_frames, settings.block_stride
            )
            if draw == 0 and arguments.validation_fraction is None:
                attributes |= {
                    f"{_WEIGHTS}{k}": v.cpu().numpy() for k, v in model.state_dict().items()
                }
            keep(draw_files[draw], attributes | {"scores": scored})
            remove_checkpoint(checkpoint.path)
        with np.load(draw_files[draw]) as attributes:
            scores.append(attributes["scores"])
            for name in attributes.files:
                if name.startswith(_WEIGHTS):
                    weights[name.removeprefix(_WEIGHTS)] = attributes[name]
                elif name != "scores":
                    curves[f"{name}_{draw}"] = attributes[name]
    accuracy = (np.stack(scores).argmax(2) == test.labels).mean(1)
    mean = f"{100 * accuracy.mean():.1f}% +- {100 * accuracy.std():.1f}"
    logger.info("%s: %s over %d draws, %d videos", measure, mean, len(scores), len(test))
    with artifacts.create(arguments.output, "finetuned", provenance) as file:
        attributes = arguments.model_dump(include={"dataset", "stream", "split", "variant"})
        file.attrs.update(attributes | {"labels": str(arguments.labels), "measure": measure})
        file.attrs.update(finetuning=settings.model_dump_json(), softmax_init=settings.softmax_init)
        file["scores"] = np.stack(scores)
        file["video"], file["label"] = test.rows, test.labels
        file["accuracy"] = accuracy
        artifacts.write_arrays(file, "curves", curves)
        if weights:
            save_classifier(file, weights, data_set.classes, store.percept_provenance)
    for path in draw_files:
        path.unlink()


def inputs(arguments: Arguments) -> dict[str, Path]:
    """The files that the scores follow from, by role."""
    roles = {"videos": arguments.videos}
    roles |= {f"percepts_{shard}": path for shard, path in enumerate(arguments.percepts)}
    roles |= {f"validated_{choice}": path for choice, path in enumerate(arguments.validated)}
    return roles | ({"pretrained": arguments.pretrained} if arguments.pretrained else {})


def builder(
    arguments: Arguments,
    settings: ClassifierSettings,
    store: PerceptStore,
    train: LabelledClips,
    classes: int,
) -> ClassifierBuilder:
    """How the classifier that is asked for is built."""
    pretrained = arguments.variant not in ("single_frame", "lstm_baseline")
    if pretrained != (arguments.pretrained is not None):
        needs, actual = ("a file", "none") if pretrained else ("none", arguments.pretrained)
        raise UserError(f"--pretrained: expected {needs} for {arguments.variant}, found {actual}")
    if arguments.pretrained:
        return pretrained_classifier_builder(
            arguments.pretrained, arguments.variant, arguments.stream, store.dim, classes, settings
        )
    return untrained_classifier_builder(
        arguments.variant, arguments.stream, (store, train.clips), classes, arguments.hidden_size,
        arguments.num_layers, settings,
    )  # fmt: skip


def keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Keep what a draw made, whole or not at all, for a killed job to go on after it."""
    with artifacts.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


if __name__ == "__main__":
    run(main, Arguments)
