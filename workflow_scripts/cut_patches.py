"""Cut patches of natural video.

Reads the clips of a pile of videos and writes `train` and `test` (sequences, frames, size, size and
3 if in colour) uint8, cut at random places and times, the test sequences from videos of their own;
the mean and standard deviation of the training pixels, which models are fed patches normalised by;
and the `mean_frame` of the training patches, the best constant image. Patches have a frame rate of
their own: the clips say which seconds of the videos they are cut from, not which frames.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.sequences.patch_sampling import cut, plan
from video_lstm.settings.sequences import PatchSettings
from video_lstm.video.clips import read_clips
from video_lstm.video.files import read_files
from video_lstm.video.sampling import clips_at_rate


class Arguments(CommandLine):
    """What to cut from."""

    clips: list[Path]
    """Clips of the pile, all shards."""
    probed: list[Path]
    """Tables of the pile's files, all shards."""
    output: Path
    """Artifact to write, such as results/patches.h5."""
    seed: int = 0
    """Every draw follows from it."""
    frames: int
    """Frames of a sequence: those that a model reads and those that it predicts."""
    patches: PatchSettings = PatchSettings()
    """Their size, number and rate, and how frames are scaled before they are cut."""


def main(arguments: Arguments) -> None:
    """Decode every clip once and write its patches."""
    inputs = {
        f"{role}_{shard}": path
        for role in ("clips", "probed")
        for shard, path in enumerate(getattr(arguments, role))
    }
    provenance = arguments.provenance(inputs)
    table, settings = read_files(arguments.probed), arguments.patches
    clips = clips_at_rate(read_clips(arguments.clips), table, settings.frame_rate)
    cuts = plan(clips, settings, arguments.frames, arguments.seed)
    with artifacts.create(arguments.output, "patches", provenance) as file:
        cut(file, cuts, settings, arguments.frames, arguments.threads)


if __name__ == "__main__":
    run(main, Arguments)
