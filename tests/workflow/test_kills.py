"""A run that is killed repeatedly ends with the same tables; a second run at once is refused."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

from faults import check_whole, kill_run, leftovers, result_files, wait_for_orphans
from projects import CONFIG, copy, counts, snakemake

from video_lstm.artifacts import identity

KILLS = int(os.environ.get("VIDEO_LSTM_KILLS", "6"))
"""With more than 12, the run also makes the figures, the comparisons and the report."""
KILLED = ["results/table2.csv"] if KILLS <= 12 else ["tables", "pages", "capacity", "convlstm"]


def test_a_run_killed_at_random_moments_ends_with_the_same_tables(finished, checkout, tmp_path):
    reference = finished
    if KILLS > 12:
        reference = copy(finished, tmp_path / "reference")
        snakemake(reference, *KILLED)
    folder = copy(checkout, tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", *KILLED, "--cores", "2", "--configfile", CONFIG]
    jobs = sum(counts(snakemake(folder, "-n", *KILLED).stdout).values())
    draw, checked, sessions, interrupted, kinds = random.Random(1), set(), [], Counter(), Counter()
    for kill in range(KILLS):
        remaining = jobs - len(list((folder / "results").glob("benchmarks/**/*.tsv")))
        kill_result = kill_run(command, folder, draw, max(1, 2 * remaining // (KILLS - kill + 2)))
        check_whole(folder, reference, checked)
        if kill_result is None:
            break
        session, kind, running = kill_result
        sessions.append(session)
        kinds[kind] += 1
        interrupted.update(running or ["between two scripts"])
    print(f"{sum(kinds.values())} kills: {dict(kinds)}; running then: {dict(interrupted)}")
    assert sum(kinds.values()) > 0.7 * KILLS and len(interrupted) >= KILLS / 3
    snakemake(folder, *KILLED)
    check_whole(folder, reference, checked)
    for name in ("scores.csv", "table2.csv"):
        assert (folder / "results" / name).read_bytes() == (
            reference / "results" / name
        ).read_bytes()
    wait_for_orphans(sessions)
    assert not leftovers(folder)
    for path in result_files(folder):
        if path.suffix == ".h5":
            assert identity(path) == identity(reference / path.relative_to(folder))


def test_a_second_run_at_the_same_time_names_the_first(project):
    command = [sys.executable, "-m", "snakemake", "results/table2.csv", "--cores", "1"]
    command += ["--forcerun", "pretrain", "--configfile", CONFIG]
    with subprocess.Popen(
        command, cwd=project, stdout=-3, stderr=-3, start_new_session=True
    ) as run:
        lock = project / ".snakemake/run.lock"
        while not (lock.exists() and lock.read_text() == str(run.pid)):
            assert run.poll() is None
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGSTOP)  # it must not remove files while the second one plans
        second = snakemake(project, "--forcerun", "make_table2", "results/table2.csv", check=False)
        os.killpg(run.pid, signal.SIGKILL)
    assert second.returncode != 0
    assert f"another run (process {run.pid}) is working in" in second.stdout
