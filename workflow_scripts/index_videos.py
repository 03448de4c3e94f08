"""Index the videos of a data set.

Reads every video once, in parallel, and makes the table of them: path, class, splits, frames, rate,
size, and status. A file that is broken, empty or too short stays in the table with the reason.
"""

import logging
from pathlib import Path

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.progress import Progress
from video_lstm.settings import VideoSettings, VideoSource
from video_lstm.video.index import build_index, contents, summarise, write_videos

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Options of the script."""

    source: VideoSource
    """Where the videos are, and how splits are cut."""
    output: Path
    """The table to make (HDF5)."""
    video: VideoSettings = VideoSettings()
    """How files become frames."""
    seed: int = 0
    """Of splits that are drawn."""
    transcoded: Path | None = None
    """Folder for copies of sound videos that the reader refuses; without it they are left out."""


def main(arguments: Arguments) -> None:
    """Find, probe, check, write."""
    progress: Progress | None = None

    def tell(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or Progress(total, "videos")
        progress.update(done - progress.done)

    table = build_index(
        arguments.source,
        arguments.video,
        arguments.seed,
        max(1, arguments.threads),
        tell,
        arguments.transcoded,
    )
    for note in table.notes:
        logger.warning("%s: %s", table.root, note)
    logger.info("%s: %s", table.root, summarise(table))
    provenance = arguments.provenance({"videos": contents(table)})
    with artifacts.create(arguments.output, "videos", provenance) as file:
        write_videos(file, table)


if __name__ == "__main__":
    run(main, Arguments)
