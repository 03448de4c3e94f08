"""The figure of retrieval: videos with their nearest neighbours, as filmstrips."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from video_lstm.plots.style import STYLE, format_name, join_frames

_SIGNS = {True: ("\N{CHECK MARK}", "#1b6ca8"), False: ("\N{BALLOT X}", "#b5541c")}


def plot_retrieval(
    strips: np.ndarray, classes: Sequence[str], neighbours: Mapping[str, np.ndarray]
) -> Figure:
    """Plot videos with their nearest neighbours by percepts and by a representation.

    Neighbours of the same class have a blue frame and a tick, others an orange frame and a cross.

    Args:
        strips: (videos, frames, height, width, 3) uint8; the queries come first.
        classes: Class of each video.
        neighbours: (queries, count) int, rows of `strips`, nearest first; for each
            representation.
    """
    queries, count = next(iter(neighbours.values())).shape
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * (count + 1), 1.35 * queries), layout="constrained")
        grid = figure.add_gridspec(len(neighbours) * queries, count + 1)
        for query in range(queries):
            first = len(neighbours) * query
            axis = figure.add_subplot(grid[first : first + len(neighbours), 0])
            _show_filmstrip(axis, strips[query], format_name(classes[query]), "black")
            for line, (name, rows) in enumerate(neighbours.items()):
                for place, row in enumerate(rows[query]):
                    axis = figure.add_subplot(grid[first + line, 1 + place])
                    sign, colour = _SIGNS[classes[row] == classes[query]]
                    _show_filmstrip(
                        axis, strips[row], f"{sign} {format_name(classes[row])}", colour
                    )
                    if place == 0:
                        axis.set_ylabel(format_name(name), fontsize=7)
    return figure


def _show_filmstrip(axis: Axes, frames: np.ndarray, title: str, colour: str) -> None:
    """Show a filmstrip in a coloured frame, with a title above it."""
    axis.imshow(join_frames(frames), interpolation="nearest")
    axis.set_title(title, fontsize=7, color=colour, pad=2)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=colour, linewidth=1.5)
