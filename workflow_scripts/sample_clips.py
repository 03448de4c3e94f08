"""Sample the clips of a shard of a data set.

Reads tables of files that were probed and makes a table of clips: the whole videos of a shard; or,
with a length and a number of hours, a part of the random clips that are drawn evenly over all that
a pile's videos last.
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
    """Tables of files: for whole videos a shard's, for random clips all of them."""
    output: Path
    """The table of clips to make (HDF5)."""
    clip_seconds: float | None = None
    """Length of random clips; without it, every video is one clip."""
    hours: float | None = None
    """How much is drawn in all, at most what the videos last."""
    seed: int = 0
    """Of the draws."""
    shard: int = 0
    """Which part of the clips that are drawn, from 0."""
    shards: int = 1
    """How many parts there are, of even work."""


def main(arguments: Arguments) -> None:
    """Read, draw, write."""
    length, hours = arguments.clip_seconds, arguments.hours
    if (length is None) != (hours is None):
        raise UserError("expected both --clip-seconds and --hours or neither, found one; add it")
    table = read_files(arguments.probed)
    if length is None or hours is None:
        clips = whole_clips(table)
    else:
        drawn = random_clips(table, length, hours, arguments.seed)
        parts = cut_shards([clip.frames for clip in drawn], arguments.shards)
        clips = drawn[slice(*parts[arguments.shard])]
    logger.info("%d clips, %d frames", len(clips), sum(clip.frames for clip in clips))
    inputs = {f"probed_{shard}": path for shard, path in enumerate(arguments.probed)}
    with artifacts.create(arguments.output, "clips", arguments.provenance(inputs)) as file:
        write_clips(file, clips, table.rate)


if __name__ == "__main__":
    run(main, Arguments)
