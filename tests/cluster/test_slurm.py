"""The tiny workflow on a real SLURM gives the same tables although a job and a node die."""

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
# There is no device: jobs request a GPU, get one, and torch cannot use it.
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
        stdout=(project / "output.txt").open("w"),
        stderr=subprocess.STDOUT,
    )


def scripts(project, name):
    """Return the processes of a script that run in the project."""
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


def test_tables_are_those_of_a_local_run_although_a_job_and_a_node_die(tmp_path):
    remote, local = (copy_code(tmp_path / name) for name in ("remote", "local"))
    with slurm(tmp_path / "slurm") as cluster:
        cluster.program("nvidia-smi", NVIDIA_SMI)
        run = start(
            remote, cluster.environment,
            "--workflow-profile", "profiles/slurm", "--max-threads", "2",
            "--seconds-between-status-checks", "2",
            "--slurm-init-seconds-before-status-checks", "2",
        )  # fmt: skip
        try:
            on_n2 = ("squeue", "-h", "-t", "running", "-w", "n2", "-o", "%A")
            wait(lambda: cluster.call(*on_n2), 120)
            lost = cluster.call(*on_n2).split()
            cluster.kill_node("n2")
            wait(lambda: scripts(remote, "pretrain"), 240)
            os.kill(scripts(remote, "pretrain")[0], signal.SIGKILL)
            assert run.wait(600) == 0, (remote / "output.txt").read_text()[-3000:]
        finally:
            run.kill()
        jobs = cluster.call("scontrol", "--oneliner", "show", "jobs").splitlines()
        # Down, or marked with a star because it does not respond.
        state = cluster.call("sinfo", "-hn", "n2", "-o", "%T").strip()
        assert state.startswith("down") or state.endswith("*"), state
    assert "Trying to restart job" in (remote / "output.txt").read_text()
    # SLURM moved the job, or it failed and Snakemake submitted it again.
    assert not [job for job in jobs if job.split()[0][6:] in lost and "BatchHost=n2" in job
                and "JobState=COMPLETED" in job]  # fmt: skip
    # All jobs with a GPU ran on the node with GPUs.
    with_gpu = [job for job in jobs if re.search(r"TresPer\w+=gres[:/]gpu", job)]
    assert with_gpu and all("BatchHost=n1" in job for job in with_gpu)
    assert list((remote / "results/logs/slurm").rglob("*.log"))  # the log of the killed job

    assert start(local, os.environ, "--cores", "2").wait(240) == 0
    for name in ("scores.csv", "table2.csv"):
        contents = [(project / "results" / name).read_bytes() for project in (remote, local)]
        assert contents[0] == contents[1], name
