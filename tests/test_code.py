"""Hashes of code: what counts as a change, and which scripts it affects."""

import shutil
from pathlib import Path

import pytest

import video_lstm.code
from video_lstm.code import code_hash, code_hashes

IMPORT = "from video_lstm.settings.training import DEFAULT\n"
SCRIPT = """\"\"\"Docs.\"\"\"
from video_lstm.models import cell
import numpy
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of three modules and a script that imports two of them."""
    root = tmp_path / "video_lstm"
    (root / "models").mkdir(parents=True)
    (root / "__init__.py").touch()
    (root / "models" / "__init__.py").touch()
    (root / "settings").mkdir()
    (root / "settings" / "training.py").write_text("DEFAULT = 1\n")
    (root / "models" / "cell.py").write_text("from video_lstm.models.gate import f\n")
    gate = f'"""Docs."""\n{IMPORT}f = 1\n'
    (root / "models" / "gate.py").write_text(gate)
    (root / "models" / "unrelated.py").write_text("f = 2\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setattr(video_lstm.code, "_LIBRARY", root)
    return tmp_path


def test_modules_are_found_through_other_modules(library):
    assert set(code_hashes(library / "script.py")) == {
        "script.py", "video_lstm.models", "video_lstm.models.cell", "video_lstm.models.gate",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("video_lstm/models/gate.py", IMPORT + "f = 2\n", True),
        ("script.py", SCRIPT + "x = 1\n", True),
        ("video_lstm/models/gate.py", IMPORT + "\nf = 1  # why\n", False),
        ("script.py", SCRIPT.replace("Docs", "Other words"), False),
        ("video_lstm/models/unrelated.py", "f = 3\n", False),
        ("video_lstm/settings/training.py", "DEFAULT = 2\n", False),
    ],
)
def test_only_code_that_the_script_runs_is_part_of_its_identity(library, file, text, changes):
    before = code_hash(library / "script.py")
    (library / file).write_text(text)
    assert (code_hash(library / "script.py") != before) == changes


def test_later_processes_parse_only_what_has_changed(library, monkeypatch):
    def hash_in_new_process():
        parsed.clear()
        video_lstm.code._load_cache.cache_clear()
        return code_hash(library / "script.py")

    parsed, parse = [], video_lstm.code._parse
    monkeypatch.setattr(
        video_lstm.code, "_parse", lambda path: parsed.append(path.name) or parse(path)
    )
    first = hash_in_new_process()
    assert len(parsed) == 4
    assert hash_in_new_process() == first and not parsed
    (library / "video_lstm/models/gate.py").write_text(IMPORT + "f = 33\n")
    assert hash_in_new_process() != first and parsed == ["gate.py"]
    [cache] = (library / "video_lstm").glob("__pycache__/*")
    cache.write_text(cache.read_text()[:20])
    assert hash_in_new_process() != first and len(parsed) == 4


def test_a_copy_of_the_project_elsewhere_has_the_same_identity(tmp_path):
    scripts = Path(video_lstm.code.__file__).parents[1]
    copy = shutil.copytree(scripts, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    assert code_hash(scripts / "video_lstm" / "command_line.py") == code_hash(
        copy / "video_lstm" / "command_line.py"
    )


def test_a_data_file_counts_as_code_of_the_module_that_names_it(library):
    models = library / "video_lstm/models"
    (models / "figures.csv").write_text("72.2\n")
    (models / "unread.csv").write_text("1\n")
    before = code_hashes(library / "script.py")
    (models / "gate.py").write_text(f'{IMPORT}f = "figures.csv"\n')
    named = code_hashes(library / "script.py")
    assert set(named) - set(before) == {"video_lstm/models/figures.csv"}
    (models / "figures.csv").write_text("72.3\n")
    corrected = code_hashes(library / "script.py")
    changed = {name for name in named if corrected[name] != named[name]}
    assert changed == {"video_lstm/models/figures.csv"}


def test_every_data_file_is_in_the_hashes_of_its_readers():
    """Searches the disk, so that a data file that no hash contains is noticed."""
    scripts = Path(video_lstm.code.__file__).parents[1]
    data = {
        path.relative_to(scripts).as_posix()
        for path in scripts.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyi", ".typed")
        and "__pycache__" not in path.parts
    }
    readers = {
        name: {script.stem for script in scripts.glob("*.py") if name in code_hashes(script)}
        for name in data
    }
    assert readers == {"video_lstm/evaluation/published.csv": {"make_paper_table"}}
