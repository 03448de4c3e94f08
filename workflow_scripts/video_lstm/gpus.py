"""Which of several GPUs a process works on."""

import errno
import hashlib
import itertools
import os
import re
import shutil
import socket
import subprocess

_claims: list[socket.socket] = []
"""Open for as long as the process lives."""


def take_gpu() -> None:
    """Take the GPU that the fewest of our processes work on, by CUDA_VISIBLE_DEVICES.

    Snakemake limits how many jobs use a GPU at a time, but does not tell a job which. Where the
    variable is set already (by SLURM, by a person) the choice is among those that it names. CUDA
    reads it once: call this before anything else asks for a GPU.
    """
    gpus = _visible()
    if len(gpus) < 2:
        return
    # A number is another GPU in another SLURM job.
    job = os.environ.get("SLURM_JOB_ID", "")
    for place in itertools.count():
        for gpu in gpus:
            if _claim(f"{os.getuid()} {job} {gpu} {place}"):
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return


def _claim(name: str) -> bool:
    """Claim a name for this process; False if another process of this machine has it.

    The name of a socket, on no file system, since some cannot lock files: the operating system
    frees it when the process ends, however that ends.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind("\0video_lstm " + hashlib.sha256(name.encode()).hexdigest())
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _claims.append(claim)
    return True


def _visible() -> list[str]:
    """Names of the GPUs that CUDA would find; MIG instances where GPUs are cut into such."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",")]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return re.findall(r"UUID: (MIG-[^)]+)", listing) or re.findall(r"UUID: (GPU-[^)]+)", listing)
