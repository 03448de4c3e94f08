"""Train the temporal-stream convnet on the flow of one split's training videos.

Reads optical flow and the index of the videos; writes the convnet's weights and its training
curves. Only training videos of the split are used, with `hold_out_validation` without those that
finetune_classifier holds out for validation.
"""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from video_lstm import artifacts
from video_lstm.command_line import TrainingCommandLine, run
from video_lstm.device import pick_device
from video_lstm.flow.storage import FlowStore
from video_lstm.percepts.temporal_stream import STACKS, TemporalStream, write_network
from video_lstm.sequences.labelled_clips import read_split, split_off_validation
from video_lstm.settings.base import Fraction
from video_lstm.settings.percepts import FlowConvnetSettings
from video_lstm.training.checkpoints import Checkpoint, remove_checkpoint
from video_lstm.training.flow_stacks import FlowStacks
from video_lstm.training.loop import train
from video_lstm.training.tensorboard import log_folder


class Arguments(TrainingCommandLine):
    """Training data, convnet and output."""

    videos: Path
    """Index of the labelled videos."""
    flow: list[Path]
    """Flow files of their clips, all shards."""
    split: int
    """Split of the labelled videos, counted from 1."""
    stream: Literal["flow1", "flow10"]
    """Input of the convnet: one flow field, or stacks of 10."""
    seed: int = 0
    """Random seed for weight initialisation and batch sampling."""
    flow_convnet: FlowConvnetSettings = FlowConvnetSettings()
    """Layers of the convnet, crops, and its training."""
    validation_fraction: Fraction = 0.2
    """Fraction of the training videos, in whole groups, that `hold_out_validation` leaves out."""
    output: Path
    """Artifact to write: weights, curves and settings of the flow."""


def main(arguments: Arguments) -> None:
    """Train the convnet and write the artifact."""
    settings, stack = arguments.flow_convnet, STACKS[arguments.stream]
    torch.set_num_threads(arguments.threads)
    device, device_name = pick_device(arguments.device)
    inputs = {f"flow{shard}": path for shard, path in enumerate(arguments.flow)}
    provenance = arguments.provenance({"videos": arguments.videos} | inputs, device_name)

    store = FlowStore(arguments.flow)
    labelled, _, data_set = read_split(arguments.videos, arguments.split, store.names)
    if settings.hold_out_validation:
        labelled, _ = split_off_validation(labelled, arguments.validation_fraction, arguments.seed)
    flow_stacks = FlowStacks(
        store, labelled.clips, labelled.labels, stack=stack, crop=settings.crop_size,
        seed=arguments.seed, device=device, threads=arguments.threads,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(arguments.seed)
    network = TemporalStream(stack, len(data_set.classes), settings, generator)
    network.scale.fill_(flow_stacks.rms_displacement())
    network.to(device)

    def loss(step: int) -> Tensor:
        stacks, targets = flow_stacks.batch(step, settings.training.batch_size)
        dropout_generator = torch.Generator(device).manual_seed(arguments.seed * 1_000_003 + step)
        return F.cross_entropy(network(stacks, dropout_generator), targets)

    attributes = provenance.attributes("flow_convnet")
    checkpoint = Checkpoint(
        arguments.checkpoints / f"{attributes['identity']}.ckpt.safetensors",
        arguments.checkpoint_seconds,
    )
    curves = train(
        network, loss, settings.training, checkpoint=checkpoint, unit="stacks",
        tensorboard=log_folder(arguments.tensorboard, arguments.output),
    )  # fmt: skip
    flow_stacks.close()
    with artifacts.create(arguments.output, "flow_convnet", provenance) as file:
        file.attrs.update(height=store.height, width=store.width, bound=store.bound)
        file.attrs["flow"] = store.settings
        write_network(file, network)
        artifacts.write_arrays(file, "curves", curves)
    remove_checkpoint(checkpoint.path)


if __name__ == "__main__":
    run(main, Arguments)
