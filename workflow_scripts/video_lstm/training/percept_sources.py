"""Which percepts an encoder-decoder learns from: never those of a test video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from video_lstm.errors import UserError
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.percepts import PerceptStore, PerceptWindows, hold_out_videos
from video_lstm.sequences.random_streams import TRAINING, step_generator
from video_lstm.video.labelled_videos import read_labelled_videos
from video_lstm.video.split_parts import TRAIN


@dataclass(frozen=True)
class PerceptSource:
    """Percepts of a data set, and where it says which of them may be learned from.

    Attributes:
        percepts: all shards.
        videos: the index of a labelled set; None: every clip may be learned from.
        split: Split of the labelled set, counted from 1.
        hours: how much of a pile is learned from, in clips drawn at random; None: all of it.
    """

    percepts: Sequence[Path]
    videos: Path | None = None
    split: int = 1
    hours: float | None = None

    def rows(self, store: PerceptStore, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a store's clips that may be learned from, and the names of their videos, (N,).

        Raises:
            UserError: there is no such split, a training video has no percepts, or hours are asked
                for of clips without a common rate.
        """
        videos = np.array([name.video for name in store.names], str)
        rows = np.arange(len(videos))
        if self.videos is not None:
            _, rows = read_labelled_videos(self.videos, self.split).match_clips(TRAIN, store.names)
        elif self.hours is not None:
            rows = _draw_hours(store, self.hours, seed)
        return rows, videos[rows]


def _draw_hours(store: PerceptStore, hours: float, seed: int) -> np.ndarray:
    """Rows of clips that together last some hours, or all; fewer hours are inside of more."""
    rate = store.percept_provenance.get("rate")
    if rate is None:
        raise UserError(
            "video.frame_rate: expected a number, found null; hours of unlabelled video are "
            "counted in "
            "frames of one rate"
        )
    order = step_generator(seed, TRAINING).permutation(len(store.names))
    before = np.cumsum([0, *(store.length(row) for row in order)])[:-1]
    # Half a frame: sums of floats must not ask for a clip too many.
    return np.sort(order[before < hours * 3600 * rate - 0.5])


def open_percept_corpus(
    percept_sources: Sequence[PerceptSource],
    frames: int,
    validation: float,
    seed: int,
    device: torch.device,
    *,
    motion_seen: int | None = None,
) -> tuple[PerceptWindows, Standardize]:
    """Windows of the clips that may be learned from, and what they are read through.

    Args:
        percept_sources: Stored percepts to train on; at least one.
        frames: Frames per window.
        validation: share of each pile's videos that is held out of training.
        seed: Random seed for the windows and the validation set.
        device: where batches are wanted.
        motion_seen: for the stream `motion`: how many frames of a window, the first, are seen.

    Returns:
        The windows, as they are stored; their standardisation, by the clips that are trained on.

    Raises:
        UserError: no clip that may be learned from.
    """
    percept_sources = [pile for pile in percept_sources if pile.hours != 0]
    stores, learned, held_out = [], [], []
    for pile in percept_sources:
        store = PerceptStore(list(pile.percepts))
        trained, validation_rows = hold_out_videos(*pile.rows(store, seed), validation, seed)
        learned.append(trained)
        held_out.append(validation_rows)
        stores.append(store)
    windows = PerceptWindows(stores, learned, frames, seed, device, held_out)
    pairs = zip(stores, learned, strict=True)
    clips = (store.clip(row) for store, rows in pairs for row in rows)
    motion_window = None if motion_seen is None else (frames, motion_seen)
    return windows, Standardize.fit(clips, motion_window=motion_window)
