"""Probe the videos of a shard.

Reads every file of the shard once, in parallel, and makes the table of them: path, frames, rate,
size, and status. A file that is broken, empty or too short stays in the table with the reason.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.progress import Progress
from video_lstm.settings.videos import VideoSettings
from video_lstm.video.files import contents, probe_files, summarise, write_files

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    root: Path
    """Folder of the data set."""
    labelled: bool = False
    """Whether it has a folder for each class, and only what is in these counts."""
    follow_links: bool = False
    """Whether symbolic links are followed, wherever they lead."""
    output: Path
    """The table to make (HDF5)."""
    shard: int = 0
    """Which part of the files, from 0. Which part a file is in follows from its path alone."""
    num_shards: int = 1
    """How many parts there are."""
    video: VideoSettings = VideoSettings()
    """How files become frames."""
    transcoded: Path | None = None
    """Folder for copies of sound videos that the reader refuses; without it they are left out."""


def main(arguments: Arguments) -> None:
    """Find, probe, write."""
    progress: Progress | None = None

    def tell(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or Progress(total, "videos")
        progress.update(done - progress.done)

    table = probe_files(
        arguments.root, arguments.labelled, arguments.video, arguments.shard, arguments.num_shards,
        max(1, arguments.threads), tell, arguments.transcoded, arguments.follow_links,
    )  # fmt: skip
    logger.info("%s: %s", table.root, summarise(table.files))
    provenance = arguments.provenance({"videos": contents(table.files)})
    with artifacts.create(arguments.output, "probed", provenance) as file:
        write_files(file, table.root, table.rate, table.files)


if __name__ == "__main__":
    run(main, Arguments)
