"""Saving and loading of pretrained encoder-decoders."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from video_lstm.artifacts import open_artifact, read_arrays, write_arrays
from video_lstm.errors import UserError
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.pixel_format import PixelFormat
from video_lstm.training.training_summary import MODEL_PREFIX

_STANDARDIZE_PREFIX = "standardize."


@dataclass(frozen=True)
class PretrainedInfo:
    """Metadata of a pretrained model.

    Attributes:
        source: Training data: "percepts", "mnist" or "patches".
        arguments: Arguments of EncoderDecoder, including the variant's name.
        standardize: Standardisation of the frames; None for models of pixels.
        pixels: Format of the frames; None for models of percepts.
        stream: Stream of the percepts; None for models of pixels.
        percepts: Provenance of the percepts, see `PerceptStore`; None for models of pixels.
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
        file: Open HDF5 file.
        model: Model on any device.
        source: Training data: "percepts", "mnist" or "patches".
        arguments: Arguments of EncoderDecoder that rebuild the model; JSON-serialisable.
        standardize: Standardisation of the frames.
        pixels: Format of the frames.
        stream: Stream of the percepts.
        percepts: Provenance of the percepts.
        curves: Training curves, see `loop.train`.
    """
    metadata: dict[str, Any] = {"source": source, "arguments": dict(arguments)}
    if pixels is not None:
        metadata["pixels"] = asdict(pixels)
    if stream is not None:
        metadata |= {"stream": stream, "percepts": percepts}
    file.attrs["model"] = json.dumps(metadata)
    weights = {MODEL_PREFIX + name: value for name, value in model.state_dict().items()}
    if standardize is not None:
        weights |= {_STANDARDIZE_PREFIX + name: v for name, v in standardize.state_dict().items()}
    write_arrays(file, "weights", {name: v.cpu().numpy() for name, v in weights.items()})
    write_arrays(file, "curves", curves)


def load_pretrained(path: Path | str) -> tuple[EncoderDecoder, PretrainedInfo]:
    """Load a model on the CPU, in evaluation mode, with its metadata.

    Its frames must be prepared as in training: percepts by the metadata's `standardize`, pixels as
    its `pixels` describe.

    Args:
        path: Artifact below results/pretrain, or its export as safetensors.

    Raises:
        UserError: The file is neither, or its weights do not match its model.
    """
    metadata, weights = _read_file(Path(path))
    model = EncoderDecoder(**metadata["arguments"])
    try:
        model.load_state_dict(_select_prefix(weights, MODEL_PREFIX))
        standardize = None
        if buffers := _select_prefix(weights, _STANDARDIZE_PREFIX):
            standardize = Standardize(**{name: v.numpy() for name, v in buffers.items()})
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: its weights do not match its model ({reason}); delete it and run the same "
            "command again"
        ) from error
    pixels = PixelFormat(**metadata["pixels"]) if "pixels" in metadata else None
    return model.eval(), PretrainedInfo(
        metadata["source"], metadata["arguments"], standardize, pixels, metadata.get("stream"),
        metadata.get("percepts"),
    )  # fmt: skip


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return metadata and weights of an artifact or of its export."""
    if path.suffix != ".safetensors":
        with open_artifact(path, "pretrained") as file:
            arrays = read_arrays(file, "weights")
            weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
            return json.loads(file.attrs["model"]), weights
    try:
        with safe_open(path, "pt") as file:
            attributes = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: expected a safetensors file, {error}; export it again") from error
    if "model" not in attributes:
        raise UserError(
            f"{path}: expected an exported encoder-decoder, found "
            f"'{attributes.get('schema', 'a file without metadata')}'; export a file below "
            "results/pretrain"
        )
    return json.loads(attributes["model"]), weights


def _select_prefix(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Select the weights whose names begin with a prefix, and strip it."""
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
