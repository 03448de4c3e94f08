"""Draw the graph of the rules that lead to table 2, report/workflow.svg.

Run this after a change of the rules; a test compares the file with Snakemake's rule graph.
"""

import html
import re
import subprocess
import sys
from pathlib import Path

from video_lstm.artifacts import atomic_write
from video_lstm.command_line import CommandLine, run

_WIDTH, _HEIGHT = 180, 28
"""Size of a box in pixels."""
_GAP_X, _GAP_Y = 24, 28
"""Distance between boxes in pixels."""


class Arguments(CommandLine):
    """Output."""

    output: Path = Path("report/workflow.svg")
    """SVG file to write."""


def main(arguments: Arguments) -> None:
    """Draw the graph of the demo's rules."""
    with atomic_write(arguments.output) as temporary:
        temporary.write_text(draw_graph(read_rule_graph("config.yaml", "results/table2.csv")))


def read_rule_graph(configfile: str, target: str) -> dict[str, set[str]]:
    """Read the rules of a target from Snakemake, each with the rules whose outputs it reads."""
    command = ["-m", "snakemake", "--rulegraph", "dot", "--cores", "1", "--configfile", configfile]
    plan = subprocess.run(
        [sys.executable, *command, "--", target], capture_output=True, text=True, check=True
    ).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)', plan))
    graph: dict[str, set[str]] = {name: set() for name in names.values()}
    for source, destination in re.findall(r"(\d+) -> (\d+)", plan):
        graph[names[destination]].add(names[source])
    return graph


def draw_graph(graph: dict[str, set[str]]) -> str:
    """Draw a graph as SVG, inputs above, without the edges that a longer path implies."""
    ranks = {rule: _rank(rule, graph) for rule in graph}
    rows = [
        sorted(rule for rule in graph if ranks[rule] == rank)
        for rank in range(max(ranks.values()) + 1)
    ]
    width = max(map(len, rows)) * (_WIDTH + _GAP_X) + _GAP_X
    height = len(rows) * (_HEIGHT + _GAP_Y) + _GAP_Y
    centres = {}
    for rank, row in enumerate(rows):
        left = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for column, rule in enumerate(row):
            x = left + column * (_WIDTH + _GAP_X) + _WIDTH / 2
            centres[rule] = (x, _GAP_Y + rank * (_HEIGHT + _GAP_Y) + _HEIGHT / 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13">'
    ]
    for rule, inputs in graph.items():
        implied = {name for direct in inputs for name in _ancestors(direct, graph)}
        for name in sorted(inputs - implied):
            (x1, y1), (x2, y2) = centres[name], centres[rule]
            start, end = y1 + _HEIGHT / 2, y2 - _HEIGHT / 2
            middle = (start + end) / 2
            lines.append(
                f'<path d="M{x1:g},{start:g} C{x1:g},{middle:g} {x2:g},{middle:g} {x2:g},{end:g}" '
                'fill="none" stroke="#999" stroke-width="1.5"/>'
            )
    for rule, (x, y) in centres.items():
        lines.append(
            f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="6" fill="#eef4f9" stroke="#1b6ca8"/>'
            f'<text x="{x:g}" y="{y + 4.5:g}" text-anchor="middle">{html.escape(rule)}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _rank(rule: str, graph: dict[str, set[str]]) -> int:
    """Return the length of the longest path that ends at a rule."""
    return max((_rank(name, graph) + 1 for name in graph[rule]), default=0)


def _ancestors(rule: str, graph: dict[str, set[str]]) -> set[str]:
    """Return all rules that a rule depends on, directly or not."""
    return {name for direct in graph[rule] for name in (direct, *_ancestors(direct, graph))}


if __name__ == "__main__":
    run(main, Arguments)
