"""Draw test videos with their nearest training videos, by percepts and by an encoder.

Reads the representations by both, and frames of the videos. The test videos have different classes
and are drawn at random, independently of how well they are recognised.
"""

from pathlib import Path

from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.galleries import read_gallery
from video_lstm.plots.filmstrips import plot_retrieval
from video_lstm.plots.style import save_figure
from video_lstm.settings.base import Positive
from video_lstm.video.filmstrips import read_filmstrips

_FRAMES, _SIZE = 3, (90, 120)


class Arguments(CommandLine):
    """Representations, videos and figures."""

    representations: list[Path]
    """Artifacts of encode_videos: of the percepts, and of an encoder."""
    videos: Path
    """Index of the labelled set."""
    clips: list[Path]
    """Clips of the labelled set, all shards."""
    scores: Path
    """Scores of these representations (score_representations), CSV."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""
    queries: Positive = 6
    """Maximal number of test videos, of different classes."""
    neighbours: Positive = 4
    """Number of training videos for each test video."""
    seed: int = 0
    """Random seed for the choice of test videos."""


def main(arguments: Arguments) -> None:
    """Read the gallery and draw it."""
    gallery = read_gallery(
        arguments.representations, arguments.videos, arguments.clips, arguments.scores,
        num_queries=arguments.queries, num_neighbours=arguments.neighbours, seed=arguments.seed,
        distinct_classes=True,
    )  # fmt: skip
    strips = read_filmstrips(gallery.clips, _FRAMES, _SIZE, arguments.threads)
    save_figure(plot_retrieval(strips, gallery.class_names, gallery.neighbours), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
