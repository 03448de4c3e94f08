"""Which device torch works on."""

from typing import Literal

import torch

from video_lstm.errors import UserError
from video_lstm.gpus import take_gpu


def pick_device(choice: Literal["auto", "cpu", "cuda"]) -> tuple[torch.device, str]:
    """The device to work on, and what it is called in provenance.

    Args:
        choice: `auto` takes a GPU where there is one.

    Returns:
        The device; "cpu" or the GPU's model.

    Raises:
        UserError: `cuda` is asked for and there is none.
    """
    if choice != "cpu":
        take_gpu()
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise UserError("device: expected a CUDA GPU, found none that torch can use; take 'cpu'")
    if choice == "cpu" or not available:
        return torch.device("cpu"), "cpu"
    return torch.device("cuda"), torch.cuda.get_device_name()
