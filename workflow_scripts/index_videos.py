"""Index the videos of a data set.

Reads the tables of probed files, and writes a table of all videos with their properties, classes
and splits. A file that is left out is listed with the reason.
"""

import logging
from pathlib import Path

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.settings.videos import VideoSource
from video_lstm.video.files import read_files, remove_copies, summarise
from video_lstm.video.index import build_index, write_videos
from video_lstm.video.layouts import find_lists

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    source: VideoSource
    """Folder of the videos and definition of the splits."""
    probed: list[Path]
    """Tables of probed files, all shards."""
    output: Path
    """HDF5 file to write."""
    seed: int = 0
    """Random seed for splits that are drawn."""
    transcoded: Path | None = None
    """Folder of transcoded copies; copies of files that no longer exist are removed."""


def main(arguments: Arguments) -> None:
    """Read the probed files, assign classes and splits, and write the index."""
    files = read_files(arguments.probed)
    table = build_index(arguments.source, files, arguments.seed)
    for note in table.notes:
        logger.warning("%s: %s", table.root, note)
    logger.info("%s: %s", table.root, summarise(table.videos, len(table.classes)))
    if arguments.transcoded is not None:
        remove_copies(arguments.transcoded, files)
    inputs = {f"probed_{shard}": path for shard, path in enumerate(arguments.probed)}
    inputs |= {f"list_{n}": path for n, path in enumerate(find_lists(arguments.source))}
    with artifacts.create(arguments.output, "videos", arguments.provenance(inputs)) as file:
        write_videos(file, table)


if __name__ == "__main__":
    run(main, Arguments)
