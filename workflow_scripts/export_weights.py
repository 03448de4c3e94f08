r"""Write the weights of an artifact as safetensors, for use elsewhere.

Reads a pretrained encoder-decoder, a fine-tuned classifier or the convnet of the flow. Tensors keep
their names and values; the file's metadata says what they are weights of (`schema`, `model` or
`classifier`, JSON) and which artifact they are from (`identity`, `settings`).

    python workflow_scripts/export_weights.py --output composite.safetensors \
      --artifact results/pretrain/patches/pixels/composite.h5
"""

import logging
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.errors import UserError

logger = logging.getLogger("video_lstm")
_SCHEMAS = ("pretrained", "finetuned", "flow_convnet")


class Arguments(CommandLine):
    """What to write where."""

    artifact: Path
    """Below results/pretrain, results/finetune or results/flow_convnet."""
    output: Path
    """The .safetensors file to write."""


def main(arguments: Arguments) -> None:
    """Read the weights and write them."""
    path = arguments.artifact
    schema = artifacts.schema_of(path) or "pretrained"
    if schema not in _SCHEMAS:
        raise UserError(f"{path}: expected one of {', '.join(_SCHEMAS)}, found '{schema}'")
    with artifacts.open_artifact(path, schema) as file:
        if "weights" not in file:
            raise UserError(
                f"{path}: expected weights, found scores only, of validation or of fused streams; "
                "name a file below results/finetune"
            )
        arrays = artifacts.read_arrays(file, "weights")
        weights = {name: np.asarray(value) for name, value in arrays.items()}
        names = ("schema", "model", "classifier", "identity", "settings")
        metadata = {name: str(file.attrs[name]) for name in names if name in file.attrs}
    with artifacts.atomic_write(arguments.output) as temporary:
        save_file(weights, temporary, metadata)
    values = sum(value.size for value in weights.values())
    logger.info("%d tensors, %d values: %s", len(weights), values, arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
