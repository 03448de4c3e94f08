"""Jobs that run at once on one machine have a GPU each; the machine's GPUs are pretended."""

import os
import subprocess
import sys

import pytest
from projects import ROOT

CHILD = """
import os, sys
from video_lstm.gpus import take_gpu
take_gpu()
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start a process that takes a GPU and keeps it; returns it and what it took."""
    processes = []

    def call(job="", **variables):
        others = {k: v for k, v in os.environ.items() if k not in ("CUDA_VISIBLE_DEVICES",)}
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=others
            | {
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "workflow_scripts"),
                "SLURM_JOB_ID": str(tmp_path) + job,  # tests run side by side
            }
            | variables,
        )
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield call
    for process in processes:
        process.communicate()


@pytest.fixture
def machine(tmp_path):
    """Pretend that the machine has so many GPUs, or what else nvidia-smi says."""

    def pretend(*names):
        lines = "\\n".join(f"GPU {n}: A Model (UUID: {name})" for n, name in enumerate(names))
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n[ $1 = -L ] && printf '{lines}\\n'\n")
        program.chmod(0o755)

    return pretend


def test_each_process_has_a_gpu_and_then_they_share_evenly(machine, start):
    machine("GPU-a", "GPU-b", "GPU-c")
    taken = [start()[1] for _ in range(6)]
    assert taken == ["GPU-a", "GPU-b", "GPU-c"] * 2


def test_a_gpu_is_free_again_when_its_process_is_killed(machine, start):
    machine("GPU-a", "GPU-b")
    (first, _), (_, second) = start(), start()
    first.kill()
    first.wait()
    assert (second, start()[1]) == ("GPU-b", "GPU-a")


def test_the_choice_is_among_those_that_were_given(machine, start):
    machine("GPU-a", "GPU-b", "GPU-c")
    environment = {"CUDA_VISIBLE_DEVICES": "2,1"}
    assert [start(**environment)[1] for _ in range(3)] == ["2", "1", "2"]
    # Another SLURM job's are others, whatever their numbers.
    assert start(job="7", **environment)[1] == "2"
    assert start(CUDA_VISIBLE_DEVICES="0")[1] == "0"
    assert start(CUDA_VISIBLE_DEVICES="")[1] == ""


def test_cut_gpus_are_taken_by_their_parts(machine, start):
    machine("GPU-a", "MIG-1", "MIG-2")
    assert [start()[1] for _ in range(2)] == ["MIG-1", "MIG-2"]


def test_one_gpu_or_none_is_left_to_cuda(machine, start):
    machine("GPU-a")
    assert start()[1] == "None"
    machine()
    assert start()[1] == "None"
