"""Extract the flow of clips: decode, compute flow and encode, in parallel segments."""

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
"""Number of flow fields that a thread computes at a time, to bound memory for long clips."""


def extract_flow(
    clips: Sequence[Clip],
    settings: FlowSettings,
    device: torch.device,
    partial: PartialFlow,
    threads: int = 1,
) -> None:
    """Compute the missing flow of the clips, in order, and append it to `partial`.

    Args:
        clips: Clips to read.
        settings: Flow method, frame size and codec.
        device: Device of the method `brox`.
        partial: Flow computed so far.
        threads: Number of segments that are processed in parallel.

    Raises:
        UserError: A video cannot be read.
    """
    num_flows, num_done = [max(1, clip.frames - 1) for clip in clips], partial.num_clips
    segments = [
        replace(clip, first=clip.first + start, frames=min(SEGMENT + 1, clip.frames - start))
        for clip in clips[num_done:]
        for start in range(0, max(1, clip.frames - 1), SEGMENT)
    ]
    ends_clip = [
        start + SEGMENT >= count
        for count in num_flows[num_done:]
        for start in range(0, count, SEGMENT)
    ]
    progress = Progress(sum(num_flows), "flows", sum(num_flows[:num_done]))
    extracted = ordered_map(
        lambda segment: _compute_segment(segment, settings, device), segments, threads
    )
    for images, is_last in zip(extracted, ends_clip, strict=True):
        partial.append(images)
        if is_last:
            partial.end_clip()
        progress.update(len(images))


def _compute_segment(segment: Clip, settings: FlowSettings, device: torch.device) -> list[bytes]:
    """Return the encoded flows between a segment's frames; one zero flow for a single frame."""
    size = settings.height, settings.width
    if segment.frames == 1:
        return encode(np.zeros((1, 2, *size), np.float32), settings)
    frames = iter_frames(
        segment.path, segment.first, segment.frames,
        rate=segment.rate, size=size, gray=True, frames=segment.native_frames,
    )  # fmt: skip
    images: list[bytes] = []
    with reading_frames(segment):
        previous = next(frames)
    while True:
        with reading_frames(segment):
            chunk = list(islice(frames, settings.batch_size))
        if not chunk:
            return images
        images += encode(compute_flow(np.stack([previous, *chunk]), settings, device), settings)
        previous = chunk[-1]
