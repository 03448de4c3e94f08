"""Flow of clips: frames decoded, compared and encoded, several segments at a time."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from video_lstm.flow.methods import compute_flow
from video_lstm.flow.storage import PartialFlow, encode
from video_lstm.parallel import ordered_map
from video_lstm.progress import Progress
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video.clips import Clip
from video_lstm.video.decode import iter_frames, reading_frames

SEGMENT = 256
"""Flows that a thread works out in one go: memory is bounded for clips of any length."""


def extract_flow(
    clips: Sequence[Clip],
    settings: FlowSettings,
    device: torch.device,
    partial: PartialFlow,
    threads: int = 1,
) -> None:
    """Add the flow of the clips that is missing, in order.

    Args:
        clips: where the frames are.
        settings: the method, its frames and its codec.
        device: where `brox` runs.
        partial: what is there already; takes the rest.
        threads: segments that are worked on at once.

    Raises:
        UserError: a video that cannot be read.
    """
    flows, done = [max(1, clip.frames - 1) for clip in clips], partial.clips
    segments = [
        replace(clip, first=clip.first + at, frames=min(SEGMENT + 1, clip.frames - at))
        for clip in clips[done:]
        for at in range(0, max(1, clip.frames - 1), SEGMENT)
    ]
    ends_clip = [at + SEGMENT >= count for count in flows[done:] for at in range(0, count, SEGMENT)]
    progress = Progress(sum(flows), "flows", sum(flows[:done]))
    extracted = ordered_map(lambda segment: _segment(segment, settings, device), segments, threads)
    for images, is_last in zip(extracted, ends_clip, strict=True):
        partial.append(images)
        if is_last:
            partial.end_clip()
        progress.update(len(images))


def _segment(segment: Clip, settings: FlowSettings, device: torch.device) -> list[bytes]:
    """Encoded flows between a segment's frames; of a single frame, one flow of zero."""
    size = settings.height, settings.width
    if segment.frames == 1:
        return encode(np.zeros((1, 2, *size), np.float32), settings)
    frames = iter_frames(
        segment.path, segment.first, segment.frames,
        rate=segment.rate, size=size, gray=True, frames=segment.native_frames,
    )  # fmt: skip
    images: list[bytes] = []
    with reading_frames(segment):
        last = next(frames)
    while True:
        with reading_frames(segment):
            chunk = list(islice(frames, settings.batch_size))
        if not chunk:
            return images
        images += encode(compute_flow(np.stack([last, *chunk]), settings, device), settings)
        last = chunk[-1]
