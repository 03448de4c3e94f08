"""Turn a table (CSV) into a page (HTML) for the report, the best of each column marked.

Accuracies and structural similarity are best when large, errors and cross-entropies when small. A
mean and its standard deviation share a cell; published figures stand in columns of their own.
"""

from pathlib import Path

import pandas as pd

from command_line import CommandLine, run
from video_lstm.artifacts import atomic_write
from video_lstm.evaluation.html_tables import page, table_html


class Arguments(CommandLine):
    """What is shown."""

    table: Path
    """The CSV file, such as results/table2.csv."""
    title: str
    """Heading of the page."""
    output: Path
    """HTML file to write."""


def main(arguments: Arguments) -> None:
    """Read, render and write."""
    text = page(arguments.title, table_html(pd.read_csv(arguments.table)))
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    run(main, Arguments)
