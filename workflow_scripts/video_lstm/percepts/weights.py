"""Weights of convnets from files of others: read without running code that is in them."""

import hashlib
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from video_lstm.errors import UserError


def read_weights(path: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Named tensors of a .safetensors file, or of any other file that `torch.save` wrote.

    Args:
        path: the file. What is not .safetensors is unpickled with nothing but tensors and
            containers allowed, so that code in it is refused and not run.
        sha256: hexadecimal digest that the file must have; None takes any.

    Returns:
        Tensors on the CPU by name; those of floating point as float32.

    Raises:
        UserError: no such file, another digest, not a file of named tensors, or code in it.
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
            f"neither, or code that was not run ({reason}); give a file of weights only"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(
            f"{path}: expected tensors by name, found a {type(state).__name__} of other things; "
            "save the network's state_dict() alone"
        )
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def load_weights(
    network: nn.Module, state: dict[str, torch.Tensor], source: str, unused: set[str]
) -> None:
    """Put weights into a network, strictly.

    Args:
        network: may be on the meta device; its parameters become the tensors of `state`.
        state: tensors by the network's own names.
        source: what to call them in messages.
        unused: names of modules whose weights need not be there; those that are not become 0.

    Raises:
        UserError: a weight is missing, of another shape, or not one of the network's.
    """
    expected = network.state_dict()
    wrong = {
        "lacks": [n for n in expected if n not in state and _needed(n, unused)],
        "has unknown": [name for name in state if name not in expected],
        "has in another shape": [
            f"{name} {tuple(tensor.shape)} (expected {tuple(expected[name].shape)})"
            for name, tensor in state.items()
            if name in expected and tensor.shape != expected[name].shape
        ],
    }
    for problem, names in wrong.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UserError(
                f"{source}: expected exactly the weights of this network, but it {problem} "
                f"{', '.join(names[:3])}{more}; give the weights of this network"
            )
    filled = {
        name: state[name] if name in state else torch.zeros(tensor.shape, dtype=tensor.dtype)
        for name, tensor in expected.items()
    }
    network.load_state_dict(filled, assign=True)


def _needed(name: str, unused: set[str]) -> bool:
    """Whether a weight takes part: neither its module, nor one around it, is unused."""
    *modules, weight = name.split(".")
    if weight == "num_batches_tracked":  # a count that only training uses; old files lack it
        return False
    return not any(".".join(modules[:n]) in unused for n in range(1, len(modules) + 1))


def _check_digest(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise UserError(
            f"{path}: expected SHA-256 {expected} (weights_sha256), found {found}; "
            "download the file again or correct the setting"
        )
