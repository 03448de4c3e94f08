r"""Compute representations of videos with a frozen encoder.

A block of 16 frames is represented by the encoder's state after its last frame (`state`: h and c of
every layer) and the mean output of its top layer (`mean`); a video by their means over its blocks.
Reads the percepts of a data set, or video files and a pretrained encoder-decoder, whose kind of
percepts it then extracts. Writes an artifact (.h5) with the blocks and the videos, the same as
arrays (.npz), or a table with a row per video (.csv).

    python workflow_scripts/encode_videos.py --files new/*.mp4 --output new.npz \
      --pretrained results/pretrain/demo_split1/motion/composite.h5
"""

import logging
import tempfile
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pandas as pd
import torch
from pydantic import Field

from video_lstm import artifacts
from video_lstm.command_line import NewVideosCommandLine, run
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.evaluation.representations import (
    Representations,
    build_untrained_encoder,
    encode_clips,
    load_pretrained_encoder,
    write_representations,
)
from video_lstm.evaluation.tables import write_csv
from video_lstm.models.block_encoder import BlockEncoder
from video_lstm.percepts.new_videos import PerceptExtraction, extract_new_percepts
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.base import Positive, Stream
from video_lstm.settings.training import BaselineRepresentation, VariantName
from video_lstm.training.pretrained import load_pretrained
from video_lstm.video.file_scan import escape_path
from video_lstm.video.labelled_videos import read_labelled_videos
from video_lstm.video.split_parts import TRAIN

logger = logging.getLogger("video_lstm")


class Arguments(NewVideosCommandLine):
    """Command line."""

    files: list[Path] = Field(default_factory=list)
    """Video files; whatever FFmpeg reads."""
    percepts: list[Path] = Field(default_factory=list)
    """In place of files: percepts of a data set, all shards."""
    pretrained: Path | None = None
    """The encoder-decoder whose encoder is used."""
    output: Path
    """What to write: .h5, .npz or .csv."""
    variant: VariantName | BaselineRepresentation | None = None
    """With --percepts: the encoder-decoder; or `percepts` for the mean percept, `movement` for its
    mean absolute movement, `random` for an encoder with random weights."""
    videos: Path | None = None
    """`percepts`, `movement`, `random`: index of the data set, whose training videos percepts are
    standardised by."""
    dataset: str = ""
    """With --percepts: name of the data set."""
    split: Positive = 1
    """Split of the data set."""
    stream: Stream = "rgb"
    """With --percepts: which they are."""
    block_frames: Positive = 16
    """Frames of a block."""
    block_stride: Positive = 8
    """Frames between the beginnings of blocks."""
    hidden_size: Positive = 2048
    """`random`: LSTM units of a layer."""
    num_layers: Positive = 2
    """`random`: LSTM layers."""
    seed: int = 0
    """`random`: seed of the weights."""


def main(arguments: Arguments) -> None:
    """Encode and write."""
    torch.set_num_threads(max(arguments.threads, 1))
    cv2.setNumThreads(1)
    device, device_name = pick_device(arguments.device)
    if bool(arguments.files) == bool(arguments.percepts):
        raise UserError("expected either --files or --percepts; name video files, or shards")
    if arguments.output.suffix not in (".h5", ".npz", ".csv"):
        raise UserError(f"--output: expected a name in .h5, .npz or .csv, found {arguments.output}")
    with tempfile.TemporaryDirectory() as folder:
        shards = arguments.percepts or extract_file_percepts(arguments, device, Path(folder))
        store = PerceptStore(shards)
        encoder = load_encoder(arguments, store)
        encoded = encode_clips(
            encoder, store, arguments.block_frames, arguments.block_stride, device
        )
        inputs = {f"percepts_{n}": path for n, path in enumerate(arguments.percepts)}
        roles = ("pretrained", "videos")
        inputs |= {role: path for role in roles if (path := getattr(arguments, role))}
        if arguments.output.suffix == ".h5":
            provenance = arguments.provenance(inputs, device_name)
            with artifacts.create(arguments.output, "representations", provenance) as file:
                names = {"dataset", "split", "stream", "variant", "block_frames", "block_stride"}
                attributes = arguments.model_dump(include=names, exclude_none=True)
                file.attrs.update(attributes)
                write_representations(file, store, encoded)
        else:
            export(arguments.output, store, encoded)
    logger.info("%d videos, %d blocks: %s", len(store.names), encoded.offsets[-1], arguments.output)


def extract_file_percepts(arguments: Arguments, device: torch.device, folder: Path) -> list[Path]:
    """Extract percepts of the files like those that the encoder-decoder was trained on."""
    path = arguments.pretrained
    if path is None:
        raise UserError("--pretrained: expected a file, found none; --files need one")
    percepts = load_pretrained(path)[1].percepts
    if percepts is None:
        raise UserError(f"{path}: expected a model of percepts, found a model of images")
    extraction = PerceptExtraction(
        percepts, path, arguments.weights, arguments.flow_convnet, arguments.features,
        device, max(arguments.threads, 1), arguments.cache / "onnx", arguments.provenance({}),
    )  # fmt: skip
    return [extract_new_percepts(arguments.files, extraction, folder)[0]]


def load_encoder(arguments: Arguments, store: PerceptStore) -> BlockEncoder:
    """Load the encoder and check that it reads such percepts."""
    if arguments.variant not in get_args(BaselineRepresentation):
        path = arguments.pretrained
        if path is None:
            raise UserError(f"--pretrained: expected a file for {arguments.variant}, found none")
        info = load_pretrained(path)[1]
        expected = (arguments.variant, arguments.stream) if arguments.percepts else None
        trained_on = (info.arguments["variant"], info.stream)
        if expected not in (None, trained_on) or info.arguments["frame_size"] != store.dim:
            raise UserError(
                f"{path}: expected {expected} of {store.dim} values, found {trained_on} of "
                f"{info.arguments['frame_size']}; name the model of these percepts"
            )
        return load_pretrained_encoder(path)
    if arguments.videos is None:
        raise UserError(f"--videos: expected an index for {arguments.variant}, found none")
    labelled = read_labelled_videos(arguments.videos, arguments.split)
    _, clips = labelled.match_clips(TRAIN, store.names)
    return build_untrained_encoder(
        arguments.variant, arguments.stream, store, clips, arguments.block_frames,
        (arguments.hidden_size, arguments.num_layers), arguments.seed,
    )  # fmt: skip


def export(path: Path, store: PerceptStore, representations: Representations) -> None:
    """Write the representations as arrays or as a table."""
    names = [escape_path(name.video) for name in store.names]
    if path.suffix == ".npz":
        arrays = {f"blocks_{part}": values for part, values in representations.blocks.items()}
        arrays |= {f"videos_{part}": values for part, values in representations.videos.items()}
        with artifacts.atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, video=np.array(names), block_offsets=representations.offsets, **arrays)
        return
    columns = [
        pd.DataFrame(values).rename(columns=lambda number, part=part: f"{part}_{number}")
        for part, values in representations.videos.items()
    ]
    write_csv(pd.concat([pd.Series(names, name="video"), *columns], axis=1), path, decimals=6)


if __name__ == "__main__":
    run(main, Arguments)
