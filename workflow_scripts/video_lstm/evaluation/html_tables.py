"""HTML tables and self-contained HTML pages, for the report."""

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
_HIGHER_IS_BETTER = re.compile(
    r"(^|_)(mean|published|gain|ssim|gain_over_(percepts|movement|random))$"
)
"""Columns whose largest number is the best."""
_LOWER_IS_BETTER = re.compile(r"(cross_entropy|squared_error|(^|_)mse)$")
"""Columns whose smallest number is the best."""
_WITHOUT_OWN_COLUMN = re.compile(r"(^|_)(std|verified)$")
"""Columns that share the cell of the mean, or are left out."""
_IDENTIFIER_COLUMNS = ("variant", "rule", "measure")
"""Columns of the pipeline's identifiers, whose underscores become spaces; paths keep theirs."""


def render_page(title: str, *parts: str) -> str:
    """Return an HTML page with a title and parts that are HTML already."""
    body = "\n".join(parts)
    style = f"<style>{_PAGE_STYLE}{TABLE_STYLE}</style>"
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title>{style}'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><h1>{html.escape(title)}'
        f"</h1>\n{body}\n</body></html>\n"
    )


def find_best_rows(table: pd.DataFrame, column: str) -> set:
    """Return the rows with the best number of a column, all of them in case of ties.

    Only comparable rows are compared: those of the same data set and, in a table with gains, of
    the same stream, labels and measure. Columns that are no measure have no best row.
    """
    if not (_LOWER_IS_BETTER.search(column) or _HIGHER_IS_BETTER.search(column)):
        return set()
    has_gains = table.columns.str.startswith("gain").any()
    key_names = ["corpus", "stream", "labels", "measure"] if has_gains else ["corpus"]
    keys = [table[name] for name in key_names if name in table] or [pd.Series(0, table.index)]
    groups = table[column].groupby(keys)
    optimum = groups.transform("min" if _LOWER_IS_BETTER.search(column) else "max")
    return set(table.index[(table[column] == optimum) & (groups.transform("nunique") > 1)])


def render_table_html(table: pd.DataFrame, decimals: int = 1) -> str:
    """Return a table as HTML, with mean ± deviation in one cell and the best numbers marked.

    Args:
        table: Table with the column names of the pipeline's CSV files; empty columns are left out.
        decimals: Decimals of numbers that are not integers.
    """
    used = table.columns[table.notna().any()]
    columns = [name for name in used if not _WITHOUT_OWN_COLUMN.search(name)]
    css_classes = {
        name: "" if pd.api.types.is_numeric_dtype(table[name]) else "text" for name in columns
    }
    best_rows = {
        name: set() if css_classes[name] else find_best_rows(table, name) for name in columns
    }
    head = "".join(f'<th class="{css_classes[name]}">{_heading(name)}</th>' for name in columns)
    rows = []
    for index, row in table.iterrows():
        cells = []
        for name in columns:
            text = _cell_text(row[name], decimals)
            if name in _IDENTIFIER_COLUMNS:
                text = text.replace("_", " ")
            deviation = row.get(re.sub(r"mean$", "std", name)) if name.endswith("mean") else None
            if text and deviation is not None and not pd.isna(deviation):
                text += f" ± {_cell_text(deviation, decimals)}"
            css_class = "best" if index in best_rows[name] else css_classes[name]
            cells.append(f'<td class="{css_class}">{html.escape(text)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{chr(10).join(rows)}\n</tbody></table>"


def _heading(name: str) -> str:
    """Return a column name as HTML, with line breaks."""
    words = html.escape(name.replace("_", " "))
    return re.sub(r" (published)$", r"<br>\1", re.sub(r" mean$", "<br>measured", words))


def _cell_text(value: object, decimals: int) -> str:
    """Format the value of a cell; empty if it is missing."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    number = float(value)
    if number.is_integer() and not isinstance(value, float | np.floating):
        return f"{int(number):,}"
    return f"{number:,.{decimals}f}" if abs(number) >= 1 or number == 0 else f"{number:.3g}"
