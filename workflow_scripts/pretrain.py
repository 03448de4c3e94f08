"""Pretrain an encoder-decoder on sequences without labels.

Reads percepts (of unlabelled videos and of a labelled set's training videos), patches, or Moving
MNIST digits, which are rendered on the fly. Writes the weights of one variant of the paper's
section 2 and its training curves. A killed job resumes from its checkpoint.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from video_lstm import artifacts
from video_lstm.command_line import TrainingCommandLine, run
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.digits import find_mnist_files, load_digits
from video_lstm.sequences.moving_mnist import MovingMNIST
from video_lstm.sequences.patches import Patches
from video_lstm.sequences.percepts import PerceptStore, PerceptWindows
from video_lstm.sequences.pixel_format import PixelFormat, digit_pixel_format
from video_lstm.settings.base import Fraction, Stream
from video_lstm.settings.sequences import MovingDigits
from video_lstm.settings.training import EncoderDecoderSettings, VariantName
from video_lstm.training import distributed
from video_lstm.training.checkpoints import Checkpoint, remove_checkpoint
from video_lstm.training.model_matching import matching_hidden_size, matching_steps
from video_lstm.training.percept_sources import PerceptSource, open_percept_corpus
from video_lstm.training.pretrained import save_pretrained
from video_lstm.training.pretraining import Sequences, model_arguments, pretrain
from video_lstm.training.tensorboard import log_folder
from video_lstm.training.training_summary import read_training_summary


class Arguments(TrainingCommandLine):
    """Model, training data and output."""

    variant: VariantName
    """Variant of the encoder-decoder."""
    source: Literal["percepts", "mnist", "patches"]
    """Training data."""
    output: Path
    """Artifact to write: weights and curves."""
    model: EncoderDecoderSettings = EncoderDecoderSettings()
    """Size of the encoder-decoder, numbers of input and future frames, training."""
    seed: int = 0
    """Random seed for weight initialisation and batch sampling."""
    unlabelled_percepts: list[Path] = Field(default_factory=list)
    """`percepts`: percept files of the unlabelled videos, all shards."""
    unlabelled_hours: Annotated[float, Field(ge=0)] | None = None
    """`percepts`: hours of unlabelled video to train on, in randomly drawn clips; default all."""
    labelled_percepts: list[Path] = Field(default_factory=list)
    """`percepts`: percept files of a labelled set, all shards."""
    videos: Path | None = None
    """Index of the labelled set."""
    split: int = 1
    """Split of the labelled set, of which only the training videos are used."""
    stream: Stream = "rgb"
    """`percepts`: stream of the percepts; `motion` reads RGB percepts minus their mean."""
    validation_fraction: Fraction = 0.1
    """`percepts`: fraction of the videos to hold out for validation."""
    mnist: MovingDigits = MovingDigits()
    """`mnist`: digits and their motion."""
    patches: Path | None = None
    """`patches`: artifact of cut_patches."""
    subtract_mean: bool = False
    """`patches`: subtract the mean of the input frames from each sequence."""
    match_parameters_of: Path | None = None
    """Pretrained model whose number of parameters is matched, in place of model.hidden_size."""
    match_seconds_of: Path | None = None
    """Pretrained model whose training time is matched, in place of model.training.steps."""
    speed_reference: Path | None = None
    """`match_seconds_of`: pretrained model of the same architecture, for the time per step."""


def main(arguments: Arguments) -> None:
    """Train the model and write the artifact."""
    torch.set_num_threads(max(arguments.threads // arguments.model.num_processes, 1))
    device, device_name = pick_device(arguments.device)
    reference_models = {
        name: path
        for name in ("match_parameters_of", "match_seconds_of", "speed_reference")
        if (path := getattr(arguments, name)) is not None
    }
    provenance = arguments.provenance(input_files(arguments) | reference_models, device_name)
    identity = provenance.attributes("pretrained")["identity"]
    checkpoint = Checkpoint(
        arguments.checkpoints / f"{identity}.ckpt.safetensors",
        arguments.checkpoint_seconds,
    )
    settings = arguments.model
    with distributed.process_group(device) as device:
        sequences, standardize, pixels = open_sequences(arguments, device)
        output = "logits" if arguments.source == "mnist" else "linear"
        model_options = model_arguments(
            arguments.variant,
            sequences.frame_size,
            output,
            settings,
            subtract_mean=arguments.subtract_mean,
        )
        if arguments.match_parameters_of:
            parameters = read_training_summary(arguments.match_parameters_of).parameters
            model_options["hidden_size"] = matching_hidden_size(model_options, parameters)
        if arguments.match_seconds_of:
            steps = matching_steps(
                arguments.match_seconds_of, required_path(arguments, "speed_reference")
            )
            training = settings.training.model_copy(update={"steps": steps})
            settings = settings.model_copy(update={"training": training})
        model, curves = pretrain(
            model_options, sequences, settings, standardize=standardize, seed=arguments.seed,
            device=device, checkpoint=checkpoint,
            tensorboard=log_folder(arguments.tensorboard, arguments.output),
        )  # fmt: skip
        if distributed.rank():
            return
    has_percepts = isinstance(sequences, PerceptWindows)
    with artifacts.create(arguments.output, "pretrained", provenance) as file:
        save_pretrained(
            file, model, source=arguments.source, arguments=model_options, standardize=standardize,
            pixels=pixels, stream=arguments.stream if has_percepts else None,
            percepts=getattr(sequences, "percept_provenance", None), curves=curves,
        )  # fmt: skip
        if has_percepts:
            file.attrs["unlabelled_hours"] = count_unlabelled_hours(arguments)
    remove_checkpoint(checkpoint.path)


def input_files(arguments: Arguments) -> dict[str, Path]:
    """Return the files that the training data consist of, by role."""
    if arguments.source == "mnist":
        return {path.name: path for path in find_mnist_files(arguments.mnist.source)}
    if arguments.source == "patches":
        return {"patches": required_path(arguments, "patches")}
    roles: dict[str, Path] = {}
    for source in percept_sources(arguments):
        name = "labelled" if source.videos else "unlabelled"
        roles |= {f"{name}_percepts_{shard}": path for shard, path in enumerate(source.percepts)}
        roles |= {"videos": source.videos} if source.videos else {}
    return roles


def open_sequences(
    arguments: Arguments, device: torch.device
) -> tuple[Sequences, Standardize | None, PixelFormat | None]:
    """Open the training data, with the standardisation of percepts or the format of pixels."""
    seed, frames = arguments.seed, arguments.model.input_frames + arguments.model.future_frames
    if arguments.source == "mnist":
        digits, _ = load_digits(arguments.mnist.source, arguments.mnist.digit_size)
        moving_mnist = MovingMNIST(digits, arguments.mnist, frames, seed, device)
        return moving_mnist, None, digit_pixel_format(arguments.mnist)
    if arguments.source == "percepts":
        motion_input_frames = arguments.model.input_frames if arguments.stream == "motion" else None
        corpus = open_percept_corpus(
            percept_sources(arguments),
            frames,
            arguments.validation_fraction,
            seed,
            device,
            motion_input_frames=motion_input_frames,
        )
        return *corpus, None
    patches = Patches(required_path(arguments, "patches"), "train", seed, device)
    if patches.frames != frames:
        raise UserError(
            f"{arguments.patches}: expected sequences of {frames} frames (input and future), found "
            f"{patches.frames}; run cut_patches with --frames {frames}"
        )
    return patches, None, patches.pixels


def percept_sources(arguments: Arguments) -> list[PerceptSource]:
    """Return the sources of percepts: unlabelled videos, a labelled set, or both."""
    sources = []
    if arguments.unlabelled_percepts:
        sources.append(
            PerceptSource(arguments.unlabelled_percepts, hours=arguments.unlabelled_hours)
        )
    if arguments.labelled_percepts:
        videos = required_path(arguments, "videos")
        sources.append(PerceptSource(arguments.labelled_percepts, videos, arguments.split))
    if not sources:
        raise UserError(
            "--unlabelled-percepts, --labelled-percepts: expected at least one of them for source "
            "'percepts', found neither; run extract_percepts and pass its files"
        )
    return sources


def count_unlabelled_hours(arguments: Arguments) -> float:
    """Return the hours of unlabelled video used, validation included; NaN without frame rate."""
    if not arguments.unlabelled_percepts or arguments.unlabelled_hours == 0:
        return 0.0
    store = PerceptStore(arguments.unlabelled_percepts)
    rows, _ = percept_sources(arguments)[0].rows(store, arguments.seed)
    rate = store.percept_provenance.get("rate", math.nan)
    return sum(store.length(row) for row in rows) / rate / 3600


def required_path(arguments: Arguments, name: str) -> Path:
    """Return the path given by a named option that the source requires."""
    path: Path | None = getattr(arguments, name)
    if path is None:
        option = f"--{name.replace('_', '-')}"
        raise UserError(
            f"{option}: expected a file, found none; pass the file that this source needs"
        )
    return path


if __name__ == "__main__":
    run(main, Arguments)
