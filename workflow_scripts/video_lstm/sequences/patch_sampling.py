"""Cut patches of natural video at random places and times (paper, section 3.2)."""

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
class ClipCuts:
    """The patches of one clip.

    Attributes:
        clip: it.
        start: (n,) int64, first frames of the patches, counted from the clip's, ascending.
        corner: (n, 2) int64, rows and columns of their upper left corners.
    """

    clip: Clip
    start: np.ndarray
    corner: np.ndarray


def plan(
    clips: Sequence[Clip], settings: PatchSettings, frames: int, seed: int
) -> dict[str, list[ClipCuts]]:
    """Draw where the patches are cut.

    All times at which a sequence fits into a clip are as likely, and so are all places in a frame:
    patches without movement or texture are as common as they are in the videos. The patches of a
    video are either all for training or all for testing.

    Args:
        clips: those of the pile, at the settings' rate.
        settings: how many, how large, and how many videos are for testing.
        frames: frames of a sequence.
        seed: every draw follows from it; the test patches do not depend on how many train.

    Returns:
        "train" and "test": cuts per clip, by videos in an order that was drawn too.

    Raises:
        UserError: fewer than two videos have a clip that is long enough.
    """
    video = np.array([clip.video for clip in clips], str)
    fits = np.array([clip.frames for clip in clips], np.int64) - frames + 1
    usable = np.unique(video[fits > 0])
    if len(usable) < 2:
        rate = f" at {settings.frame_rate:g} a second" if settings.frame_rate else ""
        raise UserError(
            f"--clips: expected clips of at least {frames} frames{rate} from two videos or more, "
            f"found {len(usable)}; raise patches.frame_rate, add videos to the pile or make its clips "
            "longer"
        )
    order = step_generator(seed, TEST).permutation(usable)
    testing = min(max(1, round(settings.test_fraction * len(usable))), len(usable) - 1)

    def side(chosen: np.ndarray, count: int, rng: np.random.Generator) -> list[ClipCuts]:
        rows = np.concatenate([np.flatnonzero((video == name) & (fits > 0)) for name in chosen])
        ends = np.cumsum(fits[rows])
        # Sorted: a clip's patches come together, so that it is decoded once.
        drawn = np.sort(rng.integers(ends[-1], size=count))
        free = (settings.height - settings.patch_size + 1, settings.width - settings.patch_size + 1)
        corner = rng.integers(free, size=(count, 2))
        which = np.searchsorted(ends, drawn, side="right")
        start = drawn - (ends - fits[rows])[which]
        return [
            ClipCuts(clips[rows[place]], start[which == place], corner[which == place])
            for place in np.unique(which)
        ]

    return {
        "train": side(
            order[testing:], settings.num_train_sequences, step_generator(seed, TRAINING)
        ),
        "test": side(order[:testing], settings.num_test_sequences, step_generator(seed, TEST, 1)),
    }


def cut(
    file: h5py.File,
    cuts: dict[str, list[ClipCuts]],
    settings: PatchSettings,
    frames: int,
    threads: int,
) -> None:
    """Decode each clip once and write its patches, several clips at a time.

    Args:
        file: where `train`, `test`, `mean_frame` are written, and, as attributes, what `PixelFormat`
            is made of.
        cuts: what `plan` drew.
        settings: size and colour of the patches, and scale of the frames.
        frames: frames of a sequence.
        threads: clips that are decoded at once; what is written does not depend on it.
    """
    shape = (frames, settings.patch_size, settings.patch_size, *((3,) if settings.color else ()))
    progress = Progress(settings.num_train_sequences + settings.num_test_sequences, "patches")
    sums = np.zeros(shape[1:], np.int64)
    histogram = np.zeros(256, np.int64)
    for name, clips in cuts.items():
        total = sum(len(clip.start) for clip in clips)
        # Contiguous and uncompressed: training reads rows through a memory map.
        dataset = file.create_dataset(name, (total, *shape), np.uint8)
        done = 0
        for patches in _decoded(clips, settings, frames, threads):
            dataset[done : done + len(patches)] = patches
            done += len(patches)
            file.flush()
            progress.update(len(patches))
            if name == "train":
                sums += patches.sum((0, 1), dtype=np.int64)
                histogram += np.bincount(patches.ravel(), minlength=256)
    values = np.arange(256)
    mean = np.average(values, weights=histogram)
    std = np.sqrt(np.average((values - mean) ** 2, weights=histogram))
    file["mean_frame"] = sums / (settings.num_train_sequences * frames)
    # Models are fed (pixel - mean) / std; patches of one flat colour have no spread to divide by.
    file.attrs.update(mean=mean, std=std if std > 0 else 1.0, frames=frames)
    file.attrs.update(
        size=settings.patch_size,
        color=settings.color,
        height=settings.height,
        width=settings.width,
        rate=settings.frame_rate or math.nan,
    )


def _decoded(
    clips: list[ClipCuts], settings: PatchSettings, frames: int, threads: int
) -> Iterator[np.ndarray]:
    """The patches of clip after clip, each (n, frames, ...) uint8."""
    with ThreadPoolExecutor(threads) as pool:
        remaining = iter(clips)
        # A few at a time: finished patches must not pile up faster than they are written.
        while some := list(itertools.islice(remaining, 2 * threads)):
            yield from pool.map(lambda clip: _patches(clip, settings, frames), some)


def _patches(cuts: ClipCuts, settings: PatchSettings, frames: int) -> np.ndarray:
    clip, size, begin = cuts.clip, settings.patch_size, int(cuts.start[0])
    with reading_frames(clip):
        shown = read_frames(
            clip.path,
            clip.first + begin,
            int(cuts.start[-1]) - begin + frames,
            rate=clip.rate,
            size=(settings.height, settings.width),
            gray=not settings.color,
            frames=clip.native_frames,
        )
    return np.stack(
        [
            shown[start : start + frames, row : row + size, column : column + size]
            for start, (row, column) in zip(cuts.start - begin, cuts.corner, strict=True)
        ]
    )
