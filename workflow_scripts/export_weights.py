r"""Export the weights of an artifact as safetensors.

Reads a pretrained encoder-decoder, a fine-tuned classifier or the temporal-stream convnet. Tensors
keep their names and values. The file's metadata describe the model (`schema`, `model` or
`classifier`, JSON) and the artifact (`identity`, `settings`).

    python workflow_scripts/export_weights.py --output composite.safetensors \
      --artifact results/pretrain/patches/pixels/composite.h5
"""

import logging
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from video_lstm import artifacts
from video_lstm.command_line import CommandLine, run
from video_lstm.errors import UserError

logger = logging.getLogger("video_lstm")
_SCHEMAS = ("pretrained", "finetuned", "flow_convnet")


class Arguments(CommandLine):
    """Artifact and output."""

    artifact: Path
    """File below results/pretrain, results/finetune or results/flow_convnet."""
    output: Path
    """Safetensors file to write."""


def main(arguments: Arguments) -> None:
    """Read the weights and export them."""
    path = arguments.artifact
    schema = artifacts.schema_of(path) or "pretrained"
    if schema not in _SCHEMAS:
        raise UserError(f"{path}: expected one of {', '.join(_SCHEMAS)}, found '{schema}'")
    with artifacts.open_artifact(path, schema) as file:
        if "weights" not in file:
            raise UserError(
                f"{path}: expected weights, found scores only (of validation videos or of fused "
                "streams); use a file below results/finetune"
            )
        arrays = artifacts.read_arrays(file, "weights")
        weights = {name: np.asarray(value) for name, value in arrays.items()}
        names = ("schema", "model", "classifier", "identity", "settings")
        metadata = {name: str(file.attrs[name]) for name in names if name in file.attrs}
    with artifacts.atomic_write(arguments.output) as temporary:
        save_file(weights, temporary, metadata)
    parameters = sum(value.size for value in weights.values())
    logger.info("%d tensors, %d values: %s", len(weights), parameters, arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
