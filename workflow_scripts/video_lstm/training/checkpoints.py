"""Training checkpoints: everything that the next step depends on, in one file.

The format is safetensors with JSON in its header, without pickle. On a CPU a resumed training ends
with the same weights, bit for bit, as one that was never interrupted.
"""

import json
import logging
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from video_lstm.artifacts import atomic_write, temporary_path, translate_read_errors
from video_lstm.settings.training import TrainingSettings
from video_lstm.training.optimizers import Optimizer

logger = logging.getLogger("video_lstm")

_FORMAT = "video-lstm training checkpoint, version 1"


@dataclass(frozen=True)
class Checkpoint:
    """Path of a training's checkpoint, and the interval between checkpoints.

    Attributes:
        path: File to write and to resume from.
        seconds: Time between two checkpoints.
    """

    path: Path
    seconds: float


@dataclass
class TrainingState:
    """Progress of a training, without the current weights and the optimiser's state.

    Attributes:
        step: Number of updates so far.
        curves: Training curves by name, see `loop.train`.
        losses: Losses of the steps since the last point of the curves.
        norms: Gradient norms of the same steps.
        seconds: Duration of the same steps.
        best: Best validation criterion so far; infinite before the first validation.
        validations_since_best: Number of validations after the best one.
        best_weights: State dict at the best validation; None if it is not kept.
    """

    step: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best: float = float("inf")
    validations_since_best: int = 0
    best_weights: dict[str, Tensor] | None = None


def save_checkpoint(
    path: Path,
    module: nn.Module,
    optimizer: Optimizer,
    state: TrainingState,
    settings: TrainingSettings,
) -> None:
    """Write a checkpoint atomically.

    Raises:
        UserError: The folder cannot be written or the disk is full.
    """
    tensors = {f"weights/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"optimizer/{name}": value for name, value in optimizer.state.items()}
    for name, value in (state.best_weights or {}).items():
        tensors[f"best/{name}"] = value
    tensors |= {f"random/{name}": value for name, value in _random_states(module).items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    fields = {name: value for name, value in vars(state).items() if name != "best_weights"}
    header = {
        "format": _FORMAT,
        "settings": _identity(settings),
        "state": json.dumps(fields),
        "checksum": str(_checksum(tensors)),
    }
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, header)
        except SafetensorError as error:
            code = re.search(r"\(os error (\d+)\)", str(error))
            raise OSError(*((int(code[1]), str(error)) if code else (str(error),))) from error


def load_checkpoint(
    path: Path, module: nn.Module, optimizer: Optimizer, settings: TrainingSettings
) -> TrainingState | None:
    """Restore a module, its optimiser and the random state from a checkpoint.

    Returns:
        Progress of the training; None, and nothing is restored, if there is no checkpoint, or if
        it is damaged or belongs to another training, which is logged.

    Raises:
        UserError: The file exists and cannot be read.
    """
    with translate_read_errors(path):
        if not path.exists():
            return None
        path.open("rb").close()  # safetensors would report every error as a missing file
    try:
        header, tensors = _read(path)
        if header.get("settings") != _identity(settings):
            raise ValueError("it was written with other training settings")
        fields = json.loads(header["state"])
        groups = _group_by_prefix(tensors)
        weights, best, random = groups["weights"], groups.get("best"), groups["random"]
        for state_dict in (weights, best if best is not None else weights):
            _require_same_shapes(state_dict, module.state_dict())
        _require_same_shapes(groups.get("optimizer", {}), optimizer.state)
        _require_same_shapes(random, _random_states(module))
        state = TrainingState(**fields, best_weights=best)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: checkpoint not used, training starts over: %s", path, error)
        return None
    module.load_state_dict(weights)
    for name, value in groups.get("optimizer", {}).items():
        optimizer.state[name].copy_(value)
    device = _device(module)
    torch.set_rng_state(random["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(random["cuda"], device)
    if best is not None:
        state.best_weights = {name: value.to(device) for name, value in best.items()}
    return state


def remove_checkpoint(path: Path) -> None:
    """Remove the checkpoint of a finished training and temporary files of killed writers."""
    temporary_path(path)
    path.unlink(missing_ok=True)


def _identity(settings: TrainingSettings) -> str:
    return settings.model_dump_json()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise ValueError(f"expected a {_FORMAT}")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if header.get("checksum") != str(_checksum(tensors)):
        raise ValueError("it is damaged (wrong checksum)")
    return header, tensors


def _group_by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        prefix, _, suffix = name.partition("/")
        groups.setdefault(prefix, {})[suffix] = value
    return groups


def _require_same_shapes(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    shapes = [
        {name: (value.shape, value.dtype) for name, value in tensors.items()}
        for tensors in (actual, expected)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError("it belongs to another model or device")


def _random_states(module: nn.Module) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    device = _device(module)
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """Return the CRC-32 of names and bytes, to detect files that the disk has damaged."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy(), total)
    return total
