"""Windows and blocks of percepts: what encoder-decoders and classifiers of video are fed."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from video_lstm.artifacts import map_dataset, open_artifact
from video_lstm.errors import UserError
from video_lstm.sequences.prefetch import Prefetcher
from video_lstm.sequences.random_streams import TRAINING, VALIDATION, step_generator
from video_lstm.video.clips import ClipName, number_clips, read_names, read_rate

# Part of a GPU's free memory that percepts may take; the rest is the model's.
_GPU_SHARE = 0.5
# Blocks that a model reads at a time.
_BLOCKS = 256


class PerceptStore:
    """The percepts of a data set's clips, mapped into memory from all of its shards.

    Args:
        paths: artifacts of schema `percepts`, each once.

    Attributes:
        dim: length of a percept.
        names: the clips, by video and first frame; everywhere else a clip goes by its row here.
        made: how they were made: `percepts` (settings of the convnet) and the SHA-256 of its
            `weights`; or the identity of the `convnet` that read flow; and `rate`, the frames per
            second of the clips, where it is not each file's own.

    Raises:
        UserError: no artifact, one that is given twice, or artifacts of different percepts.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise UserError("percepts: expected at least one file, found none; extract them first")
        shards: list[tuple[list[ClipName], np.ndarray]] = []
        for path in paths:
            with open_artifact(path, "percepts") as file:
                dim, made = int(file["percepts"].shape[1]), _made(file)
                names, offsets = read_names(file), file["clip_offsets"][()]
            if not shards:
                self.dim, self.made = dim, made
            if dim != self.dim:
                raise UserError(
                    f"{path}: expected percepts of {self.dim} values as in {paths[0]}, found "
                    f"{dim}; give files of one extraction"
                )
            if made != self.made:
                raise UserError(
                    f"{path}: expected percepts made as in {paths[0]}, by {self.made}, found "
                    f"{made}; give files of one extraction"
                )
            shards.append((names, offsets))
        self.names, self._places = number_clips(paths, shards)
        self._percepts = [map_dataset(path, "percepts") for path in paths]

    def length(self, row: int) -> int:
        """Frames of a clip."""
        _, start, stop = self._places[row]
        return int(stop - start)

    def clip(self, row: int) -> np.ndarray:
        """Percepts of a clip: a read-only view (T, D) float16 into the file."""
        shard, start, stop = self._places[row]
        return self._percepts[shard][start:stop]

    def blocks(self, row: int, frames: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """A clip cut into blocks of the length that a classifier reads (paper, section 3.3).

        Blocks start at 0, stride, 2 stride, ... as long as they fit; fewer than `stride` frames
        left over at the end are in none. A clip shorter than a block is one block: padded with its
        last frame, and masked.

        Returns:
            Percepts (B, frames, D) float16, and a mask (B, frames) bool that is False in padding.
        """
        percepts = self.clip(row)
        length = len(percepts)
        starts = block_starts(length, frames, stride)
        places = np.asarray(starts)[:, None] + np.arange(frames)
        return percepts[np.minimum(places, length - 1)], places < length

    def block_batches(
        self, clips: Sequence[int] | np.ndarray, frames: int, stride: int
    ) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
        """Blocks of several clips, some hundred at a time; see `blocks`.

        Yields:
            Which of `clips` each block is of, (B,) int; percepts (frames, B, D) float16; a mask
            (frames, B) bool that is False in padding.
        """
        waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for index, clip in enumerate(clips):
            percepts, mask = self.blocks(clip, frames, stride)
            waiting.append((np.full(len(mask), index), percepts, mask))
            enough = sum(len(owners) for owners, _, _ in waiting) >= _BLOCKS
            if enough or index == len(clips) - 1:
                owners, percepts, mask = map(np.concatenate, zip(*waiting, strict=True))
                for first in range(0, len(owners), _BLOCKS):
                    here = slice(first, first + _BLOCKS)
                    values, counts = map(torch.from_numpy, (percepts[here], mask[here]))
                    yield owners[here], values.transpose(0, 1), counts.t()
                waiting.clear()

    def mean_over_blocks(
        self,
        read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        clips: Sequence[int] | np.ndarray,
        frames: int,
        stride: int,
        device: torch.device | str = "cpu",
    ) -> np.ndarray:
        """What a model makes of every block of a clip, averaged over the clip's blocks.

        Args:
            read: percepts (frames, B, D) float32 and a mask (frames, B), on the device, to (B, K).
            clips: (n,), rows of the clips.
            frames: of a block.
            stride: between the first frames of blocks.
            device: where to read.

        Returns:
            (n, K) float64.
        """
        total, counts = np.zeros((len(clips), 0)), np.zeros(len(clips))
        with torch.inference_mode():
            for owners, percepts, mask in self.block_batches(clips, frames, stride):
                values = read(percepts.to(device).float(), mask.to(device)).double().cpu().numpy()
                if not total.shape[1]:
                    total = np.zeros((len(clips), values.shape[1]))
                np.add.at(total, owners, values)
                np.add.at(counts, owners, 1)
        return total / counts[:, None]


def block_starts(length: int, frames: int, stride: int) -> list[int]:
    """First frames of the blocks of a clip of `length` frames; see `PerceptStore.blocks`."""
    return list(range(0, max(length - frames, 0) + 1, stride))


class PerceptWindows:
    """Random windows of consecutive percepts, each window of the corpus as likely as any other.

    What a step is fed follows from the seed and the number of the step alone. On a GPU, percepts
    that fit into its memory are kept there as float16; those that do not are read one step ahead.

    Args:
        stores: where the percepts are: one store, or several of the same dim.
        rows: clips that windows are taken from; with several stores, those of each.
        frames: length of a window. A clip that is shorter is padded with its last frame.
        seed: of the draws.
        device: where batches are wanted.
        held_out: clips that `validation` is made of, given as `rows` are; none by default.

    Attributes:
        frame_size: values of a percept.
        made: see `PerceptStore`.

    Raises:
        UserError: no clip at all, or stores of different percepts.
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
            if (store.dim, store.made) != (self.frame_size, stores[0].made):
                raise UserError(
                    f"percepts: expected vectors of {self.frame_size} values, made by "
                    f"{stores[0].made}, found {store.dim}, by {store.made}; give percepts of one "
                    "network, at one rate"
                )
        self.made = stores[0].made
        self._clips = _clips_of(stores, rows)
        self._held_out = _clips_of(stores, held_out or [[] for _ in stores])
        if not self._clips:
            raise UserError("percepts: expected clips to learn from, found none; index more videos")
        self._frames, self._seed, self._device = frames, seed, torch.device(device)
        counts = [max(len(clip) - frames, 0) + 1 for clip in self._clips]
        self._ends = np.cumsum(counts)  # windows are numbered through, clip by clip
        self._cached: torch.Tensor | None = None
        self._read = self._gather
        if self._device.type == "cuda":
            size = sum(len(clip) for clip in self._clips) * self.frame_size * 2
            if size <= _GPU_SHARE * torch.cuda.mem_get_info(self._device)[0]:
                self._keep()
            else:
                self._read = Prefetcher(self._gather)

    def batch(self, step: int, size: int) -> torch.Tensor:
        """The windows of a step: (frames, size, D) float32 on the device."""
        if self._cached is not None:
            places = torch.from_numpy(self._places(*self.draw(step, size)))
            return self._cached[places.to(self._device, non_blocking=True)].float()
        return self._read(step, size).to(self._device, non_blocking=True).float()

    def validation(self, size: int, limit: int = 1024) -> list[torch.Tensor]:
        """Fixed batches of the clips held out: the first and the last window of each.

        A long clip has no more than a short one, so that no video decides alone.

        Args:
            size: of a batch at most.
            limit: windows at most, of clips spread evenly.

        Returns:
            Tensors (frames, up to `size`, D) float32 on the device; none without clips held out.
        """
        windows = [
            (clip, start)
            for clip in self._held_out
            for start in sorted({0, max(len(clip) - self._frames, 0)})
        ]
        chosen = np.unique(np.linspace(0, len(windows) - 1, min(limit, len(windows))).astype(int))
        windows = [windows[index] for index in chosen]
        return [
            self._stack(windows[first : first + size]).to(self._device).float()
            for first in range(0, len(windows), size)
        ]

    def draw(self, step: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Where a step's windows are: clips, counted as they were given, and first frames."""
        random = step_generator(self._seed, TRAINING, step)
        windows = random.integers(self._ends[-1], size=size)
        clips = np.searchsorted(self._ends, windows, side="right")
        return clips, windows - np.where(clips > 0, self._ends[clips - 1], 0)

    def _gather(self, step: int, size: int) -> torch.Tensor:
        clips, starts = self.draw(step, size)
        return self._stack([(self._clips[c], s) for c, s in zip(clips, starts, strict=True)])

    def _stack(self, windows: Sequence[tuple[np.ndarray, int]]) -> torch.Tensor:
        """Windows side by side, (frames, N, D) float16, in memory that a GPU can read."""
        on_gpu = self._device.type == "cuda"
        shape = (self._frames, len(windows), self.frame_size)
        stacked = torch.empty(shape, dtype=torch.float16, pin_memory=on_gpu)
        view = stacked.numpy()
        for index, (clip, start) in enumerate(windows):
            window = clip[start : start + self._frames]
            view[: len(window), index] = window
            view[len(window) :, index] = window[-1]
        return stacked

    def _keep(self) -> None:
        """Copy all clips to the device."""
        lengths = np.array([len(clip) for clip in self._clips])
        self._offsets = np.cumsum(lengths) - lengths
        shape = (int(lengths.sum()), self.frame_size)
        self._cached = torch.empty(shape, dtype=torch.float16, device=self._device)
        for clip, offset in zip(self._clips, self._offsets, strict=True):
            self._cached[offset : offset + len(clip)] = torch.from_numpy(np.array(clip))

    def _places(self, clips: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Rows of the cache that windows are made of, (frames, N)."""
        lasts = np.array([len(self._clips[clip]) - 1 for clip in clips])
        places = np.minimum(starts + np.arange(self._frames)[:, None], lasts)
        return places + self._offsets[clips]


def _made(file: h5py.File) -> dict[str, Any]:
    settings, inputs = (json.loads(file.attrs[name]) for name in ("settings", "inputs"))
    told = {"percepts": settings.get("percepts")}
    told |= {name: inputs.get(name) for name in ("weights", "convnet")} | {"rate": read_rate(file)}
    return {name: value for name, value in told.items() if value is not None}


def hold_out(
    rows: np.ndarray, videos: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keep a share of the videos, with all their clips, for validation.

    Args:
        rows: (C,) clips.
        videos: (C,) the video of each.
        share: of the videos, rounded; at least one where there are two or more, never all.
        seed: of the draw.

    Returns:
        Rows to learn from and rows held out, both in the order given.
    """
    rows, videos = np.asarray(rows), np.asarray(videos)
    names = np.unique(videos)
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    held = np.isin(videos, step_generator(seed, VALIDATION).permutation(names)[:count])
    return rows[~held], rows[held]


def _clips_of(
    stores: Sequence[PerceptStore], rows: Sequence[Sequence[int]] | np.ndarray
) -> list[np.ndarray]:
    pairs = zip(stores, rows, strict=True)
    clips = [store.clip(row) for store, chosen in pairs for row in chosen]
    return [clip for clip in clips if len(clip)]
