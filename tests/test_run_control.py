"""The run's lock, SIGTERM for its scripts, and the messages of failed jobs."""

import os
import signal
import subprocess
import sys

import pytest

from video_lstm.errors import UserError
from video_lstm.run_control import failure_messages, lock_run_folder, stop_scripts_on_sigterm


def test_a_second_run_in_a_folder_is_refused_until_the_first_ends(tmp_path):
    lock = lock_run_folder(tmp_path)
    assert (tmp_path / ".snakemake/run.lock").read_text() == str(os.getpid())
    with pytest.raises(UserError, match=rf"another run \(process {os.getpid()}\) is working in"):
        lock_run_folder(tmp_path)
    lock.close()
    lock_run_folder(tmp_path).close()


def test_a_lock_that_a_killed_run_left_is_taken(tmp_path):
    code = (
        "import os, pathlib; from video_lstm.run_control import lock_run_folder\n"
        f"file = lock_run_folder(pathlib.Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment)
    assert killed.returncode == -signal.SIGKILL
    lock_run_folder(tmp_path).close()
    assert (tmp_path / ".snakemake/run.lock").read_text() == str(os.getpid())


def test_sigterm_reaches_scripts_alone_and_after_the_previous_handler(tmp_path):
    statuses, processes = [], []
    (tmp_path / "scripts").mkdir()
    for path in ("scripts/wait.py", "wait.py"):
        (tmp_path / path).write_text("import time; print('ready', flush=True); time.sleep(60)")
        processes.append(
            subprocess.Popen([sys.executable, path], cwd=tmp_path, stdout=subprocess.PIPE)
        )
        assert processes[-1].stdout.readline() == b"ready\n"
    script, other = processes
    before = signal.signal(signal.SIGTERM, lambda *_: statuses.append(script.poll()))
    try:
        stop_scripts_on_sigterm("scripts")
        signal.raise_signal(signal.SIGTERM)
        assert script.wait(30) == -signal.SIGTERM
        assert statuses == [None]
        assert other.poll() is None
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in processes:
            process.kill()
            process.communicate()


def test_the_last_error_of_each_failed_job_is_named_with_its_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.log").write_text(
        "10:00:00 start\n10:00:01 first error\nTraceback (most recent call last):\n"
        "10:00:09 disk full\nTraceback (most recent call last):\n  ...\n"
    )
    (tmp_path / "b.log").write_text("10:00:00 start\n")
    lines = [f"    log: {name}.log (check log file(s) for error details)" for name in "abca"]
    (tmp_path / "run.log").write_text("\n".join(["Error in rule x:", *lines]))
    first, *others = failure_messages([tmp_path / "run.log"])
    assert first == "a.log: disk full"
    assert [line.split(":")[0] for line in others] == ["b.log", "c.log"]
    assert all("ended without an error message" in line for line in others)
