"""Assignment of the GPUs of a machine to its processes."""

import errno
import hashlib
import itertools
import os
import re
import shutil
import socket
import subprocess

_claims: list[socket.socket] = []
"""Sockets that stay open until the process ends."""


def take_gpu() -> None:
    """Select the GPU that the fewest of our processes use, by setting CUDA_VISIBLE_DEVICES.

    Snakemake limits how many jobs use a GPU at a time, but does not assign GPUs to jobs. If
    CUDA_VISIBLE_DEVICES is already set (by SLURM or the user), one of its GPUs is selected. CUDA
    reads the variable once, so call this before anything else uses a GPU.
    """
    gpus = _list_gpus()
    if len(gpus) < 2:
        return
    # The same number is another GPU in another SLURM job.
    job = os.environ.get("SLURM_JOB_ID", "")
    for slot in itertools.count():
        for gpu in gpus:
            if _claim(f"{os.getuid()} {job} {gpu} {slot}"):
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return


def _claim(name: str) -> bool:
    """Claim a name for this process; return whether no other process of this machine has it.

    The name is that of an abstract Unix socket, which needs no file system and which the operating
    system releases however the process ends.
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


def _list_gpus() -> list[str]:
    """Return the names of the GPUs visible to CUDA; of MIG instances if GPUs are partitioned."""
    visible_devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible_devices is not None:
        return [name.strip() for name in visible_devices.split(",")]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return re.findall(r"UUID: (MIG-[^)]+)", listing) or re.findall(r"UUID: (GPU-[^)]+)", listing)
