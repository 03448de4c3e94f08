"""Percepts of clips: frames decoded while the convnet works on those before them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from video_lstm.artifacts import open_artifact, read_strings
from video_lstm.errors import UserError
from video_lstm.percepts.conversion import open_session
from video_lstm.percepts.networks import build_network
from video_lstm.percepts.partial import PartialRows
from video_lstm.progress import Progress
from video_lstm.settings import PerceptSettings
from video_lstm.video.clips import cut_shards
from video_lstm.video.decode import read_frames
from video_lstm.video.source import UnreadableVideoError

# Frames that are decoded at a time: what bounds the memory, not what the network is fed.
_CHUNK = 256


@dataclass(frozen=True)
class Clip:
    """Where the frames of a clip are.

    Attributes:
        path: the video.
        first: number of the clip's first frame, at the rate.
        frames: how many.
        rate: frames per second that are picked by time stamp; None for the video's own frames.
        of: source frames of the whole video.
    """

    path: Path
    first: int
    frames: int
    rate: float | None
    of: int | None


@dataclass(frozen=True)
class Backend:
    """Something that computes percepts.

    Attributes:
        dim: length of a percept.
        compute: takes (N, crop, crop, 3) uint8 RGB, gives (N, dim) float16.
    """

    dim: int
    compute: Callable[[np.ndarray], np.ndarray]


def read_shard(
    videos: Path, clips: Path, shard: int = 0, shards: int = 1
) -> tuple[np.ndarray, list[Clip]]:
    """The clips of one shard.

    Args:
        videos: artifact of schema `videos`.
        clips: artifact of schema `clips`, made from it.
        shard: which one, from 0.
        shards: how many there are; they are cut to even work.

    Returns:
        Their rows in the clips artifact, int32, and the clips.

    Raises:
        UserError: artifacts that are not there or not what they should be, or no such shard.
    """
    if not 0 <= shard < shards:
        raise UserError(f"--shard: expected 0 to {shards - 1} (--shards {shards}), found {shard}")
    with open_artifact(clips, "clips") as file:
        video, first, frames = (file[name][()] for name in ("video", "first", "frames"))
        rate = float(file.attrs["rate"])
    with open_artifact(videos, "videos") as file:
        root, paths = Path(str(file.attrs["root"])), read_strings(file, "path")
        native = file["native_frames" if "native_frames" in file else "frames"][()]
        if "native_frames" not in file and not np.isnan(rate):
            native = None
    start, stop = cut_shards(frames, shards)[shard]
    return np.arange(start, stop, dtype=np.int32), [
        Clip(
            path=root / paths[video[row]],
            first=int(first[row]),
            frames=int(frames[row]),
            rate=None if np.isnan(rate) else rate,
            of=None if native is None else int(native[video[row]]),
        )
        for row in range(start, stop)
    ]


def open_backend(settings: PerceptSettings, device: str, threads: int, folder: Path) -> Backend:
    """The settings' network, ready to compute.

    Args:
        settings: which network, and which backend: ONNX Runtime runs on the CPU only.
        device: "cpu" or a CUDA device; on the latter the network runs in half precision.
        threads: CPU threads of ONNX Runtime.
        folder: where conversions to ONNX are kept.

    Raises:
        UserError: as `build_network`; ONNX Runtime asked for on a GPU.
    """
    on_gpu = torch.device(device).type == "cuda"
    if settings.backend == "torch" or (settings.backend == "auto" and on_gpu):
        return _torch_backend(settings, torch.device(device))
    if on_gpu:
        raise UserError(
            f"percepts.backend: 'onnx' runs on the CPU, and --device is '{device}'; "
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
        rows: what is there already; takes the rest in blocks of `settings.batch`.
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
    file: h5py.File, clip_rows: np.ndarray, clips: Sequence[Clip], rows: PartialRows, dim: int
) -> None:
    """Write the data sets of schema `percepts`.

    Args:
        file: the artifact.
        clip_rows: (C,) rows of the clips artifact.
        clips: the C clips.
        rows: all percepts.
        dim: length of a percept.
    """
    offsets = np.cumsum([0, *(clip.frames for clip in clips)], dtype=np.int64)
    file["clip"], file["clip_offsets"] = clip_rows, offsets
    # Contiguous and uncompressed, so that a reader can map it into memory.
    percepts = file.create_dataset("percepts", (offsets[-1], dim), np.float16)
    first = 0
    for block in rows:
        percepts[first : first + len(block)] = block
        first += len(block)


def _batches(
    clips: Sequence[Clip], settings: PerceptSettings, skip: int, threads: int
) -> Iterator[np.ndarray]:
    """Frames of clips back to back, without the first `skip`, `settings.batch` at a time."""
    crop, size = settings.crop, settings.batch
    batch, filled = np.empty((size, crop, crop, 3), np.uint8), 0
    for frames in _decoded(clips, settings, skip, threads):
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


def _decoded(
    clips: Sequence[Clip], settings: PerceptSettings, skip: int, threads: int
) -> Iterator[np.ndarray]:
    """Frames of clips in order, in chunks, decoded ahead of use by `threads` threads."""
    with ThreadPoolExecutor(threads, "decode") as pool:
        ahead: deque[Future[np.ndarray]] = deque()
        try:
            for clip, first, count in _chunks(clips, skip):
                ahead.append(pool.submit(_decode, clip, first, count, settings))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _chunks(clips: Sequence[Clip], skip: int) -> Iterator[tuple[Clip, int, int]]:
    """(clip, first frame in it, count) for all frames but the first `skip`."""
    for clip in clips:
        begin = min(skip, clip.frames)
        skip -= begin
        for first in range(begin, clip.frames, _CHUNK):
            yield clip, first, min(_CHUNK, clip.frames - first)


def _decode(clip: Clip, first: int, count: int, settings: PerceptSettings) -> np.ndarray:
    try:
        return read_frames(
            clip.path,
            clip.first + first,
            count,
            rate=clip.rate,
            size=(settings.height, settings.width),
            crop=(settings.crop, settings.crop),
            frames=clip.of,
        )
    except UnreadableVideoError as error:
        raise UserError(
            f"{clip.path}: expected frames {clip.first + first} to "
            f"{clip.first + first + count - 1} as indexed, found: {error}; index the videos again"
        ) from error
