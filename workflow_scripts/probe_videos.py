"""Probe the videos of a shard.

Reads every file of the shard once, in parallel, and writes a table with path, number of frames,
frame rate, frame size and status. Broken, empty and too short files are listed with the reason.
"""

import logging
from pathlib import Path

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.progress import Progress
from video_lstm.settings.videos import VideoSettings
from video_lstm.video.files import hash_contents, probe_files, summarise, write_files

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    root: Path
    """Folder of the data set."""
    labelled: bool = False
    """Whether the data set has a folder for each class; files outside these are ignored."""
    follow_links: bool = False
    """Whether to follow symbolic links, wherever they lead."""
    output: Path
    """HDF5 file to write."""
    shard: int = 0
    """Number of the shard, from 0. The shard of a file depends on its path alone."""
    num_shards: int = 1
    """Number of shards."""
    video: VideoSettings = VideoSettings()
    """Target frame rate, minimum length and other settings of the videos."""
    transcoded: Path | None = None
    """Folder for copies of intact videos that the reader refuses; without it they are left out."""


def main(arguments: Arguments) -> None:
    """Find the files, probe them and write the table."""
    progress: Progress | None = None

    def report_progress(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or Progress(total, "videos")
        progress.update(done - progress.done)

    table = probe_files(
        arguments.root, arguments.labelled, arguments.video, arguments.shard, arguments.num_shards,
        max(1, arguments.threads), report_progress, arguments.transcoded, arguments.follow_links,
    )  # fmt: skip
    logger.info("%s: %s", table.root, summarise(table.files))
    provenance = arguments.provenance({"videos": hash_contents(table.files)})
    with artifacts.create(arguments.output, "probed", provenance) as file:
        write_files(file, table.root, table.rate, table.files)


if __name__ == "__main__":
    run(main, Arguments)
