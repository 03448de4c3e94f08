"""How much video there is, as far as names and headers of files tell."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.demo.actions import ACTIONS
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.videos import UNLABELLED, VideoSource
from video_lstm.video.layouts import find_videos
from video_lstm.video.source import UnreadableVideoError, declared_seconds, open_video

_LOOKED_AT = 40
"""Headers that are read of a data set; the rest lasts as long on average."""
_RENDERED = Path("results/demo")
_USUAL_RATE = 30.0
"""Frames per second where every frame of a file is taken."""


@dataclass(frozen=True)
class DatasetSize:
    """Videos of a data set.

    Attributes:
        name: Name of the data set.
        videos: files.
        seconds: that they last.
        frames: Number of frames of its clips, at the frame rate of the settings.
        sample: one of the files; None where they are yet to be rendered.
    """

    name: str
    videos: int
    seconds: float
    frames: int
    sample: Path | None


def measure_dataset(settings: Settings, name: str) -> DatasetSize:
    """How much a data set holds.

    Args:
        settings: the whole configuration.
        name: Name of a labelled set, or `unlabelled`.

    Raises:
        UserError: the folder is missing, or not laid out as the settings say.
    """
    is_pile = name == UNLABELLED
    root = Path((settings.unlabelled if is_pile else settings.datasets[name]).root)
    demo, sample = settings.demo, None
    if demo is not None and _RENDERED in root.parents and not root.is_dir():
        videos = demo.videos_per_class * len(demo.actions or ACTIONS)
        videos, each = (
            (demo.unlabelled_videos, demo.unlabelled_seconds)
            if is_pile
            else (videos, demo.labelled_seconds)
        )
        seconds = videos * each
    else:
        wanted = set(VideoSource.model_fields)
        source = (
            VideoSource(
                kind="unlabelled",
                root=str(root),
                follow_links=settings.unlabelled.follow_links,
            )
            if is_pile
            else VideoSource.model_validate(settings.datasets[name].model_dump(include=wanted))
        )
        entries = find_videos(source, settings.seed).entries
        videos = len(entries)
        chosen = np.unique(np.linspace(0, videos - 1, _LOOKED_AT).astype(int))
        lengths = []
        for row in chosen:
            try:
                with open_video(root / entries[row].path) as opened:
                    lengths.append(declared_seconds(*opened))
                    sample = sample or root / entries[row].path
            except UnreadableVideoError:
                continue
        seconds = videos * float(np.mean(lengths)) if lengths else 0.0
    used = min(seconds, 3600 * settings.unlabelled.hours) if is_pile else seconds
    rate = settings.video.frame_rate or _USUAL_RATE
    return DatasetSize(name, videos, seconds, round(used * rate), sample)
