"""Take frame features that the user has already as the percepts of clips.

Reads a shard of clips, and the features of its videos from FEATURES/DATASET: for the video
CLASS/a.mp4 the array (frames, values) in CLASS/a.npy or CLASS/a.h5, one row for each frame at the
rate of the clips. Writes what extract_percepts would write. All files that do not fit are reported.
"""

import logging
from pathlib import Path

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.percepts.extract import write_percepts
from video_lstm.percepts.own_features import (
    cut_clips,
    digest_feature_files,
    find_feature_files,
)
from video_lstm.settings.percepts import PerceptSettings
from video_lstm.video.clips import clip_rate, read_clips
from video_lstm.video.files import read_files

logger = logging.getLogger("video_lstm")


class Arguments(CommandLine):
    """Command line."""

    clips: Path
    """Clips (sample_clips)."""
    probed: list[Path]
    """Probing results of the data set's shards, which have the lengths of its videos."""
    dataset: str
    """Name of the data set, a folder below `percepts.features`."""
    percepts: PerceptSettings
    """Settings with the folder of the features."""
    output: Path
    """HDF5 file to write: percepts float16 (frames, D), with the clips' names and offsets."""


def main(arguments: Arguments) -> None:
    """Check all files, then write the artifact."""
    clips = read_clips([arguments.clips])
    folder = Path(arguments.percepts.features or "", arguments.dataset)
    files = find_feature_files(folder, [clip.video for clip in clips])
    lengths = {file.path: file.frames for file in read_files(arguments.probed).files}
    features, size = cut_clips(clips, files, lengths)
    provenance = arguments.provenance(
        {"clips": arguments.clips, "features": digest_feature_files(files)}
    )
    with artifacts.create(arguments.output, "percepts", provenance) as file:
        names, counts = [clip.name for clip in clips], [clip.frames for clip in clips]
        write_percepts(file, names, counts, features, size, clip_rate(arguments.clips))
    logger.info("%d rows of %d values from %d files", sum(counts), size, len(files))


if __name__ == "__main__":
    run(main, Arguments)
