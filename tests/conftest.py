"""Shared by all tests: where real data lies, and the scripts as a person would call them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("VIDEO_LSTM_DATA", ROOT.parent / "shared" / "data"))

CODE = (
    "Snakefile",
    "config.yaml",
    "rules",
    "report",
    "workflow_scripts",
    "envs",
    "profiles",
    "configs",
)
CONFIG = "tests/tiny.yaml"

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

# A suite that is started in the background inherits an ignored SIGINT, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data():
    """Folder of a real data set; the test skips where it is not there."""

    def folder(name):
        if not (DATA / name).is_dir():
            pytest.skip(f"real data '{name}' is not at {DATA} (set VIDEO_LSTM_DATA)")
        return DATA / name

    return folder


@pytest.fixture(scope="session")
def run_script():
    """Call a script by its name with options; returns the completed process."""

    def call(name, *options, check=True):
        command = [
            sys.executable,
            str(ROOT / "workflow_scripts" / f"{name}.py"),
            *map(str, options),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """The project's files, without anything made."""
    folder = tmp_path_factory.mktemp("checkout") / "project"
    folder.mkdir()
    for name in CODE:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    (folder / "tests").mkdir()
    shutil.copy2(ROOT / CONFIG, folder / CONFIG)
    return folder


@pytest.fixture
def one_thread():
    """Tiny models on one thread: more would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
