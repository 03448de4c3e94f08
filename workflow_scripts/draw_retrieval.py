"""Draw some test videos with their nearest training videos, by percepts and by a representation.

Reads what encode_videos wrote of both, and frames of the videos themselves. The test videos are of
different classes and drawn at random, however well they are recognised.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.evaluation.galleries import read_gallery
from video_lstm.plots.filmstrips import plot_retrieval
from video_lstm.plots.style import save_figure
from video_lstm.settings.base import Positive
from video_lstm.video.filmstrips import read_filmstrips

_FRAMES, _SIZE = 3, (90, 120)


class Arguments(CommandLine):
    """What to draw."""

    representations: list[Path]
    """Artifacts of encode_videos: by percepts, and by an encoder."""
    videos: Path
    """Index of the labelled set."""
    clips: list[Path]
    """Its clips, all shards."""
    scores: Path
    """What score_representations wrote of them."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""
    queries: Positive = 6
    """Test videos, each of another class."""
    neighbours: Positive = 4
    """Training videos beside each."""
    seed: int = 0
    """Random seed for the choice of test videos."""


def main(arguments: Arguments) -> None:
    """Find, read and draw."""
    gallery = read_gallery(
        arguments.representations, arguments.videos, arguments.clips, arguments.scores,
        queries=arguments.queries, neighbours=arguments.neighbours, seed=arguments.seed,
        distinct_classes=True,
    )  # fmt: skip
    strips = read_filmstrips(gallery.clips, _FRAMES, _SIZE, arguments.threads)
    save_figure(plot_retrieval(strips, gallery.names, gallery.neighbours), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
