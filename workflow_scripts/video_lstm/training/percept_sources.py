"""Selection of the percepts for pretraining, which leaves out all test videos."""

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
    """Percepts of a data set and the selection of clips to train on.

    Attributes:
        percepts: Percept files, all shards.
        videos: Index of a labelled set, of which only training videos are used; None: unlabelled
            videos, all of which are used.
        split: Split of the labelled set, counted from 1.
        hours: Hours of unlabelled video to train on, in clips drawn at random; None: all.
    """

    percepts: Sequence[Path]
    videos: Path | None = None
    split: int = 1
    hours: float | None = None

    def rows(self, store: PerceptStore, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the clips to train on, and the names of their videos, both (N,).

        Raises:
            UserError: The split does not exist, a training video has no percepts, or `hours` is set
                and the clips have no common frame rate.
        """
        videos = np.array([name.video for name in store.names], str)
        rows = np.arange(len(videos))
        if self.videos is not None:
            _, rows = read_labelled_videos(self.videos, self.split).match_clips(TRAIN, store.names)
        elif self.hours is not None:
            rows = _draw_hours(store, self.hours, seed)
        return rows, videos[rows]


def _draw_hours(store: PerceptStore, hours: float, seed: int) -> np.ndarray:
    """Draw rows of clips that together last `hours`; smaller selections are subsets of larger."""
    rate = store.percept_provenance.get("rate")
    if rate is None:
        raise UserError(
            "video.frame_rate: expected a number, found null; hours of unlabelled video need a "
            "common frame rate"
        )
    order = step_generator(seed, TRAINING).permutation(len(store.names))
    frames_before = np.cumsum([0, *(store.length(row) for row in order)])[:-1]
    # Half a frame less, so that rounding errors do not add a clip.
    return np.sort(order[frames_before < hours * 3600 * rate - 0.5])


def open_percept_corpus(
    percept_sources: Sequence[PerceptSource],
    frames: int,
    validation_fraction: float,
    seed: int,
    device: torch.device,
    *,
    motion_input_frames: int | None = None,
) -> tuple[PerceptWindows, Standardize]:
    """Open the training and validation windows for pretraining on percepts.

    Args:
        percept_sources: Stored percepts to train on; at least one.
        frames: Frames per window.
        validation_fraction: Fraction of each source's videos to hold out for validation.
        seed: Random seed for the windows and the validation set.
        device: Device of the batches.
        motion_input_frames: Number of input frames of a window, for stream `motion`; None for other
            streams.

    Returns:
        Windows of percepts that are not standardised, and the standardisation that was fitted to
        the training clips.

    Raises:
        UserError: There is no clip to train on.
    """
    stores, training_rows, validation_rows = [], [], []
    for source in percept_sources:
        if source.hours == 0:
            continue
        store = PerceptStore(list(source.percepts))
        training, validation = hold_out_videos(*source.rows(store, seed), validation_fraction, seed)
        training_rows.append(training)
        validation_rows.append(validation)
        stores.append(store)
    windows = PerceptWindows(stores, training_rows, frames, seed, device, validation_rows)
    pairs = zip(stores, training_rows, strict=True)
    clips = (store.clip(row) for store, rows in pairs for row in rows)
    motion_window = None if motion_input_frames is None else (frames, motion_input_frames)
    return windows, Standardize.fit(clips, motion_window=motion_window)
