"""Render the front page of the report: table 2, accuracy, predicted frames and the workflow.

Writes an HTML fragment with embedded images, which report/workflow.rst includes.
"""

import base64
from pathlib import Path

import pandas as pd

from video_lstm.artifacts import atomic_write
from video_lstm.command_line import CommandLine, run
from video_lstm.evaluation.html_tables import TABLE_STYLE, render_table_html

_STYLE = """
#rulegraph { display: none; }
.prose { max-width: none !important; }
.grow.h-screen { align-items: flex-start !important; }
.summary img, .summary svg { max-width: 100%; height: auto; }
"""
"""Uses the whole page, and hides Snakemake's graph, which shows rules more than once."""


class Arguments(CommandLine):
    """Contents of the front page, and output."""

    table: Path
    """Table 2, CSV."""
    accuracy: Path
    """Figure of accuracy against labelled videos per class, PNG."""
    samples: Path
    """Figure of predicted frames, PNG."""
    workflow: Path
    """Graph of the rules, SVG."""
    output: Path
    """HTML fragment to write."""


def main(arguments: Arguments) -> None:
    """Render the fragment and write it."""
    sections = {
        "Table 2: prediction errors and accuracy of every model": render_table_html(
            pd.read_csv(arguments.table)
        ),
        "Accuracy against labelled videos per class, and the gain of pretraining": embed_png(
            arguments.accuracy
        ),
        "Predicted frames of Moving MNIST": embed_png(arguments.samples),
        "The workflow": arguments.workflow.read_text(),
    }
    parts = [f"<h2>{title}</h2>\n{content}" for title, content in sections.items()]
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(
            f'<div class="summary"><style>{TABLE_STYLE}{_STYLE}</style>\n'
            + "\n".join(parts)
            + "\n</div>\n"
        )


def embed_png(path: Path) -> str:
    """Return an HTML image that embeds a PNG file."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}">'


if __name__ == "__main__":
    run(main, Arguments)
