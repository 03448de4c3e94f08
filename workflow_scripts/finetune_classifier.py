"""Train video classifiers on labelled subsets and score the test videos.

Reads the percepts of a labelled set and, except for `single_frame` and `lstm_baseline`, a
pretrained encoder-decoder. Draws labelled subsets of the split's training videos and trains a
classifier on each. Writes the class probabilities of every test video, the accuracy of each draw,
and the first draw's classifier, which classify_videos applies to new videos. With
--validation-fraction a part of the training videos is scored in place of the test videos, to choose
settings. A killed job resumes from its checkpoint.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from video_lstm import artifacts
from video_lstm.command_line import TrainingCommandLine, run
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.evaluation.classifier_scores import select_best_classifier
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
    baseline_classifier_builder,
    finetune,
    pretrained_classifier_builder,
    save_classifier,
    score_videos,
)
from video_lstm.training.tensorboard import log_folder

logger = logging.getLogger("video_lstm")
_WEIGHTS_PREFIX = "weights."


class Arguments(TrainingCommandLine):
    """Classifier, training data and output."""

    videos: Path
    """Index of the labelled set."""
    percepts: list[Path]
    """Percept files of the labelled set, all shards."""
    pretrained: Path | None = None
    """Encoder-decoder that the classifier starts from."""
    output: Path
    """Artifact to write: scores (draws, videos, classes), accuracy (draws), curves."""
    dataset: str
    """Name of the labelled set."""
    stream: Stream
    """Stream of the percepts."""
    split: Positive = 1
    """Split of the labelled set."""
    variant: ClassifierName
    """Classifier: variant of the pretrained encoder, or a baseline without pretraining."""
    labels: Labels
    """Labelled videos per class, or all."""
    hidden_size: Positive = 2048
    """LSTM units per layer of `lstm_baseline`."""
    num_layers: Positive = 2
    """LSTM layers of `lstm_baseline`."""
    finetuning: ClassifierSettings = ClassifierSettings()
    """Draws, blocks, dropout and training of the classifiers."""
    validation_fraction: Fraction | None = None
    """Fraction of the training videos, in whole groups, to score in place of the test videos."""
    validated: list[Path] = Field(default_factory=list)
    """Artifacts of this script with --validation-fraction and several settings; the best settings
    replace --finetuning."""
    seed: int = 0
    """Random seed for labelled subsets, weight initialisation and batch sampling."""


def main(arguments: Arguments) -> None:
    """Train a classifier per draw and write the artifact."""
    torch.set_num_threads(max(arguments.threads, 1))
    device, device_name = pick_device(arguments.device)
    provenance = arguments.provenance(input_files(arguments), device_name)
    identity = provenance.attributes("finetuned")["identity"]
    settings, store = arguments.finetuning, PerceptStore(arguments.percepts)
    if arguments.validated:
        best_path = select_best_classifier(arguments.validated)
        with artifacts.open_artifact(best_path, "finetuned") as file:
            settings = ClassifierSettings.model_validate_json(file.attrs["finetuning"])
        logger.info("settings with the best validation accuracy: %s", best_path)
    train, test, data_set = read_split(arguments.videos, arguments.split, store.names)
    measure = "accuracy"
    if arguments.validation_fraction is not None:
        measure = "validation_accuracy"
        train, test = split_off_validation(train, arguments.validation_fraction, arguments.seed)
    class_counts = np.bincount(train.labels, minlength=len(data_set.classes))
    if arguments.labels != "all" and class_counts.min() < arguments.labels:
        logger.warning(
            "finetuning.labels: %d per class are more than there are: class '%s' has %d training "
            "videos, all of which are used",
            arguments.labels, data_set.classes[class_counts.argmin()], class_counts.min(),
        )  # fmt: skip
    build = classifier_builder(arguments, settings, store, train, len(data_set.classes))
    logs = log_folder(arguments.tensorboard, arguments.output)

    scores, curves, weights, draw_files = [], {}, {}, []
    for draw in range(settings.num_draws):
        draw_files.append(arguments.checkpoints / f"{identity}.{draw}.npz")
        if not draw_files[draw].exists():
            labelled = train[
                draw_labelled_subset(train.labels, arguments.labels, arguments.seed, draw)
            ]
            checkpoint = Checkpoint(
                arguments.checkpoints / f"{identity}.{draw}.ckpt.safetensors",
                arguments.checkpoint_seconds,
            )
            model, arrays = finetune(
                build, store, labelled.clips, labelled.labels, train.clips, settings,
                seed=arguments.seed, draw=draw, device=device, checkpoint=checkpoint,
                tensorboard=logs and logs / f"draw{draw}",
            )  # fmt: skip
            draw_scores = score_videos(
                model, store, test.clips, settings.block_frames, settings.block_stride
            )
            if draw == 0 and arguments.validation_fraction is None:
                arrays |= {
                    f"{_WEIGHTS_PREFIX}{k}": v.cpu().numpy() for k, v in model.state_dict().items()
                }
            save_draw(draw_files[draw], arrays | {"scores": draw_scores})
            remove_checkpoint(checkpoint.path)
        with np.load(draw_files[draw]) as draw_arrays:
            scores.append(draw_arrays["scores"])
            for name in draw_arrays.files:
                if name.startswith(_WEIGHTS_PREFIX):
                    weights[name.removeprefix(_WEIGHTS_PREFIX)] = draw_arrays[name]
                elif name != "scores":
                    curves[f"{name}_{draw}"] = draw_arrays[name]
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


def input_files(arguments: Arguments) -> dict[str, Path]:
    """Return the files that the scores depend on, by role."""
    roles = {"videos": arguments.videos}
    roles |= {f"percepts_{shard}": path for shard, path in enumerate(arguments.percepts)}
    roles |= {f"validated_{choice}": path for choice, path in enumerate(arguments.validated)}
    return roles | ({"pretrained": arguments.pretrained} if arguments.pretrained else {})


def classifier_builder(
    arguments: Arguments,
    settings: ClassifierSettings,
    store: PerceptStore,
    train: LabelledClips,
    classes: int,
) -> ClassifierBuilder:
    """Return the builder of the classifier that the options name."""
    is_pretrained = arguments.variant not in ("single_frame", "lstm_baseline")
    if is_pretrained != (arguments.pretrained is not None):
        expected, actual = ("a file", "none") if is_pretrained else ("none", arguments.pretrained)
        change = "add" if is_pretrained else "remove"
        raise UserError(
            f"--pretrained: expected {expected} for {arguments.variant}, found {actual}; {change} "
            "the option"
        )
    if arguments.pretrained:
        return pretrained_classifier_builder(
            arguments.pretrained, arguments.variant, arguments.stream, store.dim, classes, settings
        )
    return baseline_classifier_builder(
        arguments.variant, arguments.stream, store, train.clips, classes, arguments.hidden_size,
        arguments.num_layers, settings,
    )  # fmt: skip


def save_draw(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the results of a draw atomically, so that a killed job can resume after it."""
    with artifacts.atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


if __name__ == "__main__":
    run(main, Arguments)
