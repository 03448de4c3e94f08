"""Sample patches of natural video at random positions and times (paper, section 3.2)."""

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import h5py
import numpy as np

from video_lstm.errors import UserError
from video_lstm.progress import Progress
from video_lstm.sequences.random_streams import TEST, TRAINING, step_generator
from video_lstm.settings.sequences import PatchSettings
from video_lstm.video.clips import Clip
from video_lstm.video.decode import read_frames, reading_frames


@dataclass(frozen=True)
class ClipPatches:
    """Positions of the patches of one clip.

    Attributes:
        clip: The clip.
        starts: First frame of each patch, relative to the clip's, ascending, (n,) int64.
        corners: Row and column of each patch's upper left corner, (n, 2) int64.
    """

    clip: Clip
    starts: np.ndarray
    corners: np.ndarray


def sample_patches(
    clips: Sequence[Clip], settings: PatchSettings, frames: int, seed: int
) -> dict[str, list[ClipPatches]]:
    """Sample the positions of training and test patches.

    Positions are uniform over all times at which a sequence fits into a clip and over the frame:
    patches without movement or texture are as frequent as in the videos. Each video is used either
    for training or for testing.

    Args:
        clips: Unlabelled clips, at the settings' frame rate.
        settings: Number and size of the patches, and fraction of test videos.
        frames: Frames of a sequence.
        seed: Random seed; test patches do not depend on the number of training patches.

    Returns:
        "train" and "test": the patches of each clip, by video in random order.

    Raises:
        UserError: Fewer than two videos have a clip that is long enough.
    """
    videos = np.array([clip.video for clip in clips], str)
    start_counts = np.array([clip.frames for clip in clips], np.int64) - frames + 1
    usable = np.unique(videos[start_counts > 0])
    if len(usable) < 2:
        rate = f" at {settings.frame_rate:g} a second" if settings.frame_rate else ""
        raise UserError(
            f"--clips: expected clips of at least {frames} frames{rate} from two videos or more, "
            f"found {len(usable)}; raise patches.frame_rate, add unlabelled "
            "videos or make their clips longer"
        )
    order = step_generator(seed, TEST).permutation(usable)
    test_count = min(max(1, round(settings.test_fraction * len(usable))), len(usable) - 1)

    def sample_part(names: np.ndarray, count: int, rng: np.random.Generator) -> list[ClipPatches]:
        rows = np.concatenate(
            [np.flatnonzero((videos == name) & (start_counts > 0)) for name in names]
        )
        ends = np.cumsum(start_counts[rows])
        # Sorted by clip, so that each is decoded once.
        samples = np.sort(rng.integers(ends[-1], size=count))
        limits = (
            settings.height - settings.patch_size + 1,
            settings.width - settings.patch_size + 1,
        )
        corners = rng.integers(limits, size=(count, 2))
        indices = np.searchsorted(ends, samples, side="right")
        starts = samples - (ends - start_counts[rows])[indices]
        return [
            ClipPatches(clips[rows[index]], starts[indices == index], corners[indices == index])
            for index in np.unique(indices)
        ]

    return {
        "train": sample_part(
            order[test_count:], settings.num_train_sequences, step_generator(seed, TRAINING)
        ),
        "test": sample_part(
            order[:test_count], settings.num_test_sequences, step_generator(seed, TEST, 1)
        ),
    }


def write_patches(
    file: h5py.File,
    patches: dict[str, list[ClipPatches]],
    settings: PatchSettings,
    frames: int,
    threads: int,
) -> None:
    """Decode each clip once and write its patches.

    Args:
        file: Artifact that gets the data sets `train`, `test` and `mean_frame`, and the fields of
            `PixelFormat` as attributes.
        patches: Positions of the patches, from `sample_patches`.
        settings: Size and colour of the patches, and size of the frames.
        frames: Frames of a sequence.
        threads: Number of clips that are decoded in parallel; it does not change the result.
    """
    shape = (frames, settings.patch_size, settings.patch_size, *((3,) if settings.color else ()))
    progress = Progress(settings.num_train_sequences + settings.num_test_sequences, "patches")
    sums = np.zeros(shape[1:], np.int64)
    histogram = np.zeros(256, np.int64)
    for name, clips in patches.items():
        total = sum(len(clip.starts) for clip in clips)
        # Contiguous and uncompressed, so that training can memory-map it.
        dataset = file.create_dataset(name, (total, *shape), np.uint8)
        done = 0
        for sequences in _decode_patches(clips, settings, frames, threads):
            dataset[done : done + len(sequences)] = sequences
            done += len(sequences)
            file.flush()
            progress.update(len(sequences))
            if name == "train":
                sums += sequences.sum((0, 1), dtype=np.int64)
                histogram += np.bincount(sequences.ravel(), minlength=256)
    values = np.arange(256)
    mean = np.average(values, weights=histogram)
    std = np.sqrt(np.average((values - mean) ** 2, weights=histogram))
    file["mean_frame"] = sums / (settings.num_train_sequences * frames)
    # Models get (pixel - mean) / std; patches of a single colour have a deviation of 0.
    file.attrs.update(mean=mean, std=std if std > 0 else 1.0, frames=frames)
    file.attrs.update(
        size=settings.patch_size,
        color=settings.color,
        height=settings.height,
        width=settings.width,
        rate=settings.frame_rate or math.nan,
    )


def _decode_patches(
    clips: list[ClipPatches], settings: PatchSettings, frames: int, threads: int
) -> Iterator[np.ndarray]:
    """Yield the patches of each clip in order, (n, frames, ...) uint8."""
    with ThreadPoolExecutor(threads) as pool:
        remaining = iter(clips)
        # Bounded batches, so that decoded patches do not accumulate in memory.
        while batch := list(itertools.islice(remaining, 2 * threads)):
            yield from pool.map(lambda clip: _decode_clip(clip, settings, frames), batch)


def _decode_clip(patches: ClipPatches, settings: PatchSettings, frames: int) -> np.ndarray:
    clip, size, first = patches.clip, settings.patch_size, int(patches.starts[0])
    with reading_frames(clip):
        clip_frames = read_frames(
            clip.path,
            clip.first + first,
            int(patches.starts[-1]) - first + frames,
            rate=clip.rate,
            size=(settings.height, settings.width),
            gray=not settings.color,
            frames=clip.native_frames,
        )
    return np.stack(
        [
            clip_frames[start : start + frames, row : row + size, column : column + size]
            for start, (row, column) in zip(patches.starts - first, patches.corners, strict=True)
        ]
    )
