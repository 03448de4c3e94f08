"""What an artifact of a pretrained model tells of its training, without the model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact, read_arrays

MODEL = "model."
"""The beginning of the names of a model's weights."""


@dataclass(frozen=True)
class TrainingSummary:
    """How large a pretrained model is and what its training took.

    Attributes:
        units: Hidden units per layer; channels for a ConvLSTM.
        parameters: Number of parameters of the model.
        steps: updates.
        seconds: Training time, without validation and checkpoints, on the machine it was trained
            on.
    """

    units: int
    parameters: int
    steps: int
    seconds: float


def read_training_summary(path: Path) -> TrainingSummary:
    """Read a pretrained model's course of training.

    Raises:
        UserError: the file is no such artifact.
    """
    with open_artifact(path, "pretrained") as file:
        arguments = _arguments(file)
        batch = json.loads(file.attrs["settings"])["model"]["training"]["batch_size"]
        curves = read_arrays(file, "curves")
        weights = file["weights"].items()
        parameters = sum(value.size for name, value in weights if name.startswith(MODEL))
    steps = np.diff(curves["step"], prepend=0)
    return TrainingSummary(
        units=int(arguments["hidden_size"]),
        parameters=parameters,
        steps=int(curves["step"][-1]),
        seconds=float((steps * batch / curves["throughput"]).sum()),
    )


def read_curves(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a pretrained model's arguments of `EncoderDecoder`, and its curves, see `loop.train`.

    Raises:
        UserError: the file is no such artifact.
    """
    with open_artifact(path, "pretrained") as file:
        return _arguments(file), read_arrays(file, "curves")


def _arguments(file: h5py.File) -> dict[str, Any]:
    return json.loads(file.attrs["model"])["arguments"]
