"""Cut patches of natural video.

Reads the clips of unlabelled videos and writes `train` and `test` (sequences, frames, size, size[,
3]) uint8, cut at random positions and times; the two have no video in common. Also writes the mean
and standard deviation of the training pixels, for normalisation, and the `mean_frame` of the
training patches, the best constant image. Patches have their own frame rate: clips define the
seconds of the videos that patches are cut from, not the frames.
"""

from pathlib import Path

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.sequences.patch_sampling import sample_patches, write_patches
from video_lstm.settings.sequences import PatchSettings
from video_lstm.video.clips import read_clips
from video_lstm.video.files import read_files
from video_lstm.video.sampling import convert_clip_rate


class Arguments(CommandLine):
    """Command line."""

    clips: list[Path]
    """Unlabelled clips, all shards."""
    probed: list[Path]
    """Tables of the unlabelled video files, all shards."""
    output: Path
    """Artifact to write, such as results/patches.h5."""
    seed: int = 0
    """Random seed for sampling the patches."""
    frames: int
    """Frames of a sequence: input and future frames."""
    patches: PatchSettings = PatchSettings()
    """Size, number and frame rate of the patches, and size of the frames."""


def main(arguments: Arguments) -> None:
    """Sample and write the patches."""
    inputs = {
        f"{role}_{shard}": path
        for role in ("clips", "probed")
        for shard, path in enumerate(getattr(arguments, role))
    }
    provenance = arguments.provenance(inputs)
    table, settings = read_files(arguments.probed), arguments.patches
    clips = convert_clip_rate(read_clips(arguments.clips), table, settings.frame_rate)
    patches = sample_patches(clips, settings, arguments.frames, arguments.seed)
    with artifacts.create(arguments.output, "patches", provenance) as file:
        write_patches(file, patches, settings, arguments.frames, arguments.threads)


if __name__ == "__main__":
    run(main, Arguments)
