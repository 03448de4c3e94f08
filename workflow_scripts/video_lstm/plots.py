"""The figures: predicted frames, errors, curves, features and the activity of units."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from video_lstm.artifacts import atomic_write
from video_lstm.evaluation.measures import ACCURACY, FRAME_MEASURES
from video_lstm.settings.training import VariantName
from video_lstm.video.write_video import save_animation

_TONES = ("#1b6ca8", "#6db3e0", "#b5541c", "#f0a35e", "#2d7d46", "#8cc86f")
COLOURS = dict(zip(get_args(VariantName), _TONES, strict=True))
"""A hue for what a model makes, its lighter tone for the conditional one."""

_PLAIN = {"single_frame": "#9a9a9a", "lstm_baseline": "#222222"}
_BASELINE_LINE_STYLES = {"copy_last_frame": (0, (1, 1)), "mean_frame": (0, (5, 2))}
_STYLE = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "video_lstm",  # names that are not drawn at random
}
_SIGNS = {True: ("\N{CHECK MARK}", "#1b6ca8"), False: ("\N{BALLOT X}", "#b5541c")}
_GAP = 2  # pixels between frames
_PREVIEW_SCALE, _PREVIEW_RATE = 2, 100 / 15
_MIN_HEIGHT, _LINE = 192, 6  # pixels: of the smallest animation, and of the line below it
_SEEN, _PREDICTED = (154, 154, 154), (240, 120, 30)


def label(name: str) -> str:
    """A name as a person writes it."""
    return name.replace("_", " ")


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure to every path, in the format of its suffix."""
    with matplotlib.rc_context(_STYLE):
        for path in paths:
            kind = Path(path).suffix.removeprefix(".")
            dated = {"metadata": {"Date": None}} if kind == "svg" else {}
            with atomic_write(path) as temporary:
                figure.savefig(temporary, format=kind, bbox_inches="tight", **dated)


def strip(frames: np.ndarray) -> np.ndarray:
    """Frames side by side.

    Args:
        frames: (T, height, width[, 3]) uint8.

    Returns:
        (height, T * width + gaps, 3) uint8, the gaps white.
    """
    coloured = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1)
    gaps = ((0, 0), (0, 0), (0, _GAP), (0, 0))
    padded = np.pad(coloured, gaps, constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-_GAP]


def samples(frames_by_model: Mapping[str, Mapping[str, np.ndarray]], sequences: int = 2) -> Figure:
    """Truth, reconstruction and predicted future of a few sequences, a row per model.

    Args:
        frames_by_model: For each variant `truth` (n, T + F, ...), and `reconstruction` (n, T, ...),
            `future` (n, F, ...), as far as it makes them, in the order of time; uint8 pictures.
        sequences: how many of the n are shown: the first.
    """
    truth = next(iter(frames_by_model.values()))["truth"]
    future = max(
        parts["future"].shape[1] if "future" in parts else 0 for parts in frames_by_model.values()
    )
    seen = truth.shape[1] - future
    side = 5.6 / truth.shape[1]  # of a frame, in inches
    with matplotlib.rc_context(_STYLE):
        height = sequences * (side * (len(frames_by_model) + 1) + 0.15) + 0.25
        figure = Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.subplots(sequences, squeeze=False)[:, 0]
        for number, axis in enumerate(axes):
            films = [
                truth[number],
                *(_model_sequence(parts, number, 255) for parts in frames_by_model.values()),
            ]
            gap = np.full((1, *truth.shape[2:]), 255, np.uint8)[:, :, : 3 * _GAP]
            rows = [
                np.concatenate(
                    [strip(film[:seen]), strip(gap)[:, : 3 * _GAP], strip(film[seen:])], 1
                )
                if future
                else strip(film)
                for film in films
            ]
            picture = _stack_rows(rows)
            axis.imshow(picture, interpolation="nearest")
            middles = (np.arange(len(rows)) + 0.5) * (picture.shape[0] + _GAP) / len(rows)
            axis.set_yticks(middles - _GAP / 2, ["truth", *map(label, frames_by_model)], fontsize=7)
            axis.set_xticks([])
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            if axis is axes[0]:
                width = truth.shape[3] + _GAP
                for start, count, name in ((0, seen, "seen"), (seen, future, "future")):
                    if count:
                        where = (start + count / 2) * width
                        axis.text(where, -3 * _GAP, name, ha="center", va="bottom")
    return figure


