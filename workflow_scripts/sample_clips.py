"""Sample the clips of a data set.

Reads tables of probed files and writes tables of clips: whole videos; or, with a length and a
number of hours, random clips, drawn uniformly over the duration of the videos. Test videos of the
labelled sets in --videos, and copies of them under other names, are left out.
"""

import hashlib
import logging
from pathlib import Path

from pydantic import Field

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.errors import UserError
from video_lstm.video.clips import write_clips, write_left_out
from video_lstm.video.files import read_files
from video_lstm.video.held_out import read_test_videos, remove_test_videos
from video_lstm.video.sampling import cut_shards, draw_random_clips, make_full_clips

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    probed: list[Path]
    """Tables of probed files; random clips need all shards."""
    output: list[Path]
    """HDF5 file of clips to write; or several, with about equal numbers of frames."""
    clip_seconds: float | None = None
    """Length of random clips in seconds; without it, every video is one clip."""
    hours: float | None = None
    """Total duration of the random clips in hours, at most that of the videos."""
    seed: int = 0
    """Random seed for drawing clips."""
    videos: list[Path] = Field(default_factory=list)
    """Indices of labelled sets whose test videos are left out of the random clips."""
    use_splits: list[str] = Field(default_factory=list)
    """Splits whose test videos are left out, each as SET:NUMBER, such as ucf101:1; all splits of a
    set that is not named here."""


def main(arguments: Arguments) -> None:
    """Read the probed files, draw the clips and write them."""
    length, hours = arguments.clip_seconds, arguments.hours
    if (length is None) != (hours is None):
        raise UserError(
            "expected both --clip-seconds and --hours or neither, found one; add the other"
        )
    table = read_files(arguments.probed)
    inputs: dict[str, Path | str] = {
        f"probed_{shard}": path for shard, path in enumerate(arguments.probed)
    }
    left_out: list[str] = []
    if length is None or hours is None:
        clips = make_full_clips(table)
    else:
        test_videos = read_test_videos(arguments.videos, parse_use_splits(arguments.use_splits))
        table, left_out = remove_test_videos(table, test_videos)
        logger.info(
            "%s: %d videos left out: test videos of the labelled sets, by path or content%s",
            table.root, len(left_out), f" ('{left_out[0]}', ...)" if left_out else "",
        )  # fmt: skip
        # Not the indices: of their content, only the videos that are left out change the clips.
        inputs["left_out"] = hashlib.sha256(repr(left_out).encode()).hexdigest()
        clips = draw_random_clips(table, length, hours, arguments.seed)
    logger.info("%d clips, %d frames", len(clips), sum(clip.frames for clip in clips))
    shards = cut_shards([clip.frames for clip in clips], len(arguments.output))
    for number, (output, rows) in enumerate(zip(arguments.output, shards, strict=True)):
        shard = {"shard": f"{number} of {len(shards)}"}
        with artifacts.create(output, "clips", arguments.provenance(inputs | shard)) as file:
            write_clips(file, clips[slice(*rows)], table.rate)
            if left_out:
                write_left_out(file, left_out)


def parse_use_splits(names: list[str]) -> dict[str, list[int]]:
    """Parse SET:NUMBER into the numbers of the splits in use, by name of the labelled set."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        dataset, _, number = name.partition(":")
        if not number.isdecimal() or number == "0":
            raise UserError(f"--use-splits: expected SET:NUMBER, such as ucf101:1, found '{name}'")
        numbers.setdefault(dataset, []).append(int(number))
    return numbers


if __name__ == "__main__":
    run(main, Arguments)
