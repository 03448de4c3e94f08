"""Check the words of the code: names that say nothing, and texts that begin in the middle.

Part of `make lint`. Prints a line for each place and exits with 1 if there is any. The rule is in
CONTRIBUTING.md.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("workflow_scripts", "benchmarks", "tests")
BANNED = {"told", "found", "made", "given", "held", "kept", "said", "shown"}
"""Participles that stand for a thing: a name says what the thing is."""


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the name of everything that the code names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the text of every docstring, of settings and constants too."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def problems(source: str) -> Iterator[tuple[int, str]]:
    """The line and the description of everything in a file's text that the rule forbids."""
    tree = ast.parse(source)
    for line, name in names(tree):
        if name.strip("_") in BANNED:
            yield line, f"the name '{name}' does not say what the thing is"
    for line, text in texts(tree):
        if re.match(r"\s*of\b", text, re.I):
            yield line, "a docstring begins with 'Of'"
        for entry in re.finditer(r"^ +(\w+): of\b", text, re.M):
            yield line, f"the description of '{entry[1]}' begins with 'of'"


def main() -> int:
    """Check every file of the project; the exit status."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {problem}"
        for path in paths
        for line, problem in problems(path.read_text())
    ]
    print(*lines, sep="\n", end="\n" if lines else "")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
