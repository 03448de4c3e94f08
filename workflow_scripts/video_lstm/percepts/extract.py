"""Percepts of clips: frames decoded while the convnet works on those before them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch

from video_lstm.errors import UserError
from video_lstm.parallel import ordered_map
from video_lstm.percepts.networks import build_network
from video_lstm.percepts.onnx_conversion import open_session
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.progress import Progress
from video_lstm.settings.percepts import PerceptSettings
from video_lstm.video.clips import Clip, ClipName, write_names, write_rate
from video_lstm.video.decode import read_frames, reading_frames

# Frames that a thread decodes in one go: bounds the memory whatever the length of a clip.
_PIECE = 256


@dataclass(frozen=True)
class Backend:
    """Something that computes percepts.

    Attributes:
        dim: length of a percept.
        compute: takes (N, crop, crop, 3) uint8 RGB, gives (N, dim) float16.
    """

    dim: int
    compute: Callable[[np.ndarray], np.ndarray]


def open_backend(
    settings: PerceptSettings, device: torch.device, threads: int, folder: Path
) -> Backend:
    """The settings' network, ready to compute.

    Args:
        settings: which network, and which backend: ONNX Runtime runs on the CPU only.
        device: where to run; on a GPU the network runs in half precision.
        threads: CPU threads of ONNX Runtime.
        folder: where conversions to ONNX are kept.

    Raises:
        UserError: as `build_network`; ONNX Runtime asked for on a GPU.
    """
    on_gpu = device.type == "cuda"
    if settings.backend == "torch" or (settings.backend == "auto" and on_gpu):
        return _torch_backend(settings, device)
    if on_gpu:
        raise UserError(
            f"percepts.backend: 'onnx' runs on the CPU only, found device '{device}'; "
            "use --device cpu, or backend 'torch' or 'auto'"
        )
    session = open_session(settings, folder, threads)
    return Backend(
        dim=session.get_outputs()[0].shape[1],
        compute=lambda frames: session.run(["percepts"], {"frames": frames})[0].astype(np.float16),
    )


def _torch_backend(settings: PerceptSettings, device: torch.device) -> Backend:
    on_gpu = device.type == "cuda"
    network = build_network(settings).to(device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def compute(frames: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(frames)
        if on_gpu:
            batch = batch.pin_memory().to(device, non_blocking=True)
        with torch.autocast(device.type, torch.float16, enabled=on_gpu):
            return network(batch).to(torch.float16).cpu().numpy()

    return Backend(network.dim, compute)


def cut_batches(total: int, batch: int) -> list[int]:
    """Sizes of batches that make up a total; only the last may be smaller."""
    return [min(batch, total - first) for first in range(0, total, batch)]


def extract(
    clips: Sequence[Clip],
    backend: Backend,
    settings: PerceptSettings,
    rows: PartialRows,
    threads: int = 1,
) -> None:
    """Add the percepts that are missing: those of all frames of the clips, in order.

    Batches run on over the ends of clips and are the same whether or not a job was interrupted, so
    that the outcome is.

    Args:
        clips: where the frames are.
        backend: computes the percepts.
        settings: size of the frames and of a batch.
        rows: what is there already; takes the rest in the blocks of `cut_batches`.
        threads: videos that are decoded at once.

    Raises:
        UserError: a video that cannot be read, or percepts beyond the range of float16.
    """
    progress = Progress(sum(clip.frames for clip in clips), "frames", done=rows.done)
    for frames in _batches(clips, settings, rows.done, threads):
        percepts = backend.compute(frames)
        if not np.isfinite(percepts).all():
            raise UserError(
                f"percepts.layer: expected values below {np.finfo(np.float16).max:.0f} of "
                f"{settings.network}, found larger ones or NaN; choose another layer or pooling"
            )
        rows.append(percepts)
        progress.update(len(frames))


def write_percepts(
    file: h5py.File,
    names: Sequence[ClipName],
    lengths: Sequence[int],
    rows: PartialRows,
    dim: int,
    rate: float | None,
) -> None:
    """Write the data sets of schema `percepts`.

    Args:
        file: the artifact.
        names: the clips.
        lengths: percepts of each of them.
        rows: all percepts.
        dim: length of a percept.
        rate: frames per second of the clips; None for each file's own.
    """
    write_rate(file, rate)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    write_names(file, names)
    file["clip_offsets"] = offsets
    # Contiguous and uncompressed, so that a reader can map it into memory.
    percepts = file.create_dataset("percepts", (offsets[-1], dim), np.float16)
    first = 0
    for block in rows:
        percepts[first : first + len(block)] = block
        first += len(block)
        file.flush()


def _batches(
    clips: Sequence[Clip], settings: PerceptSettings, skip: int, threads: int
) -> Iterator[np.ndarray]:
    """Frames of clips back to back, without the first `skip`, `settings.batch_size` at a time."""
    crop, size = settings.crop_size, settings.batch_size
    batch, filled = np.empty((size, crop, crop, 3), np.uint8), 0
    pieces = _pieces(clips, skip)
    for frames in ordered_map(lambda piece: _decode(piece, settings), pieces, threads):
        while len(frames):
            taken = frames[: size - filled]
            batch[filled : filled + len(taken)] = taken
            filled += len(taken)
            frames = frames[len(taken) :]
            if filled == size:
                yield batch
                # Another one: the last may still be on its way to the device.
                batch, filled = np.empty_like(batch), 0
    if filled:
        yield batch[:filled]


def _pieces(clips: Sequence[Clip], skip: int) -> Iterator[Clip]:
    """All frames of clips but the first `skip`, in pieces that are decoded in one go."""
    for clip in clips:
        begin = min(skip, clip.frames)
        skip -= begin
        for at in range(begin, clip.frames, _PIECE):
            yield replace(clip, first=clip.first + at, frames=min(_PIECE, clip.frames - at))


def _decode(piece: Clip, settings: PerceptSettings) -> np.ndarray:
    with reading_frames(piece):
        return read_frames(
            piece.path,
            piece.first,
            piece.frames,
            rate=piece.rate,
            size=(settings.height, settings.width),
            crop=(settings.crop_size, settings.crop_size),
            frames=piece.native_frames,
        )
