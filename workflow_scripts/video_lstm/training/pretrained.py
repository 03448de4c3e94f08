"""Pretrained encoder-decoders as artifacts: all that it takes to build one again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from video_lstm.artifacts import open_artifact, read_arrays, write_arrays
from video_lstm.errors import UserError
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.training.training_summary import MODEL

_STANDARDIZE = "standardize."


@dataclass(frozen=True)
class PretrainedInfo:
    """What an artifact of schema `pretrained` says beside its model.

    Attributes:
        source: what it learned from: "percepts", "mnist" or "patches".
        arguments: Arguments of EncoderDecoder, including the variant's name.
        standardize: what its frames are read through; None where they are used as they are.
        pixels: the pictures it learned from; None for a model of percepts.
        stream: which percepts it learned from; None for a model of pictures.
        percepts: how these were made, see `PerceptStore`; None for a model of pictures.
    """

    source: str
    arguments: Mapping[str, Any]
    standardize: Standardize | None
    pixels: PixelFormat | None = None
    stream: str | None = None
    percepts: Mapping[str, Any] | None = None


def save_pretrained(
    file: h5py.File,
    model: EncoderDecoder,
    *,
    source: str,
    arguments: Mapping[str, Any],
    standardize: Standardize | None = None,
    pixels: PixelFormat | None = None,
    stream: str | None = None,
    percepts: Mapping[str, Any] | None = None,
    curves: Mapping[str, np.ndarray],
) -> None:
    """Write a model into an open artifact of schema `pretrained`.

    Args:
        file: where to.
        model: on any device.
        source: what it learned from.
        arguments: Arguments of EncoderDecoder that rebuild the model; JSON-serialisable.
        standardize: what its frames are read through.
        pixels: the pictures it learned from.
        stream: which percepts it learned from.
        percepts: how these were made.
        curves: Training curves, see `loop.train`.
    """
    metadata = {"source": source, "arguments": dict(arguments)}
    if pixels is not None:
        metadata["pixels"] = asdict(pixels)
    if stream is not None:
        metadata |= {"stream": stream, "percepts": percepts}
    file.attrs["model"] = json.dumps(metadata)
    weights = {MODEL + name: value for name, value in model.state_dict().items()}
    if standardize is not None:
        weights |= {_STANDARDIZE + name: v for name, v in standardize.state_dict().items()}
    write_arrays(file, "weights", {name: v.cpu().numpy() for name, v in weights.items()})
    write_arrays(file, "curves", curves)


def load_pretrained(path: Path) -> tuple[EncoderDecoder, PretrainedInfo]:
    """Read a model back, on the CPU and in evaluation mode.

    Raises:
        UserError: the file is no such artifact, or its weights are not those of its model.
    """
    with open_artifact(path, "pretrained") as file:
        metadata = json.loads(file.attrs["model"])
        weights = {k: torch.from_numpy(v) for k, v in read_arrays(file, "weights").items()}
    model = EncoderDecoder(**metadata["arguments"])
    try:
        model.load_state_dict(_under(MODEL, weights))
        standardize = None
        if normaliser := _under(_STANDARDIZE, weights):
            standardize = Standardize(**{k: v.numpy() for k, v in normaliser.items()})
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: its weights are not those of its model ({reason}); delete it and run the "
            "same command again"
        ) from error
    pixels = PixelFormat(**metadata["pixels"]) if "pixels" in metadata else None
    return model.eval(), PretrainedInfo(
        metadata["source"], metadata["arguments"], standardize, pixels, metadata.get("stream"),
        metadata.get("percepts"),
    )  # fmt: skip


def _under(prefix: str, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