def _model_sequence(parts: Mapping[str, np.ndarray], number: int, blank: int) -> np.ndarray:
    """What a model makes of one sequence, (T + F, ...); `blank` where it makes nothing."""
    film = np.full_like(parts["truth"][number], blank)
    if "reconstruction" in parts:
        seen = parts["reconstruction"][number]
        film[: len(seen)] = seen
    if "future" in parts:
        future = parts["future"][number]
        film[-len(future) :] = future
    return film


def _stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures on top of each other, white between them and at the end of shorter ones."""
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return np.concatenate(padded)[:-_GAP]


def errors(
    errors_by_model: Mapping[str, Mapping[str, np.ndarray]], measures: Sequence[str]
) -> Figure:
    """Error against frame, all variants and trivial baselines in one plot per measure.

    Args:
        errors_by_model: For each variant the errors per step, see `frame_errors.evaluate`.
        measures: those that are shown.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.5 * len(measures), 2.9), layout="constrained")
        axes = figure.subplots(1, len(measures), squeeze=False)[0]
        for axis, measure in zip(axes, measures, strict=True):
            baselines: dict[str, dict[str, np.ndarray]] = {}
            for variant, steps in errors_by_model.items():
                _plot_branches(axis, steps, measure, color=COLOURS[variant], label=label(variant))
                for name in _BASELINE_LINE_STYLES:
                    own = {
                        key.removeprefix(f"{name}_"): value
                        for key, value in steps.items()
                        if key.startswith(f"{name}_")
                    }
                    baselines.setdefault(name, {}).update(own)
            for name, steps in baselines.items():
                style = {"color": "0.35", "linestyle": _BASELINE_LINE_STYLES[name], "linewidth": 1}
                _plot_branches(axis, steps, measure, marker="", label=label(name), **style)
            if measure != "ssim":  # a bad baseline would flatten all other curves
                low, high = _range(errors_by_model.values(), measure)
                margin = 0.06 * (high - low)
                axis.set_ylim(low - margin, high + margin)
            axis.axvline(0.5, color="0.8", linewidth=0.8, zorder=0)
            axis.set(
                xlabel="frame (1: the first that is predicted)",
                ylabel=FRAME_MEASURES[measure].axis_label,
            )
        handles, names = axis.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def _range(
    errors_by_model: Iterable[Mapping[str, np.ndarray]], measure: str
) -> tuple[float, float]:
    """Return the least error of all, and the largest of a model or the better baseline."""
    least, largest = np.inf, dict[str, float]()
    for errors in errors_by_model:
        for name, steps in errors.items():
            if name.endswith(measure):
                who = next((y for y in _BASELINE_LINE_STYLES if name.startswith(y)), "model")
                least = min(least, float(steps.min()))
                largest[who] = max(largest.get(who, 0), float(steps.max()))
    return least, max(largest["model"], min(largest[name] for name in _BASELINE_LINE_STYLES))


def _plot_branches(axis: Axes, steps: Mapping[str, np.ndarray], measure: str, **style: Any) -> None:
    """Reconstruction (its first step is the last frame seen, frame 0) and future, as one colour."""
    look = {"marker": "o", "markersize": 2.2, "linewidth": 1.2} | style
    for branch in ("reconstruction", "future"):
        values = steps.get(f"{branch}_{measure}")
        if values is None:
            continue
        count = np.arange(len(values))
        axis.plot(-count if branch == "reconstruction" else count + 1, values, **look)
        look["label"] = None


def curves(curves_by_variant: Mapping[str, Mapping[str, np.ndarray]], unit: str) -> Figure:
    """Training and validation error against step, all variants.

    Args:
        curves_by_variant: curves of every variant, as pretraining keeps them.
        unit: Unit of the losses.
    """
    panels = ("loss", "reconstruction", "future")
    titles = ("training, both branches", "validation, reconstruction", "validation, future")
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        for axis, panel, title in zip(figure.subplots(1, 3), panels, titles, strict=True):
            for variant, history in curves_by_variant.items():
                if panel not in history:
                    continue
                steps, values = (
                    history["step" if panel == "loss" else "validation_step"],
                    history[panel],
                )
                if panel == "loss":  # of single batches, hence smoothed
                    window = max(len(values) // 40, 1)
                    num_points = len(values) // window * window
                    steps, values = (
                        a[:num_points].reshape(-1, window).mean(1) for a in (steps, values)
                    )
                style = {"marker": "o", "markersize": 2.2} if panel != "loss" else {}
                axis.plot(
                    steps,
                    values,
                    color=COLOURS[variant],
                    linewidth=1.2,
                    label=label(variant),
                    **style,
                )
            axis.set(title=title, xlabel="step")
        figure.axes[0].set_ylabel(unit)
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )
    return figure


