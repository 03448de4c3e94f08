"""Size, training time and curves of pretrained models, without loading the models."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from video_lstm.artifacts import open_artifact, read_arrays

MODEL_PREFIX = "model."
"""Prefix of the names of a model's weights in an artifact."""


@dataclass(frozen=True)
class TrainingSummary:
    """Size and training time of a pretrained model.

    Attributes:
        units: Hidden units per layer; channels for a ConvLSTM.
        parameters: Number of parameters of the model.
        steps: Number of updates.
        seconds: Training time on its machine, without validation and checkpoints.
    """

    units: int
    parameters: int
    steps: int
    seconds: float


def read_training_summary(path: Path) -> TrainingSummary:
    """Read the size and the training time of a pretrained model.

    Raises:
        UserError: The file is not such an artifact.
    """
    with open_artifact(path, "pretrained") as file:
        arguments = _read_arguments(file)
        batch_size = json.loads(file.attrs["settings"])["model"]["training"]["batch_size"]
        curves = read_arrays(file, "curves")
        weights = file["weights"].items()
        parameters = sum(value.size for name, value in weights if name.startswith(MODEL_PREFIX))
    steps = np.diff(curves["step"], prepend=0)
    return TrainingSummary(
        units=int(arguments["hidden_size"]),
        parameters=parameters,
        steps=int(curves["step"][-1]),
        seconds=float((steps * batch_size / curves["throughput"]).sum()),
    )


def read_curves(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a pretrained model's arguments of `EncoderDecoder` and its curves, see `loop.train`.

    Raises:
        UserError: The file is not such an artifact.
    """
    with open_artifact(path, "pretrained") as file:
        return _read_arguments(file), read_arrays(file, "curves")


def _read_arguments(file: h5py.File) -> dict[str, Any]:
    return json.loads(file.attrs["model"])["arguments"]
