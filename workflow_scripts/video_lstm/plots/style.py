"""What all figures share: colours, fonts, names, rows of frames, and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from video_lstm.artifacts import atomic_write
from video_lstm.settings.training import VariantName

_TONES = ("#1b6ca8", "#6db3e0", "#b5541c", "#f0a35e", "#2d7d46", "#8cc86f")
COLOURS = dict(zip(get_args(VariantName), _TONES, strict=True))
"""Colour of each variant; conditional ones have the lighter tone of the same hue."""

BASELINE_COLOURS = {"single_frame": "#9a9a9a", "lstm_baseline": "#222222"}
STYLE = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "video_lstm",  # reproducible identifiers
}
GAP = 2
"""Pixels between frames."""


def format_name(name: str) -> str:
    """Return a name as it is shown: with spaces."""
    return name.replace("_", " ")


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure to each path, in the format of its suffix."""
    with matplotlib.rc_context(STYLE):
        for path in paths:
            kind = Path(path).suffix.removeprefix(".")
            dated = {"metadata": {"Date": None}} if kind == "svg" else {}
            with atomic_write(path) as temporary:
                figure.savefig(temporary, format=kind, bbox_inches="tight", **dated)


def join_frames(frames: np.ndarray) -> np.ndarray:
    """Join frames side by side.

    Args:
        frames: (T, height, width[, 3]) uint8.

    Returns:
        (height, T * width + gaps, 3) uint8, with white gaps.
    """
    coloured = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1)
    gaps = ((0, 0), (0, 0), (0, GAP), (0, 0))
    padded = np.pad(coloured, gaps, constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-GAP]


def stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Stack pictures with white gaps, and pad narrow ones with white."""
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return np.concatenate(padded)[:-GAP]
