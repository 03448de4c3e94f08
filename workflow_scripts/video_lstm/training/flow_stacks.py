"""Batches of flow stacks with labels: what the temporal-stream convnet learns from.

As Simonyan & Zisserman (2014, section 5): a batch draws videos, from each a stack at random, from
that a random square, mirrored half of the time.
"""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from video_lstm.errors import UserError
from video_lstm.flow.storage import FlowStore
from video_lstm.percepts.temporal_stream import crop_flow, displacements, mirror, stack_indices

_SPREAD_SAMPLES = 256


class FlowStacks:
    """Random flow stacks of labelled clips.

    Batches are a function of the seed, the step and the size, and of nothing else. While one is
    used the next is decoded in threads.

    Args:
        store: the flow.
        rows: clips to draw from, all in the store.
        labels: their classes, int.
        stack: flows in a stack, L.
        crop: side of the squares.
        seed: Random seed for all draws.
        device: where batches are made.
        threads: that decode.

    Raises:
        UserError: the crop is larger than the flow, or there is no clip.
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
                "flow_convnet.crop_size: expected at most the flow's "
                f"{store.height} x {store.width}, "
                f"found {crop}; lower it, or raise flow.height and flow.width"
            )
        if len(rows) == 0:
            raise UserError("flow: expected clips of training videos, found none; check the split")
        self._store, self._rows, self._labels = store, rows, labels
        self._stack, self._crop, self._seed = stack, crop, seed
        self._device = device
        self._pool = ThreadPoolExecutor(threads)
        self._ahead: tuple[tuple[int, int], list[Future]] | None = None

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """The batch of a step.

        Returns:
            Stacks (size, 2 L, crop, crop) float32 in pixels, mean displacements subtracted, and
            classes (size,) int64.
        """
        if self._ahead is None or self._ahead[0] != (step, size):
            self._ahead = (step, size), self._submit(step, size)
        decoded = [future.result() for future in self._ahead[1]]
        self._ahead = (step + 1, size), self._submit(step + 1, size)
        crops, means, flips, labels = (
            torch.from_numpy(np.stack(part)).to(self._device) for part in zip(*decoded, strict=True)
        )
        flow = mirror(displacements(crops, means, self._store.step), flips)
        return flow.flatten(1, 2), labels

    def spread(self) -> float:
        """Root mean square of displacements, in pixels, means subtracted, over a sample.

        At least one level of quantisation: a division by it is safe.
        """
        draw = np.random.default_rng([self._seed, 1])
        squares = []
        for clip in draw.integers(len(self._rows), size=_SPREAD_SAMPLES):
            row = int(self._rows[clip])
            (flow,) = self._store.flow(row, int(draw.integers(self._store.pairs(row))), 1)
            squares.append(flow.var(axis=(-2, -1)).mean())
        return max(float(np.sqrt(np.mean(squares))), self._store.step)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, step: int, size: int) -> list[Future]:
        # The third word sets these draws apart from those of `spread`.
        draw = np.random.default_rng([self._seed, 0, step])
        clips = draw.integers(len(self._rows), size=size)
        places = draw.random((size, 3))
        flips = draw.random(size) < 0.5
        return [
            self._pool.submit(self._sample, int(clip), place, flip)
            for clip, place, flip in zip(clips, places, flips, strict=True)
        ]

    def _sample(
        self, clip: int, place: np.ndarray, flip: np.bool_
    ) -> tuple[np.ndarray, np.ndarray, np.bool_, np.int64]:
        """A stack's quantised crop (L, 2, crop, crop) and means (L, 2); its flip and its class."""
        row, store = int(self._rows[clip]), self._store
        stacks = stack_indices(store.pairs(row), self._stack)
        free = (len(stacks), store.height - self._crop + 1, store.width - self._crop + 1)
        start, top, left = (int(at * room) for at, room in zip(place, free, strict=True))
        indices = stacks[start]
        flow = store.quantised(row, int(indices[0]), int(indices[-1] - indices[0]) + 1)
        crops, means = crop_flow(flow, top, left, self._crop)
        order = indices - indices[0]
        return crops[order], means[order], flip, np.int64(self._labels[clip])
