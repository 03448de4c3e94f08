"""Draw accuracy against labelled videos per class, and what pretraining gains, with 95% intervals.

Reads the summary that summarise_accuracy wrote; a column of plots for each data set and stream.
"""

from pathlib import Path

import pandas as pd

from command_line import CommandLine, run
from video_lstm.plots.curves import plot_accuracy
from video_lstm.plots.style import save_figure


class Arguments(CommandLine):
    """What to draw."""

    accuracy: Path
    """The summary of accuracies."""
    output: list[Path]
    """Figures to write, each in the format of its suffix."""


def main(arguments: Arguments) -> None:
    """Read and draw."""
    # Labels are "1" and "all": strings.
    save_figure(plot_accuracy(pd.read_csv(arguments.accuracy, dtype={"labels": str})),
               arguments.output)  # fmt: skip


if __name__ == "__main__":
    run(main, Arguments)
