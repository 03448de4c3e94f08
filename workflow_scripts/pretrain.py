"""Train an encoder-decoder on sequences without labels.

Reads percepts of the unlabelled pile and of a labelled set's training videos, or digits that it
moves itself, or patches; makes the weights of one variant of the paper's section 2, and the curves
of its training. A job that was killed goes on from its checkpoint.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from command_line import TrainingCommandLine, run
from video_lstm import artifacts
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
    """What to learn, from what."""

    variant: VariantName
    """Which encoder-decoder."""
    source: Literal["percepts", "mnist", "patches"]
    """What it learns from."""
    output: Path
    """Artifact to write: weights and curves."""
    model: EncoderDecoderSettings = EncoderDecoderSettings()
    """Size of the encoder-decoder, what it sees and predicts, and its training."""
    seed: int = 0
    """Random seed for weight initialisation and batch sampling."""
    unlabelled_percepts: list[Path] = Field(default_factory=list)
    """`percepts`: those of the pile, all shards."""
    unlabelled_hours: Annotated[float, Field(ge=0)] | None = None
    """`percepts`: learn from so much of the pile only, in clips drawn at random; by default from
    all of it."""
    labelled_percepts: list[Path] = Field(default_factory=list)
    """`percepts`: those of a labelled set, all shards."""
    videos: Path | None = None
    """Index of the labelled set."""
    split: int = 1
    """Split of the labelled set; only its training videos are learned from."""
    stream: Stream = "rgb"
    """`percepts`: which they are; those of `motion` are RGB percepts, read as movement."""
    validation_fraction: Fraction = 0.1
    """`percepts`: share of the videos that is kept for validation."""
    mnist: MovingDigits = MovingDigits()
    """`mnist`: the digits, and how they move."""
    patches: Path | None = None
    """`patches`: what cut_patches has cut."""
    subtract_mean: bool = False
    """`patches`: read each sequence around the mean of the frames that are seen of it."""
    match_parameters_of: Path | None = None
    """A pretrained model: this one has as many parameters, whatever model.units says."""
    match_seconds_of: Path | None = None
    """A pretrained model: this one is trained for as long as that was, ..."""
    speed_reference: Path | None = None
    """... as told by the speed of this pretrained model, which is built as this one is."""


def main(arguments: Arguments) -> None:
    """Train, and write the artifact."""
    torch.set_num_threads(max(arguments.threads // arguments.model.num_processes, 1))
    device, device_name = pick_device(arguments.device)
    others = {
        name: path
        for name in ("match_parameters_of", "match_seconds_of", "speed_reference")
        if (path := getattr(arguments, name)) is not None
    }
    provenance = arguments.provenance(inputs(arguments) | others, device_name)
    identity = provenance.attributes("pretrained")["identity"]
    checkpoint = Checkpoint(
        arguments.checkpoints / f"{identity}.ckpt.safetensors",
        arguments.checkpoint_seconds,
    )
    settings = arguments.model
    with distributed.process_group(device) as device:
        sequences, standardize, pixels = source(arguments, device)
        output = "logits" if arguments.source == "mnist" else "linear"
        built = model_arguments(
            arguments.variant,
            sequences.frame_size,
            output,
            settings,
            subtract_mean=arguments.subtract_mean,
        )
        if arguments.match_parameters_of:
            parameters = read_training_summary(arguments.match_parameters_of).parameters
            built["hidden_size"] = matching_hidden_size(built, parameters)
        if arguments.match_seconds_of:
            steps = matching_steps(
                arguments.match_seconds_of, required_path(arguments, "speed_reference")
            )
            training = settings.training.model_copy(update={"steps": steps})
            settings = settings.model_copy(update={"training": training})
        model, curves = pretrain(
            built, sequences, settings, standardize=standardize, seed=arguments.seed,
            device=device, checkpoint=checkpoint,
            tensorboard=log_folder(arguments.tensorboard, arguments.output),
        )  # fmt: skip
        if distributed.rank():
            return
    of_percepts = isinstance(sequences, PerceptWindows)
    with artifacts.create(arguments.output, "pretrained", provenance) as file:
        save_pretrained(
            file, model, source=arguments.source, arguments=built, standardize=standardize,
            pixels=pixels, stream=arguments.stream if of_percepts else None,
            percepts=getattr(sequences, "percept_provenance", None), curves=curves,
        )  # fmt: skip
        if of_percepts:
            file.attrs["unlabelled_hours"] = unlabelled_hours(arguments)
    remove_checkpoint(checkpoint.path)


def inputs(arguments: Arguments) -> dict[str, Path]:
    """The files of the source that is asked for, by role."""
    if arguments.source == "mnist":
        return {path.name: path for path in find_mnist_files(arguments.mnist.source)}
    if arguments.source == "patches":
        return {"patches": required_path(arguments, "patches")}
    roles: dict[str, Path] = {}
    for pile in percept_sources(arguments):
        name = "labelled" if pile.videos else "unlabelled"
        roles |= {f"{name}_percepts_{shard}": path for shard, path in enumerate(pile.percepts)}
        roles |= {"videos": pile.videos} if pile.videos else {}
    return roles


def source(
    arguments: Arguments, device: torch.device
) -> tuple[Sequences, Standardize | None, PixelFormat | None]:
    """What is learned from: percepts and what they are read through, or pictures of what kind."""
    seed, frames = arguments.seed, arguments.model.input_frames + arguments.model.future_frames
    if arguments.source == "mnist":
        digits, _ = load_digits(arguments.mnist.source, arguments.mnist.digit_size)
        digits_in_motion = MovingMNIST(digits, arguments.mnist, frames, seed, device)
        return digits_in_motion, None, digit_pixel_format(arguments.mnist)
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
            f"{arguments.patches}: expected sequences of {frames} frames, input and future, found "
            f"{patches.frames}; cut them with --frames {frames}"
        )
    return patches, None, patches.pixels


def percept_sources(arguments: Arguments) -> list[PerceptSource]:
    """What percepts there are to learn from."""
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
            "--unlabelled-percepts, --labelled-percepts: expected one of them for source "
            "'percepts', found neither; extract percepts and name the files"
        )
    return sources


def unlabelled_hours(arguments: Arguments) -> float:
    """How much of the pile was learned from, validation included; NaN for clips of any rate."""
    if not arguments.unlabelled_percepts or arguments.unlabelled_hours == 0:
        return 0.0
    store = PerceptStore(arguments.unlabelled_percepts)
    rows, _ = percept_sources(arguments)[0].rows(store, arguments.seed)
    rate = store.percept_provenance.get("rate", math.nan)
    return sum(store.length(row) for row in rows) / rate / 3600


def required_path(arguments: Arguments, name: str) -> Path:
    """A file that the source cannot do without."""
    path: Path | None = getattr(arguments, name)
    if path is None:
        option = f"--{name.replace('_', '-')}"
        raise UserError(f"{option}: expected a file, found none; this source needs it")
    return path


if __name__ == "__main__":
    run(main, Arguments)
