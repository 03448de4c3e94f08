"""Compute optical flow between the consecutive frames of clips.

Reads clips and the videos they are cut from; writes a shard of flow, quantised to 8 bits. A killed
run, called again, goes on from the clips it has (kept in a hidden file beside the output).
"""

from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.flow.methods import compute_flow
from video_lstm.flow.storage import PartialFlow, encode
from video_lstm.parallel import ordered_map
from video_lstm.progress import Progress
from video_lstm.settings import FlowSettings
from video_lstm.video.clips import cut_shards, read_clips
from video_lstm.video.decode import iter_frames
from video_lstm.video.index import read_videos
from video_lstm.video.source import UnreadableVideoError

SEGMENT = 256
"""Flows that a thread works out in one go: memory is bounded for clips of any length."""


class Arguments(CommandLine):
    """Command line."""

    videos: Path
    """Index of the videos."""
    clips: Path
    """Clips of them."""
    shard: int = 0
    """Which part of the clips, from 0."""
    shards: int = 1
    """Parts in all."""
    flow: FlowSettings = FlowSettings()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where `brox` runs; the other methods run on the CPU."""
    output: Path


class Segment(NamedTuple):
    """Frames of one clip, and whether it ends with them."""

    path: Path
    native_frames: int
    first: int
    frames: int
    ends_clip: bool


def main(arguments: Arguments) -> None:
    """Extract and write the artifact."""
    cv2.setNumThreads(1)  # see compute_flow
    torch.set_num_threads(1)
    settings, output = arguments.flow, arguments.output
    device, device_name = pick_device(arguments.device if settings.method == "brox" else "cpu")
    inputs = {"videos": arguments.videos, "clips": arguments.clips}
    provenance = arguments.provenance(inputs, device_name)
    table, (clips, rate) = read_videos(arguments.videos), read_clips(arguments.clips)
    if not 0 <= arguments.shard < arguments.shards:
        raise UserError(
            f"--shard: expected 0 to {arguments.shards - 1} (--shards {arguments.shards}), found "
            f"{arguments.shard}"
        )
    shards = cut_shards([clip.frames for clip in clips], arguments.shards)
    start, stop = shards[arguments.shard]

    identity = provenance.attributes("flow")["identity"]
    partial = PartialFlow(output.with_name(f".{output.name}.partial"), identity)
    done = start + partial.clips
    segments = [
        Segment(
            table.file(clip.video),
            table.videos[clip.video].native_frames,
            clip.first + at,
            min(SEGMENT + 1, clip.frames - at),
            at + SEGMENT >= clip.frames - 1,
        )
        for clip in clips[done:stop]
        for at in range(0, max(1, clip.frames - 1), SEGMENT)
    ]
    flows = [max(1, clip.frames - 1) for clip in clips]
    progress = Progress(sum(flows[start:stop]), "flows", sum(flows[start:done]))
    extracted = ordered_map(
        lambda segment: extract(segment, rate, settings, device), segments, arguments.threads
    )
    for segment, images in zip(segments, extracted, strict=True):
        partial.append(images)
        if segment.ends_clip:
            partial.end_clip()
        progress.update(len(images))

    with artifacts.create(output, "flow", provenance) as file:
        partial.finish(file, np.arange(start, stop))
        told = settings.model_dump(include={"height", "width", "bound", "codec"})
        file.attrs.update(told)
    partial.close(remove=True)


def extract(
    segment: Segment, rate: float | None, settings: FlowSettings, device: torch.device
) -> list[bytes]:
    """Encoded flows between a segment's frames; of a single frame, one flow of zero."""
    size = settings.height, settings.width
    if segment.frames == 1:
        return encode(np.zeros((1, 2, *size), np.float32), settings)
    frames = iter_frames(
        segment.path, segment.first, segment.frames,
        rate=rate, size=size, gray=True, frames=segment.native_frames,
    )  # fmt: skip
    images: list[bytes] = []
    try:
        held = [next(frames)]
        while chunk := list(islice(frames, settings.batch)):
            held = [held[-1], *chunk]
            images += encode(compute_flow(np.stack(held), settings, device), settings)
    except UnreadableVideoError as error:
        reason = str(error).removeprefix(f"{segment.path}: ")
        raise UserError(f"{segment.path}: {reason}") from error
    return images


if __name__ == "__main__":
    run(main, Arguments)
