"""Windows and blocks of percepts, the inputs of encoder-decoders and video classifiers."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from video_lstm.artifacts import map_dataset, open_artifact
from video_lstm.errors import UserError
from video_lstm.sequences.prefetch import Prefetcher, read_ahead
from video_lstm.sequences.random_streams import TRAINING, VALIDATION, step_generator
from video_lstm.video.clips import ClipName, number_clips, read_names, read_rate

# Fraction of a GPU's free memory that cached percepts may take; the rest is the model's.
_GPU_MEMORY_FRACTION = 0.5
_BLOCKS_PER_BATCH = 256
# Bytes from which percepts are read ahead; fewer are in memory after a few hundred batches.
_READ_AHEAD_FROM = 2**30


class PerceptStore:
    """Memory-mapped percepts of the clips of a data set, over all its shards.

    Args:
        paths: Artifacts of schema `percepts`, without duplicates.

    Attributes:
        dim: Length of a percept.
        names: Video and first frame of each clip; other methods identify a clip by its row here.
        percept_provenance: Settings of the convnet (`percepts`) and SHA-256 of its `weights`, or
            identity of the `convnet` for flow; and the frame rate of the clips (`rate`), unless
            each file has its own.

    Raises:
        UserError: No artifact, a duplicate, or artifacts of different percepts.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise UserError("percepts: expected at least one file, found none; extract them first")
        shards: list[tuple[list[ClipName], np.ndarray]] = []
        for path in paths:
            with open_artifact(path, "percepts") as file:
                dim, provenance = int(file["percepts"].shape[1]), _read_percept_provenance(file)
                names, offsets = read_names(file), file["clip_offsets"][()]
            if not shards:
                self.dim, self.percept_provenance = dim, provenance
            if dim != self.dim:
                raise UserError(
                    f"{path}: expected percepts of {self.dim} values as in {paths[0]}, found "
                    f"{dim}; use files of one extraction"
                )
            if provenance != self.percept_provenance:
                raise UserError(
                    f"{path}: expected percepts extracted as in {paths[0]}, by "
                    f"{self.percept_provenance}, found {provenance}; use files of one extraction"
                )
            shards.append((names, offsets))
        self.names, self._positions = number_clips(paths, shards)
        self._percepts = [map_dataset(path, "percepts") for path in paths]

    def length(self, row: int) -> int:
        """Return the number of frames of a clip."""
        _, start, stop = self._positions[row]
        return int(stop - start)

    def clip(self, row: int) -> np.ndarray:
        """Return the percepts of a clip, a read-only view (T, D) float16 of the file."""
        shard, start, stop = self._positions[row]
        return self._percepts[shard][start:stop]

    def blocks(self, row: int, frames: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Split a clip into blocks for a classifier (paper, section 3.3).

        Blocks start at 0, stride, 2 stride, ... while they fit; up to `stride` - 1 last frames are
        in no block. A clip shorter than a block is one block, padded with its last frame.

        Returns:
            Percepts (B, frames, D) float16, and a mask (B, frames) bool that is False in padding.
        """
        percepts = self.clip(row)
        length = len(percepts)
        starts = block_starts(length, frames, stride)
        indices = np.asarray(starts)[:, None] + np.arange(frames)
        return percepts[np.minimum(indices, length - 1)], indices < length

    def block_batches(
        self, clips: Sequence[int] | np.ndarray, frames: int, stride: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
        """Yield the blocks of several clips in batches; see `blocks`.

        Yields:
            Index into `clips` of each block, (B,) int; percepts (frames, B, D) float16; a mask
            (frames, B) bool that is False in padding.
        """
        pending: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for clip_index, clip in enumerate(clips):
            percepts, mask = self.blocks(clip, frames, stride)
            pending.append((np.full(len(mask), clip_index), percepts, mask))
            is_full = sum(len(indices) for indices, _, _ in pending) >= _BLOCKS_PER_BATCH
            if is_full or clip_index == len(clips) - 1:
                indices, percepts, mask = map(np.concatenate, zip(*pending, strict=True))
                for first in range(0, len(indices), _BLOCKS_PER_BATCH):
                    batch = slice(first, first + _BLOCKS_PER_BATCH)
                    values, masks = map(torch.from_numpy, (percepts[batch], mask[batch]))
                    yield indices[batch], values.transpose(0, 1), masks.t()
                pending.clear()

    def mean_over_blocks(
        self,
        read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        clips: Sequence[int] | np.ndarray,
        frames: int,
        stride: int,
        device: torch.device | str = "cpu",
    ) -> np.ndarray:
        """Average a model's outputs over the blocks of each clip.

        Args:
            read: Model of percepts (frames, B, D) float32 and a mask (frames, B) that returns (B,
                K), on the device.
            clips: Rows of the clips, (n,).
            frames: Frames of a block.
            stride: Frames between the starts of blocks.
            device: Device of the model.

        Returns:
            Mean output of each clip, (n, K) float64.
        """
        total, counts = np.zeros((len(clips), 0)), np.zeros(len(clips))
        with torch.inference_mode():
            for indices, percepts, mask in self.block_batches(clips, frames, stride):
                values = read(percepts.to(device).float(), mask.to(device)).double().cpu().numpy()
                if not total.shape[1]:
                    total = np.zeros((len(clips), values.shape[1]))
                np.add.at(total, indices, values)
                np.add.at(counts, indices, 1)
        return total / counts[:, None]


def block_starts(length: int, frames: int, stride: int) -> list[int]:
    """Return the first frames of a clip's blocks; see `PerceptStore.blocks`."""
    return list(range(0, max(length - frames, 0) + 1, stride))


class PerceptWindows:
    """Random windows of consecutive percepts, sampled uniformly from a corpus.

    A batch depends only on the seed and the step. On a GPU, percepts that fit into its memory are
    cached there as float16; others are prefetched.

    Args:
        stores: One percept store, or several of the same percepts.
        rows: Rows of the training clips; with several stores, a sequence for each.
        frames: Length of a window. A shorter clip is padded with its last frame.
        seed: Random seed for window sampling.
        device: Device of the batches.
        held_out: Rows of the validation clips, structured like `rows`; none by default.

    Attributes:
        frame_size: Number of values in a percept.
        percept_provenance: See `PerceptStore`.

    Raises:
        UserError: There is no clip, or the stores have different percepts.
    """

    def __init__(
        self,
        stores: PerceptStore | Sequence[PerceptStore],
        rows: Sequence[int] | Sequence[Sequence[int]] | np.ndarray,
        frames: int,
        seed: int,
        device: torch.device | str = "cpu",
        held_out: Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None = None,
    ) -> None:
        if isinstance(stores, PerceptStore):
            stores, rows = [stores], [rows]  # type: ignore[list-item]
            held_out = None if held_out is None else [held_out]  # type: ignore[list-item]
        self.frame_size = stores[0].dim
        for store in stores[1:]:
            if (store.dim, store.percept_provenance) != (
                self.frame_size,
                stores[0].percept_provenance,
            ):
                raise UserError(
                    f"percepts: expected vectors of {self.frame_size} values, extracted by "
                    f"{stores[0].percept_provenance}, found {store.dim} by "
                    f"{store.percept_provenance}; use percepts of one network and frame rate"
                )
        self.percept_provenance = stores[0].percept_provenance
        self._clips = _load_clips(stores, rows)
        self._held_out = _load_clips(stores, held_out or [[] for _ in stores])
        if not self._clips:
            raise UserError("percepts: expected training clips, found none; index more videos")
        self._frames, self._seed, self._device = frames, seed, torch.device(device)
        counts = [max(len(clip) - frames, 0) + 1 for clip in self._clips]
        self._ends = np.cumsum(counts)  # windows are numbered consecutively, clip by clip
        self._addresses: np.ndarray | None = None
        if sum(clip.nbytes for clip in self._clips) >= _READ_AHEAD_FROM:
            self._addresses = np.array([clip.ctypes.data for clip in self._clips])
        self._cached: torch.Tensor | None = None
        self._read = self._read_batch
        if self._device.type == "cuda":
            size = sum(len(clip) for clip in self._clips) * self.frame_size * 2
            if size <= _GPU_MEMORY_FRACTION * torch.cuda.mem_get_info(self._device)[0]:
                self._cache_on_device()
            else:
                self._read = Prefetcher(self._read_batch)

    def batch(self, step: int, size: int) -> torch.Tensor:
        """Return the training batch of a step, (frames, size, D) float32 on the device."""
        if self._cached is not None:
            indices = torch.from_numpy(self._cache_rows(*self.draw(step, size)))
            return self._cached[indices.to(self._device, non_blocking=True)].float()
        return self._read(step, size).to(self._device, non_blocking=True).float()

    def validation(self, size: int, limit: int = 1024) -> list[torch.Tensor]:
        """Return fixed batches of the first and the last window of each held-out clip.

        Long and short clips have equal weight, so that no video dominates.

        Args:
            size: Maximum number of windows in a batch.
            limit: Maximum number of windows, of evenly spaced clips.

        Returns:
            Tensors (frames, up to `size`, D) float32 on the device; none without held-out clips.
        """
        windows = [
            (clip, start)
            for clip in self._held_out
            for start in sorted({0, max(len(clip) - self._frames, 0)})
        ]
        indices = np.unique(np.linspace(0, len(windows) - 1, min(limit, len(windows))).astype(int))
        windows = [windows[index] for index in indices]
        return [
            self._stack_windows(windows[first : first + size]).to(self._device).float()
            for first in range(0, len(windows), size)
        ]

    def draw(self, step: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the windows of a step: index of each clip, and first frame."""
        random = step_generator(self._seed, TRAINING, step)
        windows = random.integers(self._ends[-1], size=size)
        clips = np.searchsorted(self._ends, windows, side="right")
        return clips, windows - np.where(clips > 0, self._ends[clips - 1], 0)

    def _read_batch(self, step: int, size: int) -> torch.Tensor:
        clips, starts = self.draw(step, size)
        if self._addresses is not None:
            frame = 2 * self.frame_size  # bytes of float16
            read_ahead(self._addresses[clips] + starts * frame, self._frames * frame)
        return self._stack_windows(
            [(self._clips[c], s) for c, s in zip(clips, starts, strict=True)]
        )

    def _stack_windows(self, windows: Sequence[tuple[np.ndarray, int]]) -> torch.Tensor:
        """Stack windows to (frames, N, D) float16, in pinned memory for a GPU."""
        on_gpu = self._device.type == "cuda"
        shape = (self._frames, len(windows), self.frame_size)
        stacked = torch.empty(shape, dtype=torch.float16, pin_memory=on_gpu)
        view = stacked.numpy()
        for index, (clip, start) in enumerate(windows):
            window = clip[start : start + self._frames]
            view[: len(window), index] = window
            view[len(window) :, index] = window[-1]
        return stacked

    def _cache_on_device(self) -> None:
        """Copy all clips to the device."""
        lengths = np.array([len(clip) for clip in self._clips])
        self._offsets = np.cumsum(lengths) - lengths
        shape = (int(lengths.sum()), self.frame_size)
        self._cached = torch.empty(shape, dtype=torch.float16, device=self._device)
        for clip, offset in zip(self._clips, self._offsets, strict=True):
            self._cached[offset : offset + len(clip)] = torch.from_numpy(np.array(clip))

    def _cache_rows(self, clips: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Return the rows of windows in the cache, (frames, N)."""
        lasts = np.array([len(self._clips[clip]) - 1 for clip in clips])
        frames = np.minimum(starts + np.arange(self._frames)[:, None], lasts)
        return frames + self._offsets[clips]


def _read_percept_provenance(file: h5py.File) -> dict[str, Any]:
    settings, inputs = (json.loads(file.attrs[name]) for name in ("settings", "inputs"))
    provenance = {"percepts": settings.get("percepts")}
    provenance |= {name: inputs.get(name) for name in ("weights", "convnet")}
    provenance |= {"rate": read_rate(file)}
    return {name: value for name, value in provenance.items() if value is not None}


def hold_out_videos(
    rows: np.ndarray, videos: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a fraction of the videos, with all their clips, for validation.

    Args:
        rows: Rows of the clips, (C,).
        videos: Video of each clip, (C,).
        fraction: Fraction of the videos; at least one of several is held out, never all.
        seed: Random seed of the draw.

    Returns:
        Training rows and validation rows, both in the order of `rows`.
    """
    rows, videos = np.asarray(rows), np.asarray(videos)
    names = np.unique(videos)
    count = min(max(round(fraction * len(names)), 1), len(names) - 1)
    is_validation = np.isin(videos, step_generator(seed, VALIDATION).permutation(names)[:count])
    return rows[~is_validation], rows[is_validation]


def _load_clips(
    stores: Sequence[PerceptStore], rows: Sequence[Sequence[int]] | np.ndarray
) -> list[np.ndarray]:
    pairs = zip(stores, rows, strict=True)
    clips = [store.clip(row) for store, store_rows in pairs for row in store_rows]
    return [clip for clip in clips if len(clip)]
