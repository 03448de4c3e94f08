"""Models that can fairly be compared: as many parameters, or as much time to train."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.training.training_summary import read_training_summary


def count_parameters(arguments: Mapping[str, Any]) -> int:
    """Parameters of the EncoderDecoder of these arguments, which takes up no memory."""
    with torch.device("meta"):
        return sum(p.numel() for p in EncoderDecoder(**arguments).parameters())


def matching_hidden_size(arguments: Mapping[str, Any], parameters: int) -> int:
    """Units for a model to have as many parameters as another, as nearly as can be.

    Args:
        arguments: Arguments of EncoderDecoder; their `hidden_size` is ignored.
        parameters: Number of parameters of the other model.
    """

    def num_parameters(units: int) -> int:
        return count_parameters({**arguments, "hidden_size": units})

    low, high = 1, 2
    while num_parameters(high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if num_parameters(middle) < parameters else (low, middle)
    return min((low, high), key=lambda units: abs(num_parameters(units) - parameters))


def matching_steps(longest: Path, like: Path) -> int:
    """Steps that a model can be trained for in the time that another one took.

    Args:
        longest: the other one, an artifact of pretraining.
        like: a model such as the first, trained on the same machine, which shows its speed.
    """
    other, own = read_training_summary(longest), read_training_summary(like)
    return max(1, round(other.seconds / (own.seconds / own.steps)))
