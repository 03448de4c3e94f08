"""Frame features that the user has already, in place of percepts of a network.

A video CLASS/a.mp4 of data set NAME has its features in FOLDER/NAME/CLASS/a.npy or a.h5, or after
its whole file name, a.mp4.npy: one row per frame at the target rate of the videos.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from video_lstm.artifacts import identity
from video_lstm.errors import UserError
from video_lstm.video.clips import Clip

_SUFFIXES = (".npy", ".h5", ".hdf5")
_TOLERANCE = 1
"""Frames by which other programs may round a duration differently."""
_MAX_REPORTED = 5


class FeatureFileError(Exception):
    """The features of a video are missing or do not fit."""


def find_feature_files(folder: Path, videos: Sequence[str]) -> dict[str, Path | None]:
    """Find the feature file of each video; None if there is none.

    A name without the video's suffix counts only if no other video of the list shares it.

    Args:
        folder: Folder of the data set's features.
        videos: Paths of the videos in the data set.
    """
    stems = Counter(str(PurePosixPath(video).with_suffix("")) for video in set(videos))
    files: dict[str, Path | None] = {}
    for video in videos:
        stem = str(PurePosixPath(video).with_suffix(""))
        names = [video + suffix for suffix in _SUFFIXES]
        if stems[stem] == 1:
            names += [stem + suffix for suffix in _SUFFIXES]
        files[video] = next((folder / name for name in names if (folder / name).is_file()), None)
    return files


def read_features(path: Path) -> np.ndarray:
    """Read the features of a video, (frames, values), without loading all of a .npy file.

    Raises:
        FeatureFileError: The file cannot be read, or has no such array.
    """
    try:
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with h5py.File(path) as file:
                datasets = [item for item in file.values() if isinstance(item, h5py.Dataset)]
                if len(datasets) != 1:
                    raise FeatureFileError(f"{path}: expected one data set, found {len(datasets)}")
                array = datasets[0][()]
    except (OSError, ValueError, EOFError) as error:
        raise FeatureFileError(f"{path}: expected an array, it cannot be read ({error})") from error
    if array.ndim != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise FeatureFileError(
            f"{path}: expected numbers (frames, values), found {array.dtype} {array.shape}"
        )
    return array


def features_size(folder: Path) -> int:
    """Return the number of values of a frame, from the first file below a folder.

    Raises:
        UserError: There is no file of features, or it cannot be read.
    """
    path = next((path for path in sorted(folder.rglob("*")) if path.suffix in _SUFFIXES), None)
    if path is None:
        raise UserError(
            f"percepts.features: expected files {' or '.join(_SUFFIXES)} below {folder}, found "
            "none; correct the path"
        )
    try:
        return read_features(path).shape[1]
    except FeatureFileError as error:
        raise UserError(f"percepts.features: {error}; correct the file") from error


def digest_feature_files(files: Mapping[str, Path | None]) -> str:
    """Return one SHA-256 of all files that `find_feature_files` found."""
    contents = sorted((video, identity(path)) for video, path in files.items() if path is not None)
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def cut_clips(
    clips: Sequence[Clip], files: Mapping[str, Path | None], lengths: Mapping[str, int]
) -> tuple[Iterator[np.ndarray], int]:
    """Check the features of all clips, then cut them.

    Args:
        clips: Clips, in the order of the result.
        files: Feature file of each video, see `find_feature_files`.
        lengths: Number of frames of each video at the rate of the clips.

    Returns:
        The features of each clip, (frames, D) float16, and D.

    Raises:
        UserError: Features are missing, too long or short, NaN, too large for float16, or of
            different sizes; the message names the first files of all that do not fit.
    """
    problems: list[str] = []
    sizes: dict[Path, int] = {}
    for video, clip in {clip.video: clip for clip in clips}.items():
        try:
            path = files[video]
            if path is None:
                raise FeatureFileError(f"{video}: no file of features")
            features = read_features(path)
            sizes[path] = features.shape[1]
            _check_length(path, len(features), lengths[video], clip)
            _check_values(path, features)
        except FeatureFileError as error:
            problems.append(str(error))
    size = max(Counter(sizes.values()), key=Counter(sizes.values()).get, default=0)
    problems += [
        f"{path}: expected {size} values a frame as in most files, found {other}"
        for path, other in sizes.items()
        if other != size
    ]
    if problems:
        reported = "; ".join(problems[:_MAX_REPORTED])
        if len(problems) > _MAX_REPORTED:
            reported += f"; and {len(problems) - _MAX_REPORTED} more"
        raise UserError(
            f"percepts.features: {reported}; correct these files, or take their videos out of the "
            "data set"
        )
    return (_cut(clip, files) for clip in clips), size


def _cut(clip: Clip, files: Mapping[str, Path | None]) -> np.ndarray:
    path = files[clip.video]
    assert path is not None
    features = read_features(path)
    rows = np.minimum(np.arange(clip.first, clip.first + clip.frames), len(features) - 1)
    return features[rows].astype(np.float16)


def _check_length(path: Path, length: int, expected: int, clip: Clip) -> None:
    if abs(length - expected) > _TOLERANCE:
        rate = "its own rate" if clip.rate is None else f"{clip.rate:g} frames per second"
        raise FeatureFileError(
            f"{path}: expected {expected} rows, one for each frame of {clip.video} at {rate} "
            f"(video.frame_rate), found {length}"
        )


def _check_values(path: Path, features: np.ndarray) -> None:
    largest = np.abs(features.astype(np.float32, copy=False)).max(axis=1)
    limit = float(np.finfo(np.float16).max)
    bad = np.flatnonzero(~(largest <= limit))
    if len(bad):
        value = largest[bad[0]]
        description = "NaN" if np.isnan(value) else f"a value of {value:.3g}"
        raise FeatureFileError(
            f"{path}: expected numbers of at most {limit:.0f}, found {description} in row {bad[0]}"
        )
