"""Which of several GPUs a process works on."""

import contextlib
import fcntl
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TextIO

_held: list[TextIO] = []
"""Locks: the operating system's, so that they end with the process, however that ends."""


def take_gpu() -> None:
    """Take the GPU that the fewest of our processes work on, by CUDA_VISIBLE_DEVICES.

    Snakemake limits how many jobs use a GPU at a time, but does not tell a job which. Where the
    variable is set already (by SLURM, by a person) the choice is among those that it names. CUDA
    reads it once: call this before anything else asks for a GPU.
    """
    gpus = _visible()
    if len(gpus) < 2:
        return
    folder = Path(tempfile.gettempdir(), f"video_lstm_gpus_{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    # A number is another GPU in another SLURM job.
    job = os.environ.get("SLURM_JOB_ID", "")
    for place in itertools.count():
        for gpu in gpus:
            lock = (folder / f"{job}_{gpu}_{place}").open("a")
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _held.append(lock)
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return
            lock.close()


def _visible() -> list[str]:
    """Names of the GPUs that CUDA would find; MIG instances where GPUs are cut into such."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",")]
    if shutil.which("nvidia-smi") is None:
        return []
    told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return re.findall(r"UUID: (MIG-[^)]+)", told) or re.findall(r"UUID: (GPU-[^)]+)", told)
