"""Runs that are killed at random moments, and whether what they leave is whole."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from safetensors import safe_open

from video_lstm import artifacts

KINDS = ("all", "all", "snakemake", "job")
"""Who is killed: everybody (the power fails), Snakemake alone, whose jobs go on, or one job."""

_TEMPORARY = re.compile(r"\.(tmp|part|partial|rows|npz|ckpt.*)$")


def scripts(session):
    """Scripts that run in a session: their names by process."""
    scripts_by_name = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                words = (folder / "cmdline").read_text().split("\0")
                for word in words[1:]:
                    if word.startswith("workflow_scripts/"):
                        scripts_by_name[int(folder.name)] = Path(word).stem
    return scripts_by_name


def kill_run(command, folder, draw, jobs):
    """Start a run and kill it within two seconds of the start of its n-th job, n up to `jobs`.

    Returns:
        The run's session, who was killed and the scripts that were at work; None where the run
        ended before.
    """
    number, wait, kind = draw.randint(1, jobs), draw.uniform(0, 2), draw.choice(KINDS)
    with (
        (folder / "told").open("w+") as output,
        subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, start_new_session=True
        ) as run,
    ):
        seen = set()
        while len(seen) < number and run.poll() is None:
            seen |= scripts(run.pid).keys()
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(wait)
        at_work = scripts(run.pid)
        if run.poll() is not None:
            assert run.returncode == 0, (folder / "told").read_text()[-5000:]
            return None
        if kind == "job" and at_work:
            process = draw.choice(sorted(at_work))
            at_work = {process: at_work[process]}
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        elif kind == "snakemake":
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
    names = sorted(at_work.values())
    print(f"job {number} and {wait:.1f} s: {kind}, at {', '.join(names) or 'no script'}")
    return (run.pid, kind, names) if run.returncode else None


def wait_for_orphans(sessions):
    """Wait for the jobs of killed runs to end."""
    while any(map(scripts, sessions)):
        time.sleep(0.1)


def leftovers(folder):
    """What is only there while a job is at work, or to go on from."""
    results = folder / "results"
    return [path for path in results.rglob("*") if _TEMPORARY.search(path.name)]


def result_files(folder):
    """Files below results/ under their final names, but for logs and times."""
    results = folder / "results"
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden and parts[0] not in ("logs", "benchmarks"):
            yield path


def check_whole(folder, reference, checked):
    """Every file that has its final name is whole: readable to its end, or as in the reference.

    Args:
        folder, reference: projects.
        checked: states of files that were found whole before; grows.
    """
    for path in result_files(folder):
        with contextlib.suppress(FileNotFoundError):  # an orphan is done with it
            state = (path, path.stat().st_ino, path.stat().st_mtime_ns)
            if state not in checked and path.suffix != ".rows":  # blocks with checksums
                _check(path, reference / path.relative_to(folder))
                checked.add(state)


def _check(path, same):
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            schema = file.attrs["schema"]
        with artifacts.open_artifact(path, schema) as file:
            file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)
    elif path.suffix == ".npz":
        with np.load(path) as file:
            assert [file[name] for name in file.files]
    elif path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            assert [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), path
    elif path.name in ("convlstm.csv", "capacity.csv"):  # they tell times
        tables = [pd.read_csv(file) for file in (path, same)]
        assert tables[0].shape == tables[1].shape
        assert list(tables[0].columns) == list(tables[1].columns)
    else:
        assert path.read_bytes() == same.read_bytes(), path