def accuracy(summary: pd.DataFrame) -> Figure:
    """Accuracy against labelled videos per class, and the gain over the baseline below it.

    A column for each data set and stream; bars are 95% intervals (paper, figure 6).

    Args:
        summary: as `evaluation.accuracy.summarise` returns.
    """
    groups = list(summary.groupby(["corpus", "stream"], sort=False))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(1.4 + 2.9 * len(groups), 4.6), layout="constrained")
        axes = figure.subplots(2, len(groups), squeeze=False, sharey="row")
        for ((corpus, stream), rows), (upper, lower) in zip(groups, axes.T, strict=True):
            labels = list(dict.fromkeys(rows["labels"]))
            models = [model for model in _PLAIN | COLOURS if model in set(rows["variant"])]
            for place, model in enumerate(models):
                line = rows[rows["variant"] == model]
                # Side by side, so that intervals can be told apart.
                x = [labels.index(n) + 0.06 * (place - len(models) / 2) for n in line["labels"]]
                style = {"color": (_PLAIN | COLOURS)[model], "marker": "o",
                         "markersize": 2.5, "linewidth": 1, "elinewidth": 0.7}  # fmt: skip
                for axis, name in ((upper, "mean"), (lower, "gain")):
                    ends = ("low", "high") if name == "mean" else ("gain_low", "gain_high")
                    bars = [(line[name] - line[ends[0]]), (line[ends[1]] - line[name])]
                    if line[name].notna().any():
                        axis.errorbar(x, line[name], bars, label=label(model), **style)
            upper.set_title(f"{corpus}, {stream}")
            lower.axhline(0, color=_PLAIN["lstm_baseline"], linewidth=0.7)
            for axis in (upper, lower):
                axis.set_xticks(range(len(labels)), labels)
            lower.set_xlabel("labelled videos per class")
        axes[0, 0].set_ylabel(ACCURACY.axis_label)
        axes[1, 0].set_ylabel("gain over lstm baseline (points)")
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside right center")
    return figure


def unlabelled_hours(table: pd.DataFrame) -> Figure:
    """Accuracy against hours of unlabelled video, and that of the baseline without pretraining.

    Args:
        table: as `evaluation.accuracy.hours_table` returns.
    """
    groups = list(table.groupby(["corpus", "stream", "labels"], sort=False))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(0.6 + 2.9 * len(groups), 2.8), layout="constrained")
        axes = figure.subplots(1, len(groups), squeeze=False)[0]
        for ((corpus, stream, labels), rows), axis in zip(groups, axes, strict=True):
            base, line = rows[rows["hours"].isna()].iloc[0], rows[rows["hours"].notna()]
            color = _PLAIN["lstm_baseline"]
            axis.axhspan(base["low"], base["high"], color=color, alpha=0.1, linewidth=0)
            axis.axhline(base["mean"], color=color, linewidth=1, label=label("lstm_baseline"))
            model = line["variant"].iloc[0]
            bars = [line["mean"] - line["low"], line["high"] - line["mean"]]
            axis.errorbar(
                line["hours"], line["mean"], bars, label=label(model), color=COLOURS[model],
                marker="o", markersize=3, linewidth=1, elinewidth=0.7,
            )  # fmt: skip
            axis.set_title(f"{corpus}, {stream}, labels per class: {labels}")
            axis.set_xlabel("hours of unlabelled video")
        axes[0].set_ylabel(ACCURACY.axis_label)
        axes[0].legend()
    return figure


def mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Images of weights in rows, each scaled to its own largest magnitude, grey for 0.

    Args:
        images: (n, height, width[, 3]) float.
        columns: images in a row.

    Returns:
        (rows * (height + gap), columns * (width + gap), 3) uint8.
    """
    scaled = images / np.maximum(
        np.abs(images).max(tuple(range(1, images.ndim)), keepdims=True), 1e-12
    )
    pixels = np.uint8(np.rint(127.5 + 127.5 * scaled))
    starts = range(0, len(pixels), columns)
    return _stack_rows([strip(pixels[start : start + columns]) for start in starts])


def features(groups: Mapping[str, np.ndarray], columns: int = 12) -> Figure:
    """Weights as images, a panel per group (paper, section 3.2).

    Args:
        groups: (n, height, width[, 3]) float, the features of each group, in the order in which
            they are shown; the same place in two panels is the same unit where both order so.
        columns: images in a row of a panel.
    """
    across = min(3, len(groups))
    down = -(-len(groups) // across)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 1.9 * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (name, images) in zip(axes, groups.items(), strict=False):
            axis.imshow(mosaic(images, columns), interpolation="nearest")
            axis.set_title(name)
    return figure


def activity(
    runs: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]], trained_steps: int
) -> Figure:
    """What units do over many predicted steps, a column per model (paper, section 3.2).

    Args:
        runs: For each model some of its frames, (n, height, width[, 3]) uint8, and what its units
            do, (steps, units) each.
        trained_steps: Number of future steps in training.
    """
    traces = list(next(iter(runs.values()))[1])
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 1.0 + 1.15 * len(traces)), layout="constrained")
        ratios = [0.45] + [1] * len(traces)
        axes = figure.subplots(len(traces) + 1, len(runs), height_ratios=ratios, squeeze=False)
        for place, (name, (frames, unit_traces)) in enumerate(runs.items()):
            column = axes[:, place]
            column[0].imshow(strip(frames), interpolation="nearest")
            column[0].set_axis_off()
            column[0].set_title(name)
            for axis, trace in zip(column[1:], traces, strict=True):
                values = unit_traces[trace]
                gate = trace.endswith("gate")
                everywhere = [np.abs(other[trace]) for _, other in runs.values()]
                # A few cells that go far must not make the others pale.
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


def preview(
    frames_by_model: Mapping[str, Mapping[str, np.ndarray]], path: Path, sequences: int = 4
) -> None:
    """An animation, GIF: columns are the truth and the models, rows are sequences.

    While frames are seen a model shows its reconstruction, and then its prediction; black where it
    makes none.

    Args:
        frames_by_model: see `samples`.
        path: where to.
        sequences: how many: the first.
    """
    truth = next(iter(frames_by_model.values()))["truth"]
    films = [
        [truth[number], *(_model_sequence(parts, number, 0) for parts in frames_by_model.values())]
        for number in range(min(sequences, len(truth)))
    ]
    pictures = np.stack(
        [
            _stack_rows([strip(np.stack([film[frame] for film in row])) for row in films])
            for frame in range(truth.shape[1])
        ]
    )
    save_animation(
        path, pictures.repeat(_PREVIEW_SCALE, 1).repeat(_PREVIEW_SCALE, 2), _PREVIEW_RATE
    )


def side_by_side(left: np.ndarray, right: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Join two animations above a line: grey for input frames, orange for predicted ones.

    Args:
        left: (T, height, width[, 3]) uint8; what is true.
        right: as `left`; what a model makes of it.
        seen: (T,) bool.

    Returns:
        (T, height, width, 3) uint8, small pictures enlarged.
    """
    scale = max(1, _MIN_HEIGHT // left.shape[1])
    pairs = np.stack([strip(np.stack(pair)) for pair in zip(left, right, strict=True)])
    pairs = pairs.repeat(scale, 1).repeat(scale, 2)
    line = np.where(seen[:, None], _SEEN, _PREDICTED).astype(np.uint8)
    below = np.broadcast_to(line[:, None, None], (len(pairs), _LINE, *pairs.shape[2:]))
    return np.concatenate([pairs, below], axis=1)


def retrieval(
    strips: np.ndarray, classes: Sequence[str], neighbours: Mapping[str, np.ndarray]
) -> Figure:
    """Videos, each with its nearest others by percepts and by a representation.

    Neighbours of the same class have a blue frame and a tick, others an orange one and a cross.

    Args:
        strips: (videos, frames, height, width, 3) uint8; the first of them ask.
        classes: Class of each video.
        neighbours: (queries, count) int, rows of `strips`, the nearest first; by representation.
    """
    queries, count = next(iter(neighbours.values())).shape
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(1.9 * (count + 1), 1.35 * queries), layout="constrained")
        grid = figure.add_gridspec(len(neighbours) * queries, count + 1)
        for query in range(queries):
            first = len(neighbours) * query
            axis = figure.add_subplot(grid[first : first + len(neighbours), 0])
            _show_filmstrip(axis, strips[query], label(classes[query]), "black")
            for line, (name, rows) in enumerate(neighbours.items()):
                for place, row in enumerate(rows[query]):
                    axis = figure.add_subplot(grid[first + line, 1 + place])
                    sign, colour = _SIGNS[classes[row] == classes[query]]
                    _show_filmstrip(axis, strips[row], f"{sign} {label(classes[row])}", colour)
                    if place == 0:
                        axis.set_ylabel(label(name), fontsize=7)
    return figure


def _show_filmstrip(axis: Axes, frames: np.ndarray, title: str, colour: str) -> None:
    """A filmstrip in a coloured frame, a title above it."""
    axis.imshow(strip(frames), interpolation="nearest")
    axis.set_title(title, fontsize=7, color=colour, pad=2)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=colour, linewidth=1.5)
