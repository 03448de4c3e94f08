"""Representations of videos by a frozen encoder: computation and storage."""

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
    """Representations of clips and of their blocks.

    Attributes:
        offsets: (clips + 1,) int64; the blocks of clip i are rows offsets[i] to offsets[i + 1].
        blocks: (blocks, size) float32 for each output of `BlockEncoder`.
        videos: (clips, size) float32, the means over the blocks of a clip.
    """

    offsets: np.ndarray
    blocks: Mapping[str, np.ndarray]
    videos: Mapping[str, np.ndarray]


def build_untrained_encoder(
    kind: BaselineRepresentation,
    stream: Stream,
    store: PerceptStore,
    clips: np.ndarray,
    frames: int,
    random_size: tuple[int, int],
    seed: int,
) -> BlockEncoder:
    """Build an encoder that was not trained, the baseline of pretrained encoders.

    Args:
        kind: Kind of baseline.
        stream: Stream of the percepts.
        store: Percepts of the data set.
        clips: Rows of the training videos' clips, on which the standardisation is fitted.
        frames: Frames per block.
        random_size: Units per layer and number of layers of a random encoder.
        seed: Random seed for the weights of a random encoder.
    """
    reads_motion = kind == "movement" or (kind == "random" and stream == "motion")
    motion_window = (frames, frames) if reads_motion else None
    standardize = Standardize.fit((store.clip(clip) for clip in clips), motion_window=motion_window)
    if kind != "random":
        return BlockEncoder(standardize, None)
    generator = torch.Generator().manual_seed(seed)
    return BlockEncoder(standardize, LSTMStack(store.dim, *random_size, generator=generator))


def load_pretrained_encoder(path: Path) -> BlockEncoder:
    """Load the encoder of an encoder-decoder that was pretrained on percepts."""
    model, info = load_pretrained(path)
    return BlockEncoder(info.standardize, model.encoder)


def encode_clips(
    encoder: BlockEncoder,
    store: PerceptStore,
    frames: int,
    stride: int,
    device: torch.device | str = "cpu",
) -> Representations:
    """Encode every clip of a store, in the order of the store.

    Args:
        encoder: Frozen encoder; moved to `device`.
        store: Percepts of the clips.
        frames: Frames per block.
        stride: Frames from the start of a block to the start of the next.
        device: Device of the encoder.
    """
    encoder = encoder.to(device).eval()
    block_clips: list[np.ndarray] = []
    batches: dict[str, list[np.ndarray]] = {}
    for clips, percepts, mask in store.block_batches(range(len(store.names)), frames, stride):
        block_clips.append(clips)
        for part, values in encoder(percepts.to(device).float(), mask.to(device)).items():
            batches.setdefault(part, []).append(values.float().cpu().numpy())
    counts = np.bincount(np.concatenate(block_clips), minlength=len(store.names))
    offsets = np.cumsum([0, *counts], dtype=np.int64)
    blocks = {part: np.concatenate(values) for part, values in batches.items()}
    videos = {
        part: (np.add.reduceat(values.astype(np.float64), offsets[:-1]) / counts[:, None])
        for part, values in blocks.items()
    }
    return Representations(offsets, blocks, {p: v.astype(np.float32) for p, v in videos.items()})


def write_representations(
    file: h5py.File, store: PerceptStore, representations: Representations
) -> None:
    """Write the HDF5 datasets of schema `representations`."""
    write_names(file, store.names)
    file["block_offsets"] = representations.offsets
    write_arrays(file, "blocks", representations.blocks)
    write_arrays(file, "videos", representations.videos)
