"""What a killed training goes on from: everything that the next step depends on, in one file.

Safetensors with JSON in its header, no pickle. A resumed training ends with the same weights, bit
for bit on a CPU, as one that was never interrupted.
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
    """Where a training keeps what it goes on from, and how often it writes it."""

    path: Path
    seconds: float


@dataclass
class TrainingState:
    """Where a training stands, beside its weights and its optimiser.

    Attributes:
        step: updates done.
        curves: values by curve name, see `loop.train`.
        losses, norms: of the steps since the last point of the curves.
        seconds: that those steps took.
        best: the criterion of the best validation so far; infinite before the first.
        validations_since_best: validations since the best.
        best_weights: the module's state dict at the best validation, where it is kept.
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
    """Write a checkpoint: whole under its name, or not at all.

    Raises:
        UserError: the folder cannot be written or the disk is full.
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
            fields = re.search(r"\(os error (\d+)\)", str(error))
            raise OSError(*((int(fields[1]), str(error)) if fields else (str(error),))) from error


def load_checkpoint(
    path: Path, module: nn.Module, optimizer: Optimizer, settings: TrainingSettings
) -> TrainingState | None:
    """Put a module and its optimiser where a checkpoint left them.

    Returns:
        Where the training stands; None, with nothing touched and a line in the log where there is
        a file, if there is no checkpoint, or one that is damaged or of another training.

    Raises:
        UserError: there is a file that cannot be read, whatever it holds.
    """
    with translate_read_errors(path):
        if not path.exists():
            return None
        path.open("rb").close()  # safetensors calls whatever it cannot open a missing file
    try:
        header, tensors = _read(path)
        if header.get("settings") != _identity(settings):
            raise ValueError("it is of other training settings")
        fields = json.loads(header["state"])
        groups = _by_prefix(tensors)
        weights, best, random = groups["weights"], groups.get("best"), groups["random"]
        for tensors_read in (weights, best if best is not None else weights):
            _require_same_shapes(tensors_read, module.state_dict())
        _require_same_shapes(groups.get("optimizer", {}), optimizer.state)
        _require_same_shapes(random, _random_states(module))
        state = TrainingState(**fields, best_weights=best)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: not used, the training starts over: %s", path, error)
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
    """Remove a checkpoint that is of no use any more, and what killed writers left beside it."""
    temporary_path(path)
    path.unlink(missing_ok=True)


def _identity(settings: TrainingSettings) -> str:
    return settings.model_dump_json()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise ValueError(f"it is no {_FORMAT}")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if header.get("checksum") != str(_checksum(tensors)):
        raise ValueError("its checksum is wrong: it is damaged")
    return header, tensors


def _by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        prefix, _, rest = name.partition("/")
        groups.setdefault(prefix, {})[rest] = value
    return groups


def _require_same_shapes(
    tensors_read: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    shapes = [
        {name: (value.shape, value.dtype) for name, value in tensors.items()}
        for tensors in (tensors_read, expected)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError("it is of another model or device")


def _random_states(module: nn.Module) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    device = _device(module)
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of names and bytes: a whole file may still have been damaged on the disk."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy(), total)
    return total
