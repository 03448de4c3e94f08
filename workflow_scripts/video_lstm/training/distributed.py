"""Several processes that train one model, each on its part of every batch, started by torchrun."""

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
    """How many there are; 1 where none were started."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which one this is; the first, 0, is the one that writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun has started, if it has, for the length of a block.

    Args:
        device: where to train; on "cuda" each process has taken a GPU of its own (`take_gpu`).

    Yields:
        The device of this process.
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
    """The module as it is called in training: its gradients are the means over all processes."""
    if world_size() == 1:
        return module
    devices = {p.device for p in module.parameters() if p.is_cuda}
    return DistributedDataParallel(
        module, device_ids=list(devices) or None, gradient_as_bucket_view=True
    )


def local_slice(batch: int) -> slice:
    """The sequences of a batch that are this process's.

    Raises:
        UserError: torchrun started another number of processes than cut the batch evenly.
    """
    if batch % world_size():
        raise UserError(
            f"training.batch_size: expected a multiple of the {world_size()} processes, "
            f"found {batch}; "
            "change one of them"
        )
    size = batch // world_size()
    return slice(rank() * size, (rank() + 1) * size)


def all_reduce_mean(values: Tensor) -> Tensor:
    """The mean over all processes, known to each."""
    if world_size() > 1:
        dist.all_reduce(values)
        values /= world_size()
    return values


def broadcast(value: float) -> float:
    """The first process's value, so that all decide alike."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
