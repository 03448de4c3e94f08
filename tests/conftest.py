"""Fixtures of all tests: real data, projects, and scripts called as on a command line."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from projects import ROOT, copy, copy_code, snakemake

DATA = Path(os.environ.get("VIDEO_LSTM_DATA", ROOT.parent / "shared" / "data"))

# On a busy machine, tests may be slow.
hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")

# A suite that is started in the background inherits an ignored SIGINT, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Mark the tests that need a run of the workflow as slow."""
    for item in items:
        if {"checkout", "finished", "project"} & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of a real data set; skip the test if it is missing."""

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
    """The project's files, without results."""
    return copy_code(tmp_path_factory.mktemp("checkout") / "project")


@pytest.fixture(scope="session")
def finished(checkout, tmp_path_factory):
    """The project after one run, shared by all workers; to change it, use `project`."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "finished").exists():
            snakemake(copy(checkout, folder / "unfinished"))  # no target: all tables
            (folder / "unfinished").rename(folder / "finished")
    return folder / "finished"


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished project, to change."""
    return copy(finished, tmp_path / "project")


@pytest.fixture
def one_thread():
    """Use one thread, as tiny models gain nothing from more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def probe_in_process(monkeypatch):
    """Probe harmless files without worker processes, which are slow to start."""
    from video_lstm.video import files, sampling
    from video_lstm.video.probe import probe

    for module in (files, sampling):
        monkeypatch.setattr(
            module,
            "probe_all",
            lambda paths, *_, transcoded=None: [probe(p, transcoded=transcoded) for p in paths],
        )


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """Bytes of a video file of 50 frames at 25 frames per second."""
    from video_files import make_kind

    return make_kind(tmp_path_factory.mktemp("video"), "b_frames.avi").read_bytes()
