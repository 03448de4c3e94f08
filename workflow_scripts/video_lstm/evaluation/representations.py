"""Representations of videos by a frozen encoder, and how they are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from video_lstm.artifacts import write_arrays
from video_lstm.models.block_encoder import BlockEncoder
from video_lstm.models.lstm import LSTMStack
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.base import Stream
from video_lstm.settings.training import BaselineRepresentation
from video_lstm.training.pretrained import load_pretrained
from video_lstm.video.clips import write_names


@dataclass(frozen=True)
class Representations:
    """Representations of clips and of their blocks, by the names of the parts of `BlockEncoder`.

    Attributes:
        offsets: (clips + 1,) int64, where the blocks of each clip begin and end.
        blocks: part to (blocks, size) float32.
        videos: part to (clips, size) float32, the means over a clip's blocks.
    """

    offsets: np.ndarray
    blocks: Mapping[str, np.ndarray]
    videos: Mapping[str, np.ndarray]


def untrained_encoder(
    kind: BaselineRepresentation,
    stream: Stream,
    store: PerceptStore,
    clips: np.ndarray,
    frames: int,
    random_size: tuple[int, int],
    seed: int,
) -> BlockEncoder:
    """What pretrained encoders are held against.

    Args:
        kind: which one.
        stream: which percepts, and how they are read.
        store: where they are.
        clips: rows of the training videos' clips, by which percepts are standardised.
        frames: Frames per block.
        random_size: units of a layer and layers of a random encoder.
        seed: Random seed for the weights of a random encoder.
    """
    moves = kind == "movement" or (kind == "random" and stream == "motion")
    motion_window = (frames, frames) if moves else None
    standardize = Standardize.fit((store.clip(clip) for clip in clips), motion_window=motion_window)
    if kind != "random":
        return BlockEncoder(standardize, None)
    generator = torch.Generator().manual_seed(seed)
    return BlockEncoder(standardize, LSTMStack(store.dim, *random_size, generator=generator))


def pretrained_encoder(path: Path) -> BlockEncoder:
    """The encoder of an artifact of schema `pretrained`, of percepts."""
    model, info = load_pretrained(path)
    return BlockEncoder(info.standardize, model.encoder)


def encode(
    encoder: BlockEncoder,
    store: PerceptStore,
    frames: int,
    stride: int,
    device: torch.device | str = "cpu",
) -> Representations:
    """Represent every clip of a store, in its order.

    Args:
        encoder: on any device.
        store: the percepts.
        frames: Frames per block.
        stride: between the first frames of blocks.
        device: where to encode.
    """
    encoder = encoder.to(device).eval()
    owners: list[np.ndarray] = []
    pieces: dict[str, list[np.ndarray]] = {}
    for clips, percepts, mask in store.block_batches(range(len(store.names)), frames, stride):
        owners.append(clips)
        for part, values in encoder(percepts.to(device).float(), mask.to(device)).items():
            pieces.setdefault(part, []).append(values.float().cpu().numpy())
    counts = np.bincount(np.concatenate(owners), minlength=len(store.names))
    offsets = np.cumsum([0, *counts], dtype=np.int64)
    blocks = {part: np.concatenate(values) for part, values in pieces.items()}
    videos = {
        part: (np.add.reduceat(values.astype(np.float64), offsets[:-1]) / counts[:, None])
        for part, values in blocks.items()
    }
    return Representations(offsets, blocks, {p: v.astype(np.float32) for p, v in videos.items()})


def write_representations(
    file: h5py.File, store: PerceptStore, representations: Representations
) -> None:
    """Write the data sets of schema `representations`."""
    write_names(file, store.names)
    file["block_offsets"] = representations.offsets
    write_arrays(file, "blocks", representations.blocks)
    write_arrays(file, "videos", representations.videos)
