"""Turn the flow of clips into percepts: fc6 of a temporal-stream convnet.

Reads a shard of flow and a trained convnet; writes one percept for each stack of flows. Percept t
of a clip is made of its flows t to t + L - 1, the central square of each; a clip with fewer than L
flows has one percept, its last flow repeated. A killed job goes on from the batches it has.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from command_line import CommandLine, run
from video_lstm import artifacts
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.flow.storage import FlowStore
from video_lstm.parallel import ordered_map
from video_lstm.percepts.extract import cut_batches, write_percepts
from video_lstm.percepts.partial import PartialRows
from video_lstm.percepts.temporal_stream import (
    crop_flow,
    displacements,
    read_network,
    stack_indices,
)
from video_lstm.progress import Progress

BATCH = 128
"""Percepts per forward pass."""


class Arguments(CommandLine):
    """Command line."""

    flow: Path
    """A shard of flow."""
    convnet: Path
    """The trained temporal-stream convnet."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache: Path = Path("results/checkpoints")
    """Folder for what killed jobs have done."""
    output: Path


def main(arguments: Arguments) -> None:
    """Extract and write the artifact."""
    torch.set_num_threads(arguments.threads)
    device, device_name = pick_device(arguments.device)
    provenance = arguments.provenance(
        {"flow": arguments.flow, "convnet": arguments.convnet}, device_name
    )
    store = FlowStore([arguments.flow])
    geometry = (store.height, store.width, store.bound)
    with artifacts.open_artifact(arguments.convnet, "flow_convnet") as file:
        trained_on = tuple(file.attrs[name].item() for name in ("height", "width", "bound"))
        network = read_network(file).to(device)
    if trained_on != geometry:
        raise UserError(
            f"{arguments.convnet}: expected a convnet trained on flow of height, width, bound "
            f"{geometry} as in {arguments.flow}, found {trained_on}; run train_flow_convnet again"
        )
    side, stack = network.settings.crop, network.stack
    corner = (store.height - side) // 2, (store.width - side) // 2
    stacks = [stack_indices(store.pairs(row), stack) for row in store.rows]
    lengths = [len(indices) for indices in stacks]
    sizes = [size for length in lengths for size in cut_batches(length, BATCH)]
    dim = network.fc6.out_features
    key = provenance.attributes("percepts")["identity"]
    done = PartialRows(arguments.cache / "partial", key, sizes, dim)
    batches = [
        (int(row), indices[first : first + BATCH])
        for row, indices in zip(store.rows, stacks, strict=True)
        for first in range(0, len(indices), BATCH)
    ]

    def decode(batch: tuple[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        row, indices = batch
        first = int(indices[0, 0])
        fields = store.quantised(row, first, int(indices[-1, -1]) - first + 1)
        return *crop_flow(fields, *corner, side), indices - first

    progress = Progress(sum(lengths), "percepts", done.done)
    left = ordered_map(decode, batches[done.blocks :], arguments.threads)
    with torch.inference_mode():
        for crops, means, indices in left:
            flow = displacements(
                *(torch.from_numpy(a).to(device) for a in (crops, means)), store.step
            )
            found = network.percepts(flow[torch.from_numpy(indices).to(device)].flatten(1, 2))
            done.append(found.half().cpu().numpy())
            progress.update(len(indices))
    with artifacts.create(arguments.output, "percepts", provenance) as file:
        write_percepts(file, store.rows.astype(np.int32), lengths, done, dim)
    done.remove()


if __name__ == "__main__":
    run(main, Arguments)
