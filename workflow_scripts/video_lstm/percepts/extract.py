"""Extract the percepts of clips; frames are decoded while the convnet runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
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

# Frames that a thread decodes at a time, to bound memory for clips of any length. 192 frames of
# 224x224 have 29 MB: the C library keeps freed blocks of up to 32 MB for reuse and returns larger
# ones to the system, whose page faults take 10% of the time of decoding.
_SEGMENT_FRAMES = 192
# Frames that a thread passes through the network at a time: so few stay in the processor's cache.
_ONNX_FRAMES = 4


@dataclass(frozen=True)
class Backend:
    """A convnet with its inference backend.

    Attributes:
        dim: Length of a percept.
        compute: Function of frames (N, crop, crop, 3) uint8 RGB that returns (N, dim) float16.
    """

    dim: int
    compute: Callable[[np.ndarray], np.ndarray]


def open_backend(
    settings: PerceptSettings, device: torch.device, threads: int, folder: Path
) -> Backend:
    """Load the convnet of the settings for inference.

    Args:
        settings: Network and backend; ONNX Runtime runs on the CPU only.
        device: Device to run on; on a GPU the network runs in half precision.
        threads: Number of CPU threads of ONNX Runtime; the percepts do not depend on it.
        folder: Cache folder for ONNX conversions.

    Raises:
        UserError: See `build_network`; or ONNX Runtime is selected on a GPU.
    """
    on_gpu = device.type == "cuda"
    if settings.backend == "torch" or (settings.backend == "auto" and on_gpu):
        return _torch_backend(settings, device)
    if on_gpu:
        raise UserError(
            f"percepts.backend: 'onnx' runs on the CPU only, found device '{device}'; "
            "use --device cpu, or backend 'torch' or 'auto'"
        )
    return _onnx_backend(open_session(settings, folder), threads)


def _onnx_backend(session: onnxruntime.InferenceSession, threads: int) -> Backend:
    def run(frames: np.ndarray) -> np.ndarray:
        return session.run(["percepts"], {"frames": frames})[0].astype(np.float16)

    def compute(frames: np.ndarray) -> np.ndarray:
        parts = (frames[i : i + _ONNX_FRAMES] for i in range(0, len(frames), _ONNX_FRAMES))
        return np.concatenate(list(ordered_map(run, parts, threads)))

    return Backend(session.get_outputs()[0].shape[1], compute)


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
    """Return the sizes of consecutive batches; only the last may be smaller."""
    return [min(batch, total - first) for first in range(0, total, batch)]


def extract(
    clips: Sequence[Clip],
    backend: Backend,
    settings: PerceptSettings,
    rows: PartialRows,
    threads: int = 1,
) -> None:
    """Compute the missing percepts of the clips' frames, in order, and append them to `rows`.

    Batches span clips and are the same after an interruption, and so are the percepts.

    Args:
        clips: Clips to read.
        backend: Convnet that computes the percepts.
        settings: Size of the frames and batch size.
        rows: Percepts computed so far; its blocks have the sizes of `cut_batches`.
        threads: Number of segments that are decoded in parallel.

    Raises:
        UserError: A video cannot be read, or percepts exceed the range of float16.
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
        file: Artifact to write to.
        names: Names of the clips.
        lengths: Number of percepts of each clip.
        rows: Percepts of all clips.
        dim: Length of a percept.
        rate: Frame rate of the clips in Hz; None for each file's own.
    """
    write_rate(file, rate)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    write_names(file, names)
    file["clip_offsets"] = offsets
    # Contiguous and uncompressed, so that it can be memory-mapped.
    percepts = file.create_dataset("percepts", (offsets[-1], dim), np.float16)
    first = 0
    for block in rows:
        percepts[first : first + len(block)] = block
        first += len(block)
        file.flush()


def _batches(
    clips: Sequence[Clip], settings: PerceptSettings, skip: int, threads: int
) -> Iterator[np.ndarray]:
    """Yield batches of the consecutive frames of all clips, without the first `skip` frames."""
    crop, size = settings.crop_size, settings.batch_size
    batch, filled = np.empty((size, crop, crop, 3), np.uint8), 0
    segments = _split_into_segments(clips, skip)
    for frames in ordered_map(lambda segment: _decode(segment, settings), segments, threads):
        while len(frames):
            part = frames[: size - filled]
            batch[filled : filled + len(part)] = part
            filled += len(part)
            frames = frames[len(part) :]
            if filled == size:
                yield batch
                # A new array: the last one may still be being copied to the device.
                batch, filled = np.empty_like(batch), 0
    if filled:
        yield batch[:filled]


def _split_into_segments(clips: Sequence[Clip], skip: int) -> Iterator[Clip]:
    """Yield segments of all frames of the clips but the first `skip`."""
    for clip in clips:
        skipped = min(skip, clip.frames)
        skip -= skipped
        for start in range(skipped, clip.frames, _SEGMENT_FRAMES):
            frames = min(_SEGMENT_FRAMES, clip.frames - start)
            yield replace(clip, first=clip.first + start, frames=frames)


def _decode(segment: Clip, settings: PerceptSettings) -> np.ndarray:
    with reading_frames(segment):
        return read_frames(
            segment.path,
            segment.first,
            segment.frames,
            rate=segment.rate,
            size=(settings.height, settings.width),
            crop=(settings.crop_size, settings.crop_size),
            frames=segment.native_frames,
        )
