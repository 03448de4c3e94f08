"""Tests of the assignment of GPUs to processes, with a mock nvidia-smi."""

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
    """Return a function that starts a process and returns it and the GPU it took."""
    processes = []

    def call(job="", **variables):
        environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment
            | {
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "workflow_scripts"),
                "SLURM_JOB_ID": str(tmp_path) + job,  # tests run in parallel
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
    """Return a function that sets the GPUs that nvidia-smi lists."""

    def set_gpus(*names):
        lines = "\\n".join(f"GPU {n}: A Model (UUID: {name})" for n, name in enumerate(names))
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n[ $1 = -L ] && printf '{lines}\\n'\n")
        program.chmod(0o755)

    return set_gpus


def test_processes_are_spread_evenly_over_gpus(machine, start):
    machine("GPU-a", "GPU-b", "GPU-c")
    taken = [start()[1] for _ in range(6)]
    assert taken == ["GPU-a", "GPU-b", "GPU-c"] * 2


def test_gpu_of_a_killed_process_is_free(machine, start):
    machine("GPU-a", "GPU-b")
    (first, _), (_, second) = start(), start()
    first.kill()
    first.wait()
    assert (second, start()[1]) == ("GPU-b", "GPU-a")


def test_gpus_are_chosen_from_cuda_visible_devices(machine, start):
    machine("GPU-a", "GPU-b", "GPU-c")
    environment = {"CUDA_VISIBLE_DEVICES": "2,1"}
    assert [start(**environment)[1] for _ in range(3)] == ["2", "1", "2"]
    # The GPUs of another SLURM job are different ones, even with the same numbers.
    assert start(job="7", **environment)[1] == "2"
    assert start(CUDA_VISIBLE_DEVICES="0")[1] == "0"
    assert start(CUDA_VISIBLE_DEVICES="")[1] == ""


def test_mig_instances_are_assigned(machine, start):
    machine("GPU-a", "MIG-1", "MIG-2")
    assert [start()[1] for _ in range(2)] == ["MIG-1", "MIG-2"]


def test_variable_is_not_set_for_one_gpu_or_none(machine, start):
    machine("GPU-a")
    assert start()[1] == "None"
    machine()
    assert start()[1] == "None"
