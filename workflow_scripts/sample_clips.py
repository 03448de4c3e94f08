"""Sample the clips of a data set.

Reads tables of files that were probed and makes tables of clips: whole videos; or, with a length
and a number of hours, random clips, drawn evenly over all that the videos last. Test videos of the
labelled sets whose indices are named are left out, and copies of them under other names.
"""

import hashlib
import logging
from pathlib import Path

from pydantic import Field

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.video.clips import write_clips, write_left_out
from video_lstm.video.files import read_files
from video_lstm.video.held_out import read_test_videos, without_test_videos
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
    """Random seed for drawing clips."""
    videos: list[Path] = Field(default_factory=list)
    """Indices of labelled sets, whose test videos are left out of random clips."""
    use_splits: list[str] = Field(default_factory=list)
    """Splits whose test videos these are, each as SET:NUMBER, such as ucf101:1; of a set that is
    not named here, all."""


def main(arguments: Arguments) -> None:
    """Read, draw, write."""
    length, hours = arguments.clip_seconds, arguments.hours
    if (length is None) != (hours is None):
        raise UserError("expected both --clip-seconds and --hours or neither, found one; add it")
    table = read_files(arguments.probed)
    inputs: dict[str, Path | str] = {
        f"probed_{shard}": path for shard, path in enumerate(arguments.probed)
    }
    left_out: list[str] = []
    if length is None or hours is None:
        clips = whole_clips(table)
    else:
        tests = read_test_videos(arguments.videos, splits_by_set(arguments.use_splits))
        table, left_out = without_test_videos(table, tests)
        logger.info(
            "%s: %d videos left out: test videos of the labelled sets, by path or content%s",
            table.root, len(left_out), f" ('{left_out[0]}', ...)" if left_out else "",
        )  # fmt: skip
        # What is left out, not the indices: their other changes make no other clips.
        inputs["left_out"] = hashlib.sha256(repr(left_out).encode()).hexdigest()
        clips = random_clips(table, length, hours, arguments.seed)
    logger.info("%d clips, %d frames", len(clips), sum(clip.frames for clip in clips))
    parts = cut_shards([clip.frames for clip in clips], len(arguments.output))
    for shard, (output, part) in enumerate(zip(arguments.output, parts, strict=True)):
        which = {"shard": f"{shard} of {len(parts)}"}
        with artifacts.create(output, "clips", arguments.provenance(inputs | which)) as file:
            write_clips(file, clips[slice(*part)], table.rate)
            if left_out:
                write_left_out(file, left_out)


def splits_by_set(names: list[str]) -> dict[str, list[int]]:
    """The numbers of the splits in use by the name of the labelled set."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        dataset, _, number = name.partition(":")
        if not number.isdecimal() or number == "0":
            raise UserError(f"--use-splits: expected SET:NUMBER, such as ucf101:1, found '{name}'")
        numbers.setdefault(dataset, []).append(int(number))
    return numbers


if __name__ == "__main__":
    run(main, Arguments)
