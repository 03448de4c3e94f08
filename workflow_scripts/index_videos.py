"""Index the videos of a data set.

Reads what probing found in every shard, and makes the table of all videos: what they are, their
classes, and their parts in every split. A file that is left out stays in it with the reason.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.settings.videos import VideoSource
from video_lstm.video.files import read_files, remove_copies, summarise
from video_lstm.video.index import build_index, write_videos
from video_lstm.video.layouts import list_files

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    source: VideoSource
    """Where the videos are, and how splits are cut."""
    probed: list[Path]
    """Tables of the files, all shards."""
    output: Path
    """The table to make (HDF5)."""
    seed: int = 0
    """Random seed for splits that are drawn."""
    transcoded: Path | None = None
    """Folder of copies that stand for files; those of files that are gone are removed."""


def main(arguments: Arguments) -> None:
    """Read, sort into classes and splits, write."""
    files = read_files(arguments.probed)
    table = build_index(arguments.source, files, arguments.seed)
    for note in table.notes:
        logger.warning("%s: %s", table.root, note)
    logger.info("%s: %s", table.root, summarise(table.videos, len(table.classes)))
    if arguments.transcoded is not None:
        remove_copies(arguments.transcoded, files)
    inputs = {f"probed_{shard}": path for shard, path in enumerate(arguments.probed)}
    inputs |= {f"list_{n}": path for n, path in enumerate(list_files(arguments.source))}
    with artifacts.create(arguments.output, "videos", arguments.provenance(inputs)) as file:
        write_videos(file, table)


if __name__ == "__main__":
    run(main, Arguments)
