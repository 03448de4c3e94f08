"""Draw accuracy against labelled videos per class, and the gain of pretraining.

Reads the table of summarise_accuracy. A column of plots for each data set and stream, with 95%
intervals.
"""

from pathlib import Path

import pandas as pd

from video_lstm.command_line import CommandLine, run
from video_lstm.plots.curves import plot_accuracy
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """Accuracies and figures."""

    accuracy: Path
    """Table of summarise_accuracy, CSV."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Read the table and draw it."""
    table = pd.read_csv(arguments.accuracy, dtype={"labels": str})
    save_figure(plot_accuracy(table), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
