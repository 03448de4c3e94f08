"""Matching of models for fair comparison: equal numbers of parameters or equal training time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.training.training_summary import read_training_summary


def count_parameters(arguments: Mapping[str, Any]) -> int:
    """Count the parameters of an EncoderDecoder from its arguments, without allocating memory."""
    with torch.device("meta"):
        return sum(p.numel() for p in EncoderDecoder(**arguments).parameters())


def matching_hidden_size(arguments: Mapping[str, Any], parameters: int) -> int:
    """Return the hidden size with which a model's number of parameters is closest to a target.

    Args:
        arguments: Arguments of EncoderDecoder; their `hidden_size` is ignored.
        parameters: Target number of parameters.
    """

    def num_parameters(hidden_size: int) -> int:
        return count_parameters({**arguments, "hidden_size": hidden_size})

    low, high = 1, 2
    while num_parameters(high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if num_parameters(middle) < parameters else (low, middle)
    return min((low, high), key=lambda size: abs(num_parameters(size) - parameters))


def matching_steps(target: Path, speed_reference: Path) -> int:
    """Return the number of steps that a model can be trained for in the time another one took.

    Args:
        target: Pretrained model whose training time is to be matched.
        speed_reference: Pretrained model of the same architecture as the model to train, trained on
            the same machine; gives the time per step.
    """
    seconds = read_training_summary(target).seconds
    reference = read_training_summary(speed_reference)
    return max(1, round(seconds / (reference.seconds / reference.steps)))
