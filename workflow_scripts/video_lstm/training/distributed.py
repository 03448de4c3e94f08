"""Data-parallel training: processes started by torchrun, each with a part of every batch."""

import contextlib
import logging
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from video_lstm.errors import UserError


def world_size() -> int:
    """Return the number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process; rank 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the process group for the duration of a block, if torchrun has started the process.

    Args:
        device: Device to train on; for "cuda" each process has taken its GPU before (`take_gpu`).

    Yields:
        Device of this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", 0)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if dist.get_rank():
        logging.getLogger("video_lstm").setLevel(logging.WARNING)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def wrap_ddp(module: nn.Module) -> nn.Module:
    """Wrap a module in DistributedDataParallel, which averages gradients over all processes."""
    if world_size() == 1:
        return module
    devices = {p.device for p in module.parameters() if p.is_cuda}
    return DistributedDataParallel(
        module, device_ids=list(devices) or None, gradient_as_bucket_view=True
    )


def local_slice(batch_size: int) -> slice:
    """Return this process's part of a batch.

    Raises:
        UserError: The batch size is not a multiple of the number of processes.
    """
    if batch_size % world_size():
        raise UserError(
            f"training.batch_size: expected a multiple of the {world_size()} processes, found "
            f"{batch_size}; change batch_size or num_processes"
        )
    size = batch_size // world_size()
    return slice(rank() * size, (rank() + 1) * size)


def all_reduce_mean(values: Tensor) -> Tensor:
    """Return the mean over all processes, to every process."""
    if world_size() > 1:
        dist.all_reduce(values)
        values /= world_size()
    return values


def broadcast(value: float) -> float:
    """Return the value of rank 0 to every process, so that all take the same decisions."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
