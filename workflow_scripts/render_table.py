"""Render a table (CSV) as an HTML page for the report, with the best numbers marked.

The best accuracy and structural similarity is the highest, the best error the lowest. A mean and
its standard deviation share a cell; published numbers have their own columns.
"""

from pathlib import Path

import pandas as pd

from video_lstm.artifacts import atomic_write
from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.html_tables import render_page, render_table_html


class Arguments(CommandLine):
    """Table and output."""

    table: Path
    """Table, such as results/table2.csv."""
    title: str
    """Heading of the page."""
    output: Path
    """HTML file to write."""


def main(arguments: Arguments) -> None:
    """Render the page and write it."""
    text = render_page(arguments.title, render_table_html(pd.read_csv(arguments.table)))
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    run(main, Arguments)
