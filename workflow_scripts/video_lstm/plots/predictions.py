"""Figures of predicted frames: samples beside the truth, and errors of each frame."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from video_lstm.evaluation.measures import FRAME_MEASURES
from video_lstm.plots.style import COLOURS, GAP, STYLE, format_name, join_frames, stack_rows
from video_lstm.video.write_video import save_animation

_LINE_STYLES = {"copy_last_frame": (0, (1, 1)), "mean_frame": (0, (5, 2))}
_PREVIEW_SCALE, _PREVIEW_RATE = 2, 100 / 15
_MIN_HEIGHT, _LINE = 192, 6  # pixels: of the smallest animation, and of the line below it
_SEEN, _PREDICTED = (154, 154, 154), (240, 120, 30)


def plot_samples(
    frames_by_model: Mapping[str, Mapping[str, np.ndarray]], sequences: int = 2
) -> Figure:
    """Plot truth, reconstruction and predicted future of a few sequences, one row per model.

    Args:
        frames_by_model: For each variant `truth` (n, T + F, ...), and, if it has the decoder,
            `reconstruction` (n, T, ...) and `future` (n, F, ...), in temporal order; uint8.
        sequences: Number of sequences to show, from the first.
    """
    truth = next(iter(frames_by_model.values()))["truth"]
    future = max(
        parts["future"].shape[1] if "future" in parts else 0 for parts in frames_by_model.values()
    )
    seen = truth.shape[1] - future
    side = 5.6 / truth.shape[1]  # of a frame, in inches
    with matplotlib.rc_context(STYLE):
        height = sequences * (side * (len(frames_by_model) + 1) + 0.15) + 0.25
        figure = Figure(figsize=(7.2, height), layout="constrained")
        axes = figure.subplots(sequences, squeeze=False)[:, 0]
        for number, axis in enumerate(axes):
            films = [
                truth[number],
                *(_model_sequence(parts, number, 255) for parts in frames_by_model.values()),
            ]
            gap = np.full((1, *truth.shape[2:]), 255, np.uint8)[:, :, : 3 * GAP]
            rows = [
                np.concatenate(
                    [
                        join_frames(film[:seen]),
                        join_frames(gap)[:, : 3 * GAP],
                        join_frames(film[seen:]),
                    ],
                    1,
                )
                if future
                else join_frames(film)
                for film in films
            ]
            picture = stack_rows(rows)
            axis.imshow(picture, interpolation="nearest")
            middles = (np.arange(len(rows)) + 0.5) * (picture.shape[0] + GAP) / len(rows)
            axis.set_yticks(
                middles - GAP / 2, ["truth", *map(format_name, frames_by_model)], fontsize=7
            )
            axis.set_xticks([])
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            if axis is axes[0]:
                width = truth.shape[3] + GAP
                for start, count, name in ((0, seen, "seen"), (seen, future, "future")):
                    if count:
                        where = (start + count / 2) * width
                        axis.text(where, -3 * GAP, name, ha="center", va="bottom")
    return figure


def _model_sequence(parts: Mapping[str, np.ndarray], number: int, blank: int) -> np.ndarray:
    """Return the output of a model for one sequence, (T + F, ...); `blank` where it has none."""
    film = np.full_like(parts["truth"][number], blank)
    if "reconstruction" in parts:
        seen = parts["reconstruction"][number]
        film[: len(seen)] = seen
    if "future" in parts:
        future = parts["future"][number]
        film[-len(future) :] = future
    return film


def plot_errors(
    errors_by_model: Mapping[str, Mapping[str, np.ndarray]], measures: Sequence[str]
) -> Figure:
    """Plot the error of each frame for all variants and trivial baselines, one panel per measure.

    Args:
        errors_by_model: For each variant the errors per step, see `measure_frame_errors`.
        measures: Measures to show.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.5 * len(measures), 2.9), layout="constrained")
        axes = figure.subplots(1, len(measures), squeeze=False)[0]
        for axis, measure in zip(axes, measures, strict=True):
            baselines: dict[str, dict[str, np.ndarray]] = {}
            for variant, steps in errors_by_model.items():
                _plot_branches(
                    axis, steps, measure, color=COLOURS[variant], label=format_name(variant)
                )
                for name in _LINE_STYLES:
                    own = {
                        key.removeprefix(f"{name}_"): value
                        for key, value in steps.items()
                        if key.startswith(f"{name}_")
                    }
                    baselines.setdefault(name, {}).update(own)
            for name, steps in baselines.items():
                style = {"color": "0.35", "linestyle": _LINE_STYLES[name], "linewidth": 1}
                _plot_branches(axis, steps, measure, marker="", label=format_name(name), **style)
            if measure != "ssim":  # a bad baseline would flatten all other curves
                low, high = _range(errors_by_model.values(), measure)
                margin = 0.06 * (high - low)
                axis.set_ylim(low - margin, high + margin)
            axis.axvline(0.5, color="0.8", linewidth=0.8, zorder=0)
            axis.set(
                xlabel="frame (1: the first predicted)",
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
                who = next((y for y in _LINE_STYLES if name.startswith(y)), "model")
                least = min(least, float(steps.min()))
                largest[who] = max(largest.get(who, 0), float(steps.max()))
    return least, max(largest["model"], min(largest[name] for name in _LINE_STYLES))


def _plot_branches(axis: Axes, steps: Mapping[str, np.ndarray], measure: str, **style: Any) -> None:
    """Plot reconstruction (its first step is the last input frame, frame 0) and future."""
    look = {"marker": "o", "markersize": 2.2, "linewidth": 1.2} | style
    for branch in ("reconstruction", "future"):
        values = steps.get(f"{branch}_{measure}")
        if values is None:
            continue
        count = np.arange(len(values))
        axis.plot(-count if branch == "reconstruction" else count + 1, values, **look)
        look["label"] = None


def animate_samples(
    frames_by_model: Mapping[str, Mapping[str, np.ndarray]], path: Path, sequences: int = 4
) -> None:
    """Write an animation (GIF) with the truth and the models in columns and sequences in rows.

    Input frames show the reconstruction of a model, later frames its prediction; black if it has
    no such decoder.

    Args:
        frames_by_model: See `plot_samples`.
        path: File to write.
        sequences: Number of sequences to show, from the first.
    """
    truth = next(iter(frames_by_model.values()))["truth"]
    films = [
        [truth[number], *(_model_sequence(parts, number, 0) for parts in frames_by_model.values())]
        for number in range(min(sequences, len(truth)))
    ]
    pictures = np.stack(
        [
            stack_rows([join_frames(np.stack([film[frame] for film in row])) for row in films])
            for frame in range(truth.shape[1])
        ]
    )
    save_animation(
        path, pictures.repeat(_PREVIEW_SCALE, 1).repeat(_PREVIEW_SCALE, 2), _PREVIEW_RATE
    )


def join_animations(left: np.ndarray, right: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Join two animations above a line: grey for input frames, orange for predicted ones.

    Args:
        left: Truth, (T, height, width[, 3]) uint8.
        right: Output of a model, like `left`.
        seen: (T,) bool, input frames.

    Returns:
        (T, height, width, 3) uint8; small pictures are enlarged.
    """
    scale = max(1, _MIN_HEIGHT // left.shape[1])
    pairs = np.stack([join_frames(np.stack(pair)) for pair in zip(left, right, strict=True)])
    pairs = pairs.repeat(scale, 1).repeat(scale, 2)
    line = np.where(seen[:, None], _SEEN, _PREDICTED).astype(np.uint8)
    below = np.broadcast_to(line[:, None, None], (len(pairs), _LINE, *pairs.shape[2:]))
    return np.concatenate([pairs, below], axis=1)
