"""Batches of labelled optical-flow stacks for training the temporal-stream convnet.

As in Simonyan & Zisserman (2014, section 5): a batch draws videos, a random stack of each, and a
random crop of that, mirrored with probability 1/2.
"""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from video_lstm.errors import UserError
from video_lstm.flow.storage import FlowStore
from video_lstm.percepts.temporal_stream import (
    crop_flow,
    mirror_flow,
    stack_indices,
    subtract_means,
)

_SCALE_SAMPLES = 256
"""Number of flow fields whose displacements `rms_displacement` averages."""


class FlowStacks:
    """Random flow stacks of labelled clips.

    A batch depends on the seed, the step and the batch size only. Threads decode the next batch
    while the current one is used.

    Args:
        store: Stored optical flow.
        rows: (n,) int, rows of the clips in the store to draw from.
        labels: (n,) int, classes of the clips.
        stack: L, number of flow fields per stack.
        crop: Side of the square crops in pixels.
        seed: Random seed for all draws.
        device: Device of the batches.
        threads: Number of decoding threads.

    Raises:
        UserError: The crop is larger than the flow, or there are no clips.
    """

    def __init__(
        self,
        store: FlowStore,
        rows: np.ndarray,
        labels: np.ndarray,
        *,
        stack: int,
        crop: int,
        seed: int,
        device: torch.device,
        threads: int = 1,
    ) -> None:
        if crop > min(store.height, store.width):
            raise UserError(
                "flow_convnet.crop_size: expected at most the size of the flow, "
                f"{store.height} x {store.width}, found {crop}; lower it, or raise flow.height and "
                "flow.width"
            )
        if len(rows) == 0:
            raise UserError("flow: expected clips of training videos, found none; check the split")
        self._store, self._rows, self._labels = store, rows, labels
        self._stack, self._crop, self._seed = stack, crop, seed
        self._device = device
        self._pool = ThreadPoolExecutor(threads)
        self._next: tuple[tuple[int, int], list[Future]] | None = None

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Return the batch of a step.

        Returns:
            Stacks (size, 2 L, crop, crop) float32 in pixels, with the mean displacement of each
            field subtracted, and classes (size,) int64.
        """
        if self._next is None or self._next[0] != (step, size):
            self._next = (step, size), self._submit(step, size)
        samples = [future.result() for future in self._next[1]]
        self._next = (step + 1, size), self._submit(step + 1, size)
        crops, means, flips, labels = (
            torch.from_numpy(np.stack(arrays)).to(self._device)
            for arrays in zip(*samples, strict=True)
        )
        flow = mirror_flow(subtract_means(crops, means, self._store.step), flips)
        return flow.flatten(1, 2), labels

    def rms_displacement(self) -> float:
        """Estimate the root mean square displacement in pixels, with the means subtracted.

        The result is at least one quantisation step, so that it is safe to divide by it.
        """
        rng = np.random.default_rng([self._seed, 1])
        squares = []
        for clip in rng.integers(len(self._rows), size=_SCALE_SAMPLES):
            row = int(self._rows[clip])
            (flow,) = self._store.read_flow(row, int(rng.integers(self._store.num_flows(row))), 1)
            squares.append(flow.var(axis=(-2, -1)).mean())
        return max(float(np.sqrt(np.mean(squares))), self._store.step)

    def close(self) -> None:
        """Stop the decoding threads."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, step: int, size: int) -> list[Future]:
        # The second entry separates this random stream from that of `rms_displacement`.
        rng = np.random.default_rng([self._seed, 0, step])
        clips = rng.integers(len(self._rows), size=size)
        positions = rng.random((size, 3))
        flips = rng.random(size) < 0.5
        return [
            self._pool.submit(self._sample, int(clip), position, flip)
            for clip, position, flip in zip(clips, positions, flips, strict=True)
        ]

    def _sample(
        self, clip: int, position: np.ndarray, flip: np.bool_
    ) -> tuple[np.ndarray, np.ndarray, np.bool_, np.int64]:
        """Read a random stack of a clip.

        Args:
            clip: Index into the rows that are drawn from.
            position: (3,) float in [0, 1): relative start, top and left of the crop.
            flip: Whether the stack will be mirrored; returned unchanged.

        Returns:
            Quantised crop (L, 2, crop, crop) uint8, means (L, 2), flip, class.
        """
        row, store = int(self._rows[clip]), self._store
        stacks = stack_indices(store.num_flows(row), self._stack)
        counts = (len(stacks), store.height - self._crop + 1, store.width - self._crop + 1)
        start, top, left = (int(u * count) for u, count in zip(position, counts, strict=True))
        indices = stacks[start]
        flow = store.read_quantised(row, int(indices[0]), int(indices[-1] - indices[0]) + 1)
        crops, means = crop_flow(flow, top, left, self._crop)
        order = indices - indices[0]
        return crops[order], means[order], flip, np.int64(self._labels[clip])
