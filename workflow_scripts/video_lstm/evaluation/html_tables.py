"""Tables as HTML pages that need nothing but themselves: for the report."""

import html
import re

import numpy as np
import pandas as pd

TABLE_STYLE = """
table { border-collapse: collapse; margin: 1em 0 2em; }
th, td { padding: .25em .9em; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #222; vertical-align: bottom; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
tr:nth-child(even) td { background: #f5f5f5; }
td.best { font-weight: bold; background: #dcebf6 !important; }
"""
_PAGE_STYLE = """
body { font: 14px/1.5 "DejaVu Sans", Arial, sans-serif; margin: 2em; color: #222; }
pre { background: #f5f5f5; padding: 1em; }
"""
# What is better: more of these, less of those; of other columns nothing is.
_MORE = re.compile(r"(^|_)(mean|published|gain|ssim|gain_over_(percepts|movement|random))$")
_LESS = re.compile(r"(cross_entropy|squared_error|(^|_)mse)$")
# Parts that one cell shows together, or that the CSV alone has.
_BESIDE = re.compile(r"(^|_)(std|verified)$")
# Whose entries are words, not names of files or of a user's.
_NAMES = ("variant", "rule", "measure")


def page(title: str, *parts: str) -> str:
    """A whole HTML page; the parts are HTML."""
    body = "\n".join(parts)
    style = f"<style>{_PAGE_STYLE}{TABLE_STYLE}</style>"
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title>{style}'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><h1>{html.escape(title)}'
        f"</h1>\n{body}\n</body></html>\n"
    )


def best(table: pd.DataFrame, column: str) -> set:
    """Rows with the best number of a column, equals all of them; none where nothing is better.

    Where rows are of several data sets, or tell a gain over others, only those that may be compared
    are, those with the same data set, videos and labels.
    """
    if not (_LESS.search(column) or _MORE.search(column)):
        return set()
    gains = table.columns.str.startswith("gain").any()
    alike = ["corpus", "stream", "labels", "measure"] if gains else ["corpus"]
    keys = [table[name] for name in alike if name in table] or [pd.Series(0, table.index)]
    groups = table[column].groupby(keys)
    goal = groups.transform("min" if _LESS.search(column) else "max")
    return set(table.index[(table[column] == goal) & (groups.transform("nunique") > 1)])


def table_html(table: pd.DataFrame, decimals: int = 1) -> str:
    """A table, a mean and its deviation in one cell, the best of each column marked.

    Args:
        table: names of columns as the pipeline's CSV files have them. Columns with nothing in them
            are left out.
        decimals: Decimals of numbers that are not integers.
    """
    columns = [name for name in table.columns[table.notna().any()] if not _BESIDE.search(name)]
    kinds = {name: "" if pd.api.types.is_numeric_dtype(table[name]) else "text" for name in columns}
    winners = {name: set() if kinds[name] else best(table, name) for name in columns}
    head = "".join(f'<th class="{kinds[name]}">{_heading(name)}</th>' for name in columns)
    rows = []
    for index, row in table.iterrows():
        cells = []
        for name in columns:
            text = _cell_text(row[name], decimals)
            if name in _NAMES:
                text = text.replace("_", " ")
            deviation = row.get(re.sub(r"mean$", "std", name)) if name.endswith("mean") else None
            if text and deviation is not None and not pd.isna(deviation):
                text += f" ± {_cell_text(deviation, decimals)}"
            kind = "best" if index in winners[name] else kinds[name]
            cells.append(f'<td class="{kind}">{html.escape(text)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{chr(10).join(rows)}\n</tbody></table>"


def _heading(name: str) -> str:
    words = html.escape(name.replace("_", " "))
    return re.sub(r" (published)$", r"<br>\1", re.sub(r" mean$", "<br>measured", words))


def _cell_text(value: object, decimals: int) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    number = float(value)
    if number.is_integer() and not isinstance(value, float | np.floating):
        return f"{int(number):,}"
    return f"{number:,.{decimals}f}" if abs(number) >= 1 or number == 0 else f"{number:.3g}"
