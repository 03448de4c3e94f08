"""The tiny workflow on a real SLURM, on which a job and a node die: the tables are the same."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from projects import CONFIG, copy_code
from toy_slurm import missing, slurm, wait

LESS = ["--config", "finetuning={labels: [all]}", "pretraining={variants: [composite]}",
        "streams=[flow1]"]  # fmt: skip
# No device behind it: jobs ask for a GPU, get one, and find that torch can use none.
NVIDIA_SMI = "#!/bin/sh\nexit 0\n"

pytestmark = pytest.mark.skipif(
    bool(missing()), reason=f"SLURM is not installed (make test-cluster): {', '.join(missing())}"
)


def start(project, environment, *options):
    command = [sys.executable, "-m", "snakemake", "results/table2.csv", *options]
    return subprocess.Popen(
        [*command, "--configfile", CONFIG, *LESS],
        cwd=project,
        env=environment,
        text=True,
        stdout=(project / "told.txt").open("w"),
        stderr=subprocess.STDOUT,
    )


def scripts(project, name):
    """Processes of a script that work in the project."""
    matches = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            inside = (folder / "cwd").resolve() == project.resolve()
        except OSError:
            continue
        if inside and f"workflow_scripts/{name}.py".encode() in words[:2]:
            matches.append(int(folder.name))
    return matches


def test_a_job_and_a_node_die_and_the_tables_are_those_of_a_local_run(tmp_path):
    there, here = (copy_code(tmp_path / name) for name in ("there", "here"))
    with slurm(tmp_path / "slurm") as cluster:
        cluster.program("nvidia-smi", NVIDIA_SMI)
        run = start(
            there, cluster.environment,
            "--workflow-profile", "profiles/slurm", "--max-threads", "2",
            "--seconds-between-status-checks", "2",
            "--slurm-init-seconds-before-status-checks", "2",
        )  # fmt: skip
        try:
            on_n2 = ("squeue", "-h", "-t", "running", "-w", "n2", "-o", "%A")
            wait(lambda: cluster.call(*on_n2), 120)
            lost = cluster.call(*on_n2).split()
            cluster.kill_node("n2")
            wait(lambda: scripts(there, "pretrain"), 240)
            os.kill(scripts(there, "pretrain")[0], signal.SIGKILL)
            assert run.wait(600) == 0, (there / "told.txt").read_text()[-3000:]
        finally:
            run.kill()
        jobs = cluster.call("scontrol", "--oneliner", "show", "jobs").splitlines()
        # Down, or with a job that is not done and a star: it does not answer.
        state = cluster.call("sinfo", "-hn", "n2", "-o", "%T").strip()
        assert state.startswith("down") or state.endswith("*"), state
    assert "Trying to restart job" in (there / "told.txt").read_text()
    # SLURM took it elsewhere, or it failed and Snakemake sent it again.
    assert not [job for job in jobs if job.split()[0][6:] in lost and "BatchHost=n2" in job
                and "JobState=COMPLETED" in job]  # fmt: skip
    # Every job of a GPU was on the node that has them.
    with_gpu = [job for job in jobs if re.search(r"TresPer\w+=gres[:/]gpu", job)]
    assert with_gpu and all("BatchHost=n1" in job for job in with_gpu)
    assert list((there / "results/logs/slurm").rglob("*.log"))  # what the killed job said

    assert start(here, os.environ, "--cores", "2").wait(240) == 0
    for name in ("scores.csv", "table2.csv"):
        same = [(project / "results" / name).read_bytes() for project in (there, here)]
        assert same[0] == same[1], name
