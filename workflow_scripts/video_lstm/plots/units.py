"""Figures of units: their weights as images, and their activity over time."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from video_lstm.plots.style import STYLE, join_frames, stack_rows


def tile_weights(images: np.ndarray, columns: int) -> np.ndarray:
    """Tile images of weights, each scaled by its largest magnitude, with grey for 0.

    Args:
        images: (n, height, width[, 3]) float.
        columns: Images in a row.

    Returns:
        (rows * (height + gap), columns * (width + gap), 3) uint8.
    """
    scaled = images / np.maximum(
        np.abs(images).max(tuple(range(1, images.ndim)), keepdims=True), 1e-12
    )
    pixels = np.uint8(np.rint(127.5 + 127.5 * scaled))
    starts = range(0, len(pixels), columns)
    return stack_rows([join_frames(pixels[start : start + columns]) for start in starts])


def plot_features(groups: Mapping[str, np.ndarray], columns: int = 12) -> Figure:
    """Plot weights as images, one panel per group (paper, section 3.2).

    Args:
        groups: Features of each group, (n, height, width[, 3]) float, in the order in which they
            are shown.
        columns: Images in a row of a panel.
    """
    across = min(3, len(groups))
    down = -(-len(groups) // across)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 1.9 * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (name, images) in zip(axes, groups.items(), strict=False):
            axis.imshow(tile_weights(images, columns), interpolation="nearest")
            axis.set_title(name)
    return figure


def plot_activity(
    runs: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]], trained_steps: int
) -> Figure:
    """Plot the activity of units over many predicted steps, one column per model (section 3.2).

    Args:
        runs: For each model some frames, (n, height, width[, 3]) uint8, and the activity of its
            units, (steps, units) for each trace.
        trained_steps: Number of future steps in training.
    """
    traces = list(next(iter(runs.values()))[1])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 1.0 + 1.15 * len(traces)), layout="constrained")
        ratios = [0.45] + [1] * len(traces)
        axes = figure.subplots(len(traces) + 1, len(runs), height_ratios=ratios, squeeze=False)
        for place, (name, (frames, unit_traces)) in enumerate(runs.items()):
            column = axes[:, place]
            column[0].imshow(join_frames(frames), interpolation="nearest")
            column[0].set_axis_off()
            column[0].set_title(name)
            for axis, trace in zip(column[1:], traces, strict=True):
                values = unit_traces[trace]
                gate = trace.endswith("gate")
                everywhere = [np.abs(other[trace]) for _, other in runs.values()]
                # A quantile, because a few extreme cells would make the others pale.
                bound = 1 if gate else float(np.quantile(everywhere, 0.99)) or 1
                image = axis.imshow(
                    *(values.T,), aspect="auto", interpolation="nearest", origin="lower",
                    cmap="viridis" if gate else "RdBu_r", vmin=0 if gate else -bound, vmax=bound,
                    extent=(0.5, len(values) + 0.5, 0, values.shape[1]),
                )  # fmt: skip
                axis.axvline(
                    trained_steps + 0.5,
                    color="white" if gate else "black",
                    linewidth=0.8,
                    linestyle=":",
                )
                axis.set_xticks([1, *range(20, len(values) + 1, 20)])
                axis.tick_params(labelbottom=trace == traces[-1])
                if place == 0:
                    axis.set_ylabel(f"{trace}\nof unit")
                else:
                    axis.set_yticks([])
                if place == len(runs) - 1:
                    figure.colorbar(image, ax=axis, fraction=0.04, pad=0.02)
            column[-1].set_xlabel("predicted step")
    return figure
