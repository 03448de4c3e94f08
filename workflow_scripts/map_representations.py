"""Make an HTML page with maps of the test videos, by percepts and by an encoder.

Reads the representations by both, for each data set, and frames of the videos. The page needs no
other files and no network. With --tensorboard the same videos are also written for TensorBoard's
projector.
"""

from pathlib import Path

from video_lstm.artifacts import atomic_write
from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.galleries import read_gallery
from video_lstm.evaluation.representation_maps import render_map_page
from video_lstm.plots.style import join_frames
from video_lstm.settings.base import Positive
from video_lstm.training.tensorboard import write_projector
from video_lstm.video.filmstrips import read_filmstrips

_FRAMES, _SIZE = 6, (60, 80)


class Arguments(CommandLine):
    """Data sets and output, and the selection of videos."""

    videos: list[Path]
    """Indices of the labelled sets."""
    percepts: list[Path]
    """Representations by percepts (encode_videos), one file per data set, in the same order."""
    encoded: list[Path]
    """Representations by an encoder, of the same split and stream, one file per data set."""
    scores: list[Path]
    """Scores of both (score_representations), CSV, one file per data set."""
    clips: list[Path]
    """Clips of all data sets; those of a data set are in a folder of its name."""
    output: Path
    """HTML file to write."""
    queries: Positive = 300
    """Maximal number of test videos per data set, drawn at random."""
    neighbours: Positive = 5
    """Number of training videos for each test video, by percepts and by the encoder."""
    seed: int = 0
    """Random seed for the choice of test videos and for the maps."""
    tensorboard: Path | None = None
    """Folder for the logs of TensorBoard's projector."""


def main(arguments: Arguments) -> None:
    """Read the galleries, render the page and write it."""
    galleries = []
    files = (arguments.percepts, arguments.encoded, arguments.scores)
    for videos, percepts, encoded, scores in zip(arguments.videos, *files, strict=True):
        name = videos.stem
        gallery = read_gallery(
            [percepts, encoded], videos,
            [path for path in arguments.clips if path.parent.name == name], scores,
            num_queries=arguments.queries, num_neighbours=arguments.neighbours, seed=arguments.seed,
        )  # fmt: skip
        strips = read_filmstrips(gallery.clips, _FRAMES, _SIZE, arguments.threads)
        galleries.append((gallery, strips))
        if arguments.tensorboard:
            write_projector(
                arguments.tensorboard / "representations" / name,
                gallery.features,
                gallery.metadata,
                strips[: gallery.num_queries, _FRAMES // 2],
            )
    pictures = [(gallery, [join_frames(s) for s in strips]) for gallery, strips in galleries]
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(render_map_page(pictures, arguments.seed))


if __name__ == "__main__":
    run(main, Arguments)
