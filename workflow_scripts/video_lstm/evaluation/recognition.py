"""Which class a video is of, by a classifier: mean over its blocks (paper, section 3.4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from video_lstm.errors import UserError
from video_lstm.evaluation.validation import validation_cut
from video_lstm.models.classifier import predict_blocks
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.video.labelled import Labelled, read_labelled
from video_lstm.video.splits import TEST, TRAIN

_BLOCKS = 256
"""Blocks that are classified at a time."""


@dataclass(frozen=True)
class Videos:
    """Some videos of a data set, each with one clip that is all of it.

    Attributes:
        rows: (n,) int32, rows of the artifact `videos`.
        clips: (n,) int64, rows of a `PerceptStore`.
        labels: (n,) int32, their classes.
        groups: of each; empty where it has none.
    """

    rows: np.ndarray
    clips: np.ndarray
    labels: np.ndarray
    groups: list[str]

    def __getitem__(self, chosen: np.ndarray) -> "Videos":
        """Those that a mask or an array of indices names."""
        groups = list(np.array(self.groups, dtype=object)[chosen])
        return Videos(self.rows[chosen], self.clips[chosen], self.labels[chosen], groups)

    def __len__(self) -> int:
        return len(self.rows)


def read_split(path: Path, split: int, store: PerceptStore) -> tuple[Videos, Videos, Labelled]:
    """The training and the test videos of a split, and the data set that they are of.

    Args:
        path: artifact of schema `videos`.
        split: from 1.
        store: percepts of all of them.

    Raises:
        UserError: there is no such split, it has no training or no test videos, or one of them has
            no percepts.
    """
    every = read_labelled(path, split)

    def side(part: int) -> Videos:
        rows, clips = every.clips(part, store.names)
        return Videos(rows.astype(np.int32), clips, every.labels[rows], list(every.groups[rows]))

    train, test = side(TRAIN), side(TEST)
    if not len(train) or not len(test):
        raise UserError(
            f"{path}: expected training and test videos of split {split}, found {len(train)} and "
            f"{len(test)}; look at the index"
        )
    return train, test, every


def cut_validation(train: Videos, share: float, seed: int) -> tuple[Videos, Videos]:
    """Training videos in two, whole groups on one side: to learn from, and to choose settings by.

    Raises:
        UserError: no group can be held out.
    """
    held = validation_cut(train.labels, train.groups, share, seed)
    return train[~held], train[held]


def score_videos(
    classify: nn.Module, store: PerceptStore, clips: np.ndarray, frames: int, stride: int
) -> np.ndarray:
    """Class probabilities of videos.

    The softmax is averaged over the steps of a block, and over the blocks of a video. Padding, of
    a video shorter than a block, counts for nothing.

    Args:
        classify: percepts (T, B, D) float32 to logits (T, B, K); put into evaluation mode.
        store: the percepts.
        clips: (n,), rows of the clips to score.
        frames: of a block.
        stride: between the first frames of blocks.

    Returns:
        (n, K) float32; rows sum to 1.
    """
    classify.eval()
    device = next(classify.parameters()).device
    scores, counts = 0, np.zeros(len(clips))
    with torch.inference_mode():
        for owners, percepts, mask in _batches(store, clips, frames, stride):
            logits = classify(percepts.to(device).float().transpose(0, 1))
            blocks = predict_blocks(logits, mask.to(device).t()).double().cpu().numpy()
            if not np.any(counts):
                scores = np.zeros((len(clips), blocks.shape[1]))
            np.add.at(scores, owners, blocks)
            np.add.at(counts, owners, 1)
    return (scores / counts[:, None]).astype(np.float32)


def _batches(
    store: PerceptStore, clips: np.ndarray, frames: int, stride: int
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Blocks of all clips, a few hundred at a time: their clips, percepts and masks.

    Yields:
        (B,) int indices into `clips`, (B, frames, D) float16, (B, frames) bool.
    """
    waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for index, clip in enumerate(clips):
        percepts, mask = store.blocks(clip, frames, stride)
        waiting.append((np.full(len(mask), index), percepts, mask))
        enough = sum(len(owners) for owners, _, _ in waiting) >= _BLOCKS
        if enough or index == len(clips) - 1:
            owners, percepts, mask = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
            for first in range(0, len(owners), _BLOCKS):
                here = slice(first, first + _BLOCKS)
                yield owners[here], torch.from_numpy(percepts[here]), torch.from_numpy(mask[here])
            waiting.clear()
