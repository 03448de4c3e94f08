"""Cut patches of natural video.

Reads the clips of a pile of videos and writes `train` and `test` (sequences, frames, size, size and
3 if in colour) uint8, cut at random places and times, the test sequences from videos of their own;
the mean and standard deviation of the training pixels, which models are fed patches normalised by;
and the `mean_frame` of the training patches, the best constant image.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.sequences.cutting import cut, plan
from video_lstm.settings.sequences import PatchSettings
from video_lstm.video.clips import read_clips


class Arguments(CommandLine):
    """What to cut from."""

    clips: list[Path]
    """Clips of the pile, all shards."""
    output: Path
    """Artifact to write, such as results/patches.h5."""
    seed: int = 0
    """Every draw follows from it."""
    frames: int
    """Frames of a sequence: those that a model reads and those that it predicts."""
    patches: PatchSettings = PatchSettings()
    """Their size and number, and how frames are scaled before they are cut."""


def main(arguments: Arguments) -> None:
    """Decode every clip once and write its patches."""
    inputs = {f"clips_{shard}": path for shard, path in enumerate(arguments.clips)}
    provenance = arguments.provenance(inputs)
    cuts = plan(read_clips(arguments.clips), arguments.patches, arguments.frames, arguments.seed)
    with artifacts.create(arguments.output, "patches", provenance) as file:
        cut(file, cuts, arguments.patches, arguments.frames, arguments.threads)


if __name__ == "__main__":
    run(main, Arguments)
