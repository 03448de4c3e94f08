"""Make a page (HTML) with maps of the test videos, by percepts and by a representation.

Reads what encode_videos wrote of both, for each data set, and frames of the videos themselves. The
page opens from disk, without a network. With --tensorboard the same videos are written for
TensorBoard's projector too.
"""

from pathlib import Path

from command_line import CommandLine, run
from video_lstm.artifacts import atomic_write
from video_lstm.evaluation.galleries import read_gallery
from video_lstm.evaluation.representation_maps import map_page
from video_lstm.plots.style import join_frames
from video_lstm.settings.base import Positive
from video_lstm.training.tensorboard import write_projector
from video_lstm.video.filmstrips import read_filmstrips

_FRAMES, _SIZE = 6, (60, 80)


class Arguments(CommandLine):
    """What is shown."""

    videos: list[Path]
    """Indices of the data sets."""
    percepts: list[Path]
    """Representations `percepts` (encode_videos), one file a data set, in the same order."""
    encoded: list[Path]
    """And of an encoder, of the same split and stream."""
    scores: list[Path]
    """And what score_representations wrote of both."""
    clips: list[Path]
    """Clips of all data sets; a shard lies in the folder of its own."""
    output: Path
    """HTML file to write."""
    queries: Positive = 300
    """Test videos of a data set, at most; more are drawn from."""
    neighbours: Positive = 5
    """Training videos that are shown with each, by percepts and by the encoder."""
    seed: int = 0
    """Random seed for the choice of test videos and for the maps."""
    tensorboard: Path | None = None
    """Folder below which the videos are written for TensorBoard's projector."""


def main(arguments: Arguments) -> None:
    """Read, render and write."""
    galleries = []
    files = (arguments.percepts, arguments.encoded, arguments.scores)
    for videos, percepts, encoded, scores in zip(arguments.videos, *files, strict=True):
        name = videos.stem
        gallery = read_gallery(
            [percepts, encoded], videos,
            [path for path in arguments.clips if path.parent.name == name], scores,
            queries=arguments.queries, neighbours=arguments.neighbours, seed=arguments.seed,
        )  # fmt: skip
        strips = read_filmstrips(gallery.clips, _FRAMES, _SIZE, arguments.threads)
        galleries.append((gallery, strips))
        if arguments.tensorboard:
            write_projector(
                arguments.tensorboard / "representations" / name,
                gallery.features,
                gallery.metadata,
                strips[: gallery.queries, _FRAMES // 2],
            )
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(
            map_page([(gallery, [join_frames(s) for s in strips]) for gallery, strips in galleries],
                     arguments.seed)
        )  # fmt: skip


if __name__ == "__main__":
    run(main, Arguments)
