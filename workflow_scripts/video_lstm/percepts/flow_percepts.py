"""Flow percepts: fc6 of a temporal-stream convnet for each flow stack of each clip."""

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
    read_network,
    stack_indices,
    subtract_means,
)
from video_lstm.progress import Progress

BATCH = 128
"""Percepts per forward pass."""


def read_convnet(path: Path, store: FlowStore, flow_path: Path) -> TemporalStream:
    """Read a trained convnet and check that it was trained on flow of the same format.

    Args:
        path: Artifact of schema `flow_convnet`.
        store: Flow from which percepts are to be computed.
        flow_path: Path of the flow, for messages.

    Raises:
        UserError: The convnet was trained on flow of another size or bound.
    """
    geometry = (store.height, store.width, store.bound)
    with artifacts.open_artifact(path, "flow_convnet") as file:
        trained_on = tuple(file.attrs[name].item() for name in ("height", "width", "bound"))
        network = read_network(file)
    if trained_on != geometry:
        raise UserError(
            f"{path}: expected a convnet trained on flow of height, width, bound "
            f"{geometry} as in {flow_path}, found {trained_on}; run train_flow_convnet again"
        )
    return network


class FlowPercepts:
    """Computes the percepts of all clips of a flow store in batches.

    Args:
        store: Flow of the clips.
        network: Convnet, on the device where it runs.
    """

    def __init__(self, store: FlowStore, network: TemporalStream) -> None:
        self.store, self.network = store, network
        self.dim = network.fc6.out_features
        rows = range(len(store.names))
        stacks = [stack_indices(store.num_flows(row), network.stack) for row in rows]
        self.lengths = [len(indices) for indices in stacks]
        """Number of percepts of each clip."""
        self.sizes = [size for length in self.lengths for size in cut_batches(length, BATCH)]
        """Number of percepts of each batch."""
        self._batches = [
            (row, indices[first : first + BATCH])
            for row, indices in zip(rows, stacks, strict=True)
            for first in range(0, len(indices), BATCH)
        ]

    @torch.inference_mode()
    def extract(self, rows: PartialRows, threads: int = 1) -> None:
        """Append the missing percepts; `rows` has blocks of `sizes` and vectors of length `dim`."""
        device = self.network.scale.device
        progress = Progress(sum(self.lengths), "percepts", rows.done)
        decoded = ordered_map(self._decode, self._batches[rows.blocks :], threads)
        for crops, means, indices in decoded:
            flow = subtract_means(
                *(torch.from_numpy(array).to(device) for array in (crops, means)), self.store.step
            )
            stacks = flow[torch.from_numpy(indices).to(device)].flatten(1, 2)
            rows.append(self.network.percepts(stacks).half().cpu().numpy())
            progress.update(len(indices))

    def _decode(self, batch: tuple[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the centre crops of a batch's flows, the mean flows, and the indices of stacks."""
        row, indices = batch
        first, side = int(indices[0, 0]), self.network.settings.crop_size
        fields = self.store.read_quantised(row, first, int(indices[-1, -1]) - first + 1)
        corner = (self.store.height - side) // 2, (self.store.width - side) // 2
        return *crop_flow(fields, *corner, side), indices - first
