"""Percepts of flow: fc6 of a temporal-stream convnet, for each stack of flows of each clip."""

from pathlib import Path

import numpy as np
import torch

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.flow.storage import FlowStore
from video_lstm.parallel import ordered_map
from video_lstm.percepts.extract import cut_batches
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.percepts.temporal_stream import (
    TemporalStream,
    crop_flow,
    displacements,
    read_network,
    stack_indices,
)
from video_lstm.progress import Progress

BATCH = 128
"""Percepts per forward pass."""


def read_convnet(path: Path, store: FlowStore, told_of: Path) -> TemporalStream:
    """A trained convnet, after a check that it was trained on such flow.

    Args:
        path: artifact of schema `flow_convnet`.
        store: the flow that it will be fed.
        told_of: what the flow is called in a message.

    Raises:
        UserError: it was trained on flow of another size or bound.
    """
    geometry = (store.height, store.width, store.bound)
    with artifacts.open_artifact(path, "flow_convnet") as file:
        trained_on = tuple(file.attrs[name].item() for name in ("height", "width", "bound"))
        network = read_network(file)
    if trained_on != geometry:
        raise UserError(
            f"{path}: expected a convnet trained on flow of height, width, bound "
            f"{geometry} as in {told_of}, found {trained_on}; run train_flow_convnet again"
        )
    return network


class FlowPercepts:
    """The percepts of all clips of a store, made a batch at a time.

    Args:
        store: the flow.
        network: the convnet, on the device where it runs.
    """

    def __init__(self, store: FlowStore, network: TemporalStream) -> None:
        self.store, self.network = store, network
        self.dim = network.fc6.out_features
        rows = range(len(store.names))
        stacks = [stack_indices(store.pairs(row), network.stack) for row in rows]
        self.lengths = [len(indices) for indices in stacks]
        """Percepts of each clip."""
        self.sizes = [size for length in self.lengths for size in cut_batches(length, BATCH)]
        """Percepts of each batch."""
        self._batches = [
            (row, indices[first : first + BATCH])
            for row, indices in zip(rows, stacks, strict=True)
            for first in range(0, len(indices), BATCH)
        ]

    @torch.inference_mode()
    def extract(self, done: PartialRows, threads: int = 1) -> None:
        """Add what is missing; `done` is of the batches' `sizes` and of vectors of `dim`."""
        device = self.network.scale.device
        progress = Progress(sum(self.lengths), "percepts", done.done)
        left = ordered_map(self._decode, self._batches[done.blocks :], threads)
        for crops, means, indices in left:
            flow = displacements(
                *(torch.from_numpy(a).to(device) for a in (crops, means)), self.store.step
            )
            stacks = flow[torch.from_numpy(indices).to(device)].flatten(1, 2)
            done.append(self.network.percepts(stacks).half().cpu().numpy())
            progress.update(len(indices))

    def _decode(self, batch: tuple[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The central squares of a batch's flows, their means, and which of them make a stack."""
        row, indices = batch
        first, side = int(indices[0, 0]), self.network.settings.crop_size
        fields = self.store.quantised(row, first, int(indices[-1, -1]) - first + 1)
        corner = (self.store.height - side) // 2, (self.store.width - side) // 2
        return *crop_flow(fields, *corner, side), indices - first
