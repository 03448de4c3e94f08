"""Hashes of the code of a script and of the library modules that it imports.

Snakemake notices changed rules, not changed modules. Each rule therefore has a parameter that maps
its script, and each library module that the script imports directly or indirectly, to a hash of its
code. Comments, docstrings and layout do not count. A data file in the folder of a module that names
it counts as code.

`settings` does not count: its values reach a stage on the command line and are parameters of the
rule already.
"""

import ast
import contextlib
import functools
import hashlib
import json
import os
import re
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, NamedTuple

_LIBRARY = Path(__file__).resolve().parent
_BY_VALUE = "video_lstm.settings"
_FILE_NAME = re.compile(r"[\w-][\w./-]{0,200}\.(?!py$)\w+")


def code_hashes(script: Path) -> dict[str, str]:
    """Return the hashes of a script and of each module of this project that it depends on.

    Returns:
        Hash (16 hex digits) by name: the script's file name, dotted names of modules, and paths of
        data files relative to the folder of the scripts.
    """
    hashes: dict[str, str] = {}
    pending = {Path(script).name: Path(script)}
    while pending:
        name, path = pending.popitem()
        code = _read(path)
        hashes |= {name: code.hash} | _data_hashes(path.parent, code.files)
        for module in code.names:
            if module not in hashes and not module.startswith(_BY_VALUE):
                file = _file_of(module)
                if file is not None:
                    pending[module] = file
    return dict(sorted(hashes.items()))


def code_hash(script: Path) -> str:
    """Return one hash of all that `code_hashes` returns."""
    return hashlib.sha256(repr(code_hashes(script)).encode()).hexdigest()[:16]


def _data_hashes(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the hashes of those of the named files that are in a folder."""
    return {
        file.relative_to(_LIBRARY.parent).as_posix(): _short_hash(file.read_bytes())
        for file in (folder / name for name in names)
        if file.is_file()
    }


class _Code(NamedTuple):
    """Code of a file: its hash, names that it imports, and strings that may name data files."""

    hash: str
    names: list[str]
    files: list[str]


def _read(path: Path) -> _Code:
    """Return a file's code; it is parsed only if the file has changed since it was read last.

    Parsing all files takes a tenth of a second in every job, so that the result is kept beside
    Python's compiled modules. Like those it depends on the version of Python, and a change is
    noticed by modification time and size.
    """
    cache_path = Path(cache_from_source(str(_LIBRARY / "code.py"))).with_suffix(".json")
    cache, name, stamp = _load_cache(cache_path), str(path.absolute()), _stamp(path)
    if cache.get(name, [None])[0] != stamp:
        cache[name] = [stamp, _parse(path)]
        temporary = cache_path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):  # a read-only folder or a full disk
            cache_path.parent.mkdir(exist_ok=True)
            try:
                temporary.write_text(json.dumps(cache))
                temporary.replace(cache_path)
            finally:
                temporary.unlink(missing_ok=True)
    return _Code(*cache[name][1])


@functools.cache
def _load_cache(path: Path) -> dict[str, Any]:
    """Read stamp and code by path of the file; start anew if this module has changed."""
    own_stamp = _stamp(Path(__file__))
    # There may be no cache, or a damaged one.
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        cache = json.loads(path.read_text())
        if cache["own stamp"] == own_stamp:
            return cache
    return {"own stamp": own_stamp}


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_mtime_ns} {status.st_size}"


def _parse(path: Path) -> _Code:
    tree = ast.parse(path.read_bytes())
    names: set[str] = set()
    files: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _FILE_NAME.fullmatch(str(node.value)):
            files.add(str(node.value))
        if isinstance(body := getattr(node, "body", None), list):
            # Docstrings, also those of attributes, are statements that are constant strings.
            node.body = [  # type: ignore[attr-defined]
                statement for statement in body if not _is_text(statement)
            ]
    return _Code(_short_hash(ast.dump(tree).encode()), sorted(names), sorted(files))


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _file_of(module: str) -> Path | None:
    """Return the file of a module of the library; None for any other name."""
    package, *names = module.split(".")
    if package != _LIBRARY.name:
        return None
    # Strings, since a plan asks thousands of times and Path objects take five times as long.
    stem = f"{_LIBRARY}/{'/'.join(names)}"
    for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
        if os.path.isfile(candidate):  # noqa: PTH113
            return Path(candidate)
    return None
