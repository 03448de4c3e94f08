"""Figures of curves: training, and accuracy against labelled or unlabelled videos."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from video_lstm.evaluation.measures import ACCURACY
from video_lstm.plots.style import BASELINE_COLOURS, COLOURS, STYLE, format_name


def plot_training_curves(
    curves_by_variant: Mapping[str, Mapping[str, np.ndarray]], unit: str
) -> Figure:
    """Plot training and validation error against the step for all variants.

    Args:
        curves_by_variant: Curves of each variant, as stored by pretraining.
        unit: Unit of the losses.
    """
    panels = ("loss", "reconstruction", "future")
    titles = ("training, both branches", "validation, reconstruction", "validation, future")
    with matplotlib.rc_context(STYLE):
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
                    label=format_name(variant),
                    **style,
                )
            axis.set(title=title, xlabel="step")
        figure.axes[0].set_ylabel(unit)
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3
        )
    return figure


def plot_accuracy(summary: pd.DataFrame) -> Figure:
    """Plot accuracy against labelled videos per class, and below it the gain of pretraining.

    One column for each data set and stream; bars are 95% intervals (paper, figure 6).

    Args:
        summary: Table returned by `evaluation.accuracy.summarise_accuracy`.
    """
    groups = list(summary.groupby(["corpus", "stream"], sort=False))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.4 + 2.9 * len(groups), 4.6), layout="constrained")
        axes = figure.subplots(2, len(groups), squeeze=False, sharey="row")
        for ((corpus, stream), rows), (upper, lower) in zip(groups, axes.T, strict=True):
            labels = list(dict.fromkeys(rows["labels"]))
            models = [
                model for model in BASELINE_COLOURS | COLOURS if model in set(rows["variant"])
            ]
            for place, model in enumerate(models):
                line = rows[rows["variant"] == model]
                # Shifted, so that the intervals do not overlap.
                x = [labels.index(n) + 0.06 * (place - len(models) / 2) for n in line["labels"]]
                style = {"color": (BASELINE_COLOURS | COLOURS)[model], "marker": "o",
                         "markersize": 2.5, "linewidth": 1, "elinewidth": 0.7}  # fmt: skip
                plots = {"mean": upper} | ({"gain": lower} if model in COLOURS else {})
                for name, axis in plots.items():
                    ends = ("low", "high") if name == "mean" else ("gain_low", "gain_high")
                    bars = [(line[name] - line[ends[0]]), (line[ends[1]] - line[name])]
                    if line[name].notna().any():
                        axis.errorbar(x, line[name], bars, label=format_name(model), **style)
            upper.set_title(f"{corpus}, {stream}")
            lower.axhline(0, color=BASELINE_COLOURS["lstm_baseline"], linewidth=0.7)
            for axis in (upper, lower):
                axis.set_xticks(range(len(labels)), labels)
            lower.set_xlabel("labelled videos per class")
        axes[0, 0].set_ylabel(ACCURACY.axis_label)
        axes[1, 0].set_ylabel("gain over lstm baseline (points)")
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside right center")
    return figure


def plot_unlabelled_hours(table: pd.DataFrame) -> Figure:
    """Plot accuracy against hours of unlabelled video, with the baseline without pretraining.

    Args:
        table: Table returned by `evaluation.accuracy.tabulate_hours`.
    """
    groups = list(table.groupby(["corpus", "stream", "labels"], sort=False))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.6 + 2.9 * len(groups), 2.8), layout="constrained")
        axes = figure.subplots(1, len(groups), squeeze=False)[0]
        for ((corpus, stream, labels), rows), axis in zip(groups, axes, strict=True):
            base, line = rows[rows["hours"].isna()].iloc[0], rows[rows["hours"].notna()]
            color = BASELINE_COLOURS["lstm_baseline"]
            axis.axhspan(base["low"], base["high"], color=color, alpha=0.1, linewidth=0)
            axis.axhline(base["mean"], color=color, linewidth=1, label=format_name("lstm_baseline"))
            model = line["variant"].iloc[0]
            bars = [line["mean"] - line["low"], line["high"] - line["mean"]]
            axis.errorbar(
                line["hours"], line["mean"], bars, label=format_name(model), color=COLOURS[model],
                marker="o", markersize=3, linewidth=1, elinewidth=0.7,
            )  # fmt: skip
            axis.set_title(f"{corpus}, {stream}, labels per class: {labels}")
            axis.set_xlabel("hours of unlabelled video")
        axes[0].set_ylabel(ACCURACY.axis_label)
        axes[0].legend()
    return figure
