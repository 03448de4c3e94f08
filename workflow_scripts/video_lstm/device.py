"""Choice between CPU and GPU."""

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
