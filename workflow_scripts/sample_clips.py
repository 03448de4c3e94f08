"""Sample the clips of a data set.

Reads the table of videos and makes the table of clips: whole videos, or, with a length and a number
of hours, random clips drawn evenly over all that the videos last.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.video.clips import random_clips, whole_clips, write_clips
from video_lstm.video.index import read_videos

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    videos: Path
    """The table of videos (HDF5)."""
    output: Path
    """The table of clips to make (HDF5)."""
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
    table = read_videos(arguments.videos)
    if length is None or hours is None:
        clips = whole_clips(table)
    else:
        clips = random_clips(table, length, hours, arguments.seed)
    frames = sum(clip.frames for clip in clips)
    logger.info("%d clips, %d frames, of %d videos", len(clips), frames, len(table.usable))
    provenance = arguments.provenance({"videos": arguments.videos})
    with artifacts.create(arguments.output, "clips", provenance) as file:
        write_clips(file, clips, table.rate)


if __name__ == "__main__":
    run(main, Arguments)
