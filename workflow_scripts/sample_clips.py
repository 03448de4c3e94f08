"""Sample the clips of a data set.

Reads tables of files that were probed and makes tables of clips: whole videos; or, with a length
and a number of hours, random clips, drawn evenly over all that the videos last.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.video.clips import write_clips
from video_lstm.video.files import read_files
from video_lstm.video.sampling import cut_shards, random_clips, whole_clips

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    probed: list[Path]
    """Tables of files: for random clips those of all shards."""
    output: list[Path]
    """The table of clips to make (HDF5); or several, of even work, one after the other."""
    clip_seconds: float | None = None
    """Length of random clips; without it, every video is one clip."""
    hours: float | None = None
    """How much is drawn in all, at most what the videos last."""
    seed: int = 0
    """Of the draws."""


def main(arguments: Arguments) -> None:
    """Read, draw, write."""
    length, hours = arguments.clip_seconds, arguments.hours
    if (length is None) != (hours is None):
        raise UserError("expected both --clip-seconds and --hours or neither, found one; add it")
    table = read_files(arguments.probed)
    if length is None or hours is None:
        clips = whole_clips(table)
    else:
        clips = random_clips(table, length, hours, arguments.seed)
    logger.info("%d clips, %d frames", len(clips), sum(clip.frames for clip in clips))
    inputs = {f"probed_{shard}": path for shard, path in enumerate(arguments.probed)}
    parts = cut_shards([clip.frames for clip in clips], len(arguments.output))
    for shard, (output, part) in enumerate(zip(arguments.output, parts, strict=True)):
        which = {"shard": f"{shard} of {len(parts)}"}
        with artifacts.create(output, "clips", arguments.provenance(inputs | which)) as file:
            write_clips(file, clips[slice(*part)], table.rate)


if __name__ == "__main__":
    run(main, Arguments)
