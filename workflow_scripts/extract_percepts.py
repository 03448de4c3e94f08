"""Extract the RGB percepts of clips.

Reads a shard of clips, runs a convnet trained on ImageNet on every frame, and writes one vector per
frame, the activations of a layer (paper, section 3.1). An interrupted job resumes from the frames
that it has processed.
"""

import logging
from pathlib import Path

import cv2
import torch

from video_lstm import artifacts
from video_lstm.command_line import DeviceCommandLine, run
from video_lstm.device import pick_device
from video_lstm.percepts.extract import (
    cut_batches,
    extract,
    open_backend,
    write_percepts,
)
from video_lstm.percepts.networks import weights_path
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.settings.percepts import PerceptSettings
from video_lstm.video.clips import clip_rate, read_clips

logger = logging.getLogger("video_lstm")


class Arguments(DeviceCommandLine):
    """Command line."""

    clips: Path
    """Clips (sample_clips)."""
    output: Path
    """HDF5 file to write: percepts float16 (frames, D), with the clips' names and offsets."""
    percepts: PerceptSettings = PerceptSettings()
    """The convnet and its layer."""
    cache: Path = Path("results/checkpoints")
    """Cache folder for ONNX conversions and the progress of interrupted jobs."""


def main(arguments: Arguments) -> None:
    """Extract, and write the artifact."""
    settings, threads = arguments.percepts, max(arguments.threads, 1)
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # videos are decoded in threads of their own
    device, device_name = pick_device(arguments.device)
    clips = read_clips([arguments.clips])
    backend = open_backend(settings, device, threads, arguments.cache / "onnx")

    inputs = {"clips": arguments.clips}
    if weights := weights_path(settings):
        inputs["weights"] = weights
    provenance = arguments.provenance(inputs, device_name)
    key = provenance.attributes("percepts")["identity"]
    total = sum(clip.frames for clip in clips)
    sizes = cut_batches(total, settings.batch_size)
    rows = PartialRows(arguments.cache / "partial", key, sizes, backend.dim)
    if rows.done:
        logger.info("resuming at frame %d of %d", rows.done, total)
    extract(clips, backend, settings, rows, threads)
    with artifacts.create(arguments.output, "percepts", provenance) as file:
        names, lengths = [clip.name for clip in clips], [clip.frames for clip in clips]
        write_percepts(file, names, lengths, rows, backend.dim, clip_rate(arguments.clips))
    rows.remove()
    logger.info("%d percepts of %d values from %d clips", total, backend.dim, len(clips))


if __name__ == "__main__":
    run(main, Arguments)
