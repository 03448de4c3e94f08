"""Amount of video in the data sets, from file names and headers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.demo.actions import ACTIONS
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.videos import UNLABELLED, VideoSource
from video_lstm.video.layouts import find_videos
from video_lstm.video.source import UnreadableVideoError, declared_seconds, open_video

_NUM_HEADERS = 40
"""Number of headers to read per data set; the mean length stands for all videos."""
_RENDERED = Path("results/demo")
_USUAL_RATE = 30.0
"""Assumed frames per second if every frame of a file is used."""


@dataclass(frozen=True)
class DatasetSize:
    """Number and length of the videos of a data set.

    Attributes:
        name: Name of the data set.
        videos: Number of video files.
        seconds: Total length in seconds.
        frames: Number of frames of its clips, at the frame rate of the settings.
        sample: One of the files; None if they are not rendered yet.
    """

    name: str
    videos: int
    seconds: float
    frames: int
    sample: Path | None


def measure_dataset(settings: Settings, name: str) -> DatasetSize:
    """Estimate the amount of video in a data set.

    Args:
        settings: The whole configuration.
        name: Name of a labelled set, or `unlabelled`.

    Raises:
        UserError: The folder is missing, or its layout differs from the settings.
    """
    is_unlabelled = name == UNLABELLED
    root = Path((settings.unlabelled if is_unlabelled else settings.datasets[name]).root)
    demo, sample = settings.demo, None
    if demo is not None and _RENDERED in root.parents and not root.is_dir():
        videos = demo.videos_per_class * len(demo.actions or ACTIONS)
        videos, each = (
            (demo.unlabelled_videos, demo.unlabelled_seconds)
            if is_unlabelled
            else (videos, demo.labelled_seconds)
        )
        seconds = videos * each
    else:
        keys = set(VideoSource.model_fields)
        source = (
            VideoSource(
                kind="unlabelled",
                root=str(root),
                follow_links=settings.unlabelled.follow_links,
            )
            if is_unlabelled
            else VideoSource.model_validate(settings.datasets[name].model_dump(include=keys))
        )
        entries = find_videos(source, settings.seed).entries
        videos = len(entries)
        rows = np.unique(np.linspace(0, videos - 1, _NUM_HEADERS).astype(int))
        lengths = []
        for row in rows:
            try:
                with open_video(root / entries[row].path) as video:
                    lengths.append(declared_seconds(*video))
                    sample = sample or root / entries[row].path
            except UnreadableVideoError:
                continue
        seconds = videos * float(np.mean(lengths)) if lengths else 0.0
    used_seconds = min(seconds, 3600 * settings.unlabelled.hours) if is_unlabelled else seconds
    rate = settings.video.frame_rate or _USUAL_RATE
    return DatasetSize(name, videos, seconds, round(used_seconds * rate), sample)
