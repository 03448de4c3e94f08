"""Kill runs at random moments, and check that the files they leave are complete."""

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
"""Processes to kill: all (a power failure), only Snakemake (its jobs continue), or one job."""

_TEMPORARY = re.compile(r"\.(tmp|part|partial|rows|npz|ckpt.*)$")


def scripts(session):
    """Return the names of the scripts that run in a session, by process."""
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
        The run's session, the kind of kill and the scripts that were running; None if the run
        ended before.
    """
    number, wait, kind = draw.randint(1, jobs), draw.uniform(0, 2), draw.choice(KINDS)
    with (
        (folder / "output").open("w+") as output,
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
        running = scripts(run.pid)
        if run.poll() is not None:
            assert run.returncode == 0, (folder / "output").read_text()[-5000:]
            return None
        if kind == "job" and running:
            process = draw.choice(sorted(running))
            running = {process: running[process]}
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        elif kind == "snakemake":
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
    names = sorted(running.values())
    print(f"job {number} and {wait:.1f} s: {kind}, during {', '.join(names) or 'no script'}")
    return (run.pid, kind, names) if run.returncode else None


def wait_for_orphans(sessions):
    """Wait for the jobs of killed runs to end."""
    while any(map(scripts, sessions)):
        time.sleep(0.1)


def leftovers(folder):
    """Return temporary files and checkpoints."""
    results = folder / "results"
    return [path for path in results.rglob("*") if _TEMPORARY.search(path.name)]


def result_files(folder):
    """Yield the files below results/ with final names, except logs and benchmark times."""
    results = folder / "results"
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden and parts[0] not in ("logs", "benchmarks"):
            yield path


def check_whole(folder, reference, checked):
    """Check that every file with a final name is readable to its end or equals the reference.

    Args:
        folder: Project to check.
        reference: Project that ran without kills.
        checked: States of files that passed before; extended by this call.
    """
    for path in result_files(folder):
        with contextlib.suppress(FileNotFoundError):  # an orphaned job removed it
            state = (path, path.stat().st_ino, path.stat().st_mtime_ns)
            if state not in checked and path.suffix != ".rows":  # blocks with checksums
                _check(path, reference / path.relative_to(folder))
                checked.add(state)


def _check(path, reference):
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
    elif path.name in ("convlstm.csv", "capacity.csv"):  # they contain times
        tables = [pd.read_csv(file) for file in (path, reference)]
        assert tables[0].shape == tables[1].shape
        assert list(tables[0].columns) == list(tables[1].columns)
    else:
        assert path.read_bytes() == reference.read_bytes(), path
