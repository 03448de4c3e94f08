"""Read convnet weights from files without running any code in them."""

import hashlib
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from video_lstm.errors import UserError


def read_weights(path: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read named tensors from a .safetensors file or a file that `torch.save` wrote.

    Args:
        path: Path of the file. Pickles are restricted to tensors and containers, so that code in
            them is refused and not run.
        sha256: Expected SHA-256 of the file, hexadecimal; None to skip the check.

    Returns:
        Tensors on the CPU by name; floating-point ones as float32.

    Raises:
        UserError: The file is missing, has another digest, no named tensors, or contains code.
    """
    try:
        if sha256 is not None:
            _check_digest(path, sha256.lower())
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: weights cannot be read ({error.strerror or error})") from error
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError,
            LookupError, TypeError, AttributeError) as error:  # fmt: skip
        reason = str(error).split("\n", 1)[0]
        raise UserError(
            f"{path}: expected weights as .safetensors or as torch.save writes a state_dict, found "
            f"another format, or code, which was not run ({reason}); use a file of weights only"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(
            f"{path}: expected tensors by name, found a {type(state).__name__} with other values; "
            "save the network's state_dict() alone"
        )
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def load_weights(
    network: nn.Module, state: dict[str, torch.Tensor], source: str, unused: set[str]
) -> None:
    """Load weights into a network, strictly.

    Args:
        network: Network, possibly on the meta device; its parameters become the tensors of `state`.
        state: Tensors by parameter name.
        source: Name of the weights in messages.
        unused: Names of modules whose weights may be missing; missing ones become 0.

    Raises:
        UserError: A weight is missing, has another shape, or does not belong to the network.
    """
    expected = network.state_dict()
    problems = {
        "lacks": [name for name in expected if name not in state and _is_needed(name, unused)],
        "has unknown": [name for name in state if name not in expected],
        "has in another shape": [
            f"{name} {tuple(tensor.shape)} (expected {tuple(expected[name].shape)})"
            for name, tensor in state.items()
            if name in expected and tensor.shape != expected[name].shape
        ],
    }
    for problem, names in problems.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UserError(
                f"{source}: expected exactly the weights of this network, but it {problem} "
                f"{', '.join(names[:3])}{more}; use weights of this network"
            )
    filled = {
        name: state[name] if name in state else torch.zeros(tensor.shape, dtype=tensor.dtype)
        for name, tensor in expected.items()
    }
    network.load_state_dict(filled, assign=True)


def _is_needed(name: str, unused: set[str]) -> bool:
    """Tell whether a weight is used: neither its module nor a parent module is unused."""
    *modules, weight = name.split(".")
    if weight == "num_batches_tracked":  # used in training only; missing in old files
        return False
    return not any(".".join(modules[:n]) in unused for n in range(1, len(modules) + 1))


def _check_digest(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise UserError(
            f"{path}: expected SHA-256 {expected} (weights_sha256), found {actual}; "
            "download the file again or correct the setting"
        )
