"""Choice between CPU and GPU, and the CPU's memory allocator."""

import contextlib
import ctypes
from typing import Literal

import torch

from video_lstm.errors import UserError
from video_lstm.gpus import take_gpu


def pick_device(choice: Literal["auto", "cpu", "cuda"]) -> tuple[torch.device, str]:
    """Return the device to work on and its name for provenance.

    Args:
        choice: Device type; "auto" takes a GPU if there is one.

    Returns:
        Device; its name: "cpu" or the model of the GPU.

    Raises:
        UserError: The choice is "cuda" and there is no GPU.
    """
    if choice != "cpu":
        take_gpu()
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise UserError(
            "device: expected a CUDA GPU, found none that torch can use; set it to 'cpu'"
        )
    if choice == "cpu" or not available:
        return torch.device("cpu"), "cpu"
    return torch.device("cuda"), torch.cuda.get_device_name()


def keep_freed_memory() -> None:
    """Let this process reuse the memory of freed tensors instead of returning it to the system.

    A training step frees tensors that the next step allocates again; the page faults would take 7%
    of its time on a CPU. Has an effect with glibc only.
    """
    trim_threshold, mmap_threshold = -1, -3  # numbers in glibc's malloc.h
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 2**25)  # the largest value that is accepted
        mallopt(trim_threshold, 2**31 - 1)
