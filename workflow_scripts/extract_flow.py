"""Compute optical flow between the consecutive frames of clips.

Reads a shard of clips and writes their flow, quantised to 8 bits. An interrupted run resumes from
the complete clips, which are in a hidden file in the output's folder. The method brox runs on the
device, the others on the CPU.
"""

from pathlib import Path

import cv2
import torch

from video_lstm import artifacts
from video_lstm.command_line import DeviceCommandLine, run
from video_lstm.device import pick_device
from video_lstm.flow.extract import extract_flow
from video_lstm.flow.storage import PartialFlow
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video.clips import clip_rate, read_clips, write_rate


class Arguments(DeviceCommandLine):
    """Command line."""

    clips: Path
    """Clips of a shard (sample_clips)."""
    flow: FlowSettings = FlowSettings()
    """Flow method, frame size, and storage format."""
    output: Path
    """Artifact to write: encoded flow with the clips' names and offsets."""


def main(arguments: Arguments) -> None:
    """Compute the flow and write the artifact."""
    cv2.setNumThreads(1)  # see compute_flow
    torch.set_num_threads(1)
    settings, output = arguments.flow, arguments.output
    device, device_name = pick_device(arguments.device if settings.method == "brox" else "cpu")
    provenance = arguments.provenance({"clips": arguments.clips}, device_name)
    clips = read_clips([arguments.clips])
    identity = provenance.attributes("flow")["identity"]
    partial = PartialFlow(output.with_name(f".{output.name}.partial"), identity)
    extract_flow(clips, settings, device, partial, arguments.threads)
    with artifacts.create(output, "flow", provenance) as file:
        partial.finish(file, [clip.name for clip in clips])
        write_rate(file, clip_rate(arguments.clips))
        file.attrs.update(settings.model_dump(include={"height", "width", "bound", "codec"}))
    partial.close(remove=True)


if __name__ == "__main__":
    run(main, Arguments)
