"""Draw accuracy against the hours of unlabelled video that a model was pretrained on.

Reads the table of compare_hours. One plot for each data set and number of labels, with 95%
intervals; `lstm_baseline`, which is not pretrained, is a line.
"""

from pathlib import Path

import pandas as pd

from video_lstm.command_line import CommandLine, run
from video_lstm.plots.curves import plot_unlabelled_hours
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """Accuracies and figures."""

    hours: Path
    """Table of compare_hours, CSV."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Read the table and draw it."""
    table = pd.read_csv(arguments.hours, dtype={"labels": str})
    save_figure(plot_unlabelled_hours(table), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
