"""Extract percepts of new videos like those that a model was trained on."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.flow.extract import extract_flow
from video_lstm.flow.storage import FlowStore, PartialFlow
from video_lstm.percepts.extract import cut_batches, extract, open_backend, write_percepts
from video_lstm.percepts.flow_percepts import FlowPercepts, read_convnet
from video_lstm.percepts.networks import weights_path
from video_lstm.percepts.own_features import cut_clips, find_feature_files
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.settings.percepts import FlowSettings, PerceptSettings
from video_lstm.video.clips import Clip, write_rate
from video_lstm.video.decode import UnreadableClipError
from video_lstm.video.file_scan import escape_path
from video_lstm.video.sampling import probe_full_clips

logger = logging.getLogger("video_lstm")


@dataclass(frozen=True)
class PerceptExtraction:
    """How percepts of new videos are extracted.

    Attributes:
        percepts: Provenance of the model's percepts, see `PerceptStore`.
        model: Path of the model, for messages.
        weights: Weights of the RGB convnet, if their file has moved since training.
        flow_convnet: Convnet of a flow stream.
        features: Folder of features of the videos, if the model was trained on such.
        device: Device to run on.
        threads: Number of CPU threads.
        onnx: Cache folder for ONNX conversions.
        provenance: Provenance of the artifacts that are written.
    """

    percepts: Mapping[str, Any]
    model: Path
    weights: Path | None
    flow_convnet: Path | None
    features: Path | None
    device: torch.device
    threads: int
    onnx: Path
    provenance: artifacts.Provenance


def find_readable_videos(
    paths: Sequence[Path], rate: float | None, folder: Path, workers: int = 1
) -> tuple[list[Clip], list[str]]:
    """Find the readable videos, and for every path the reason if it is not, else "".

    Args:
        paths: Video files.
        rate: Frame rate in Hz; None for each file's own.
        folder: Folder for transcoded copies of videos that the reader refuses.
        workers: Number of processes that probe the files.

    Raises:
        UserError: No video can be read.
    """
    results = probe_full_clips(paths, rate, folder / "transcoded", workers)
    clips = [clip for clip in results if isinstance(clip, Clip)]
    reasons = [clip if isinstance(clip, str) else "" for clip in results]
    for path, reason in zip(paths, reasons, strict=True):
        if reason:
            logger.warning("%s: left out: %s", path, reason)
    if not clips:
        raise _nothing_readable(paths[0], reasons[0])
    return clips, reasons


def extract_new_percepts(
    paths: Sequence[Path], extraction: PerceptExtraction, folder: Path
) -> tuple[Path, list[str]]:
    """Extract RGB or flow percepts of videos into an artifact, as the model needs.

    If a video turns out to be unreadable during extraction, it is skipped and extraction restarts.

    Returns:
        The artifact; and for every path the reason if it was skipped, else "".

    Raises:
        UserError: No video can be read, or the weights or the convnet are not those of the model's
            percepts.
    """
    path, rate = folder / "percepts.h5", extraction.percepts.get("rate")
    clips, reasons = find_readable_videos(paths, rate, folder, extraction.threads)
    extract_percepts = _rgb_percepts
    if "convnet" in extraction.percepts:
        extract_percepts = _flow_percepts
    elif extraction.percepts["percepts"].get("features"):
        extract_percepts = _own_features
    while clips:
        try:
            with artifacts.create(path, "percepts", extraction.provenance) as file:
                write_percepts(
                    file, *extract_percepts(clips, extraction, folder / str(len(clips))), rate
                )
            return path, reasons
        except UnreadableClipError as error:
            failed = {clip.video for clip in clips if clip.path == error.path}
            logger.warning("%s: left out: %s", ", ".join(failed), error.reason)
            clips = [clip for clip in clips if clip.path != error.path]
            names = [escape_path(str(path)) for path in paths]
            reasons = [
                error.reason if name in failed else reason
                for name, reason in zip(names, reasons, strict=True)
            ]
    raise _nothing_readable(paths[0], reasons[0])


def _nothing_readable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: expected videos, found none that can be read; the first: {reason}; name "
        "other videos, or repair this one"
    )


def _rgb_percepts(
    clips: Sequence[Clip], extraction: PerceptExtraction, folder: Path
) -> tuple[list[Any], list[int], PartialRows, int]:
    """Return the clips' names and numbers of percepts, the percepts, and their length."""
    settings = PerceptSettings.model_validate(extraction.percepts["percepts"])
    if extraction.weights is not None:
        settings = settings.model_copy(update={"weights": str(extraction.weights)})
    path, expected = weights_path(settings), extraction.percepts.get("weights")
    if path is not None and (checksum := artifacts.identity(path)) != expected:
        raise UserError(
            f"{path}: expected the weights that {extraction.model} was trained on percepts of, "
            f"SHA-256 {str(expected)[:12]}..., found {checksum[:12]}...; set "
            "--weights to the right file"
        )
    backend = open_backend(settings, extraction.device, extraction.threads, extraction.onnx)
    lengths = [clip.frames for clip in clips]
    rows = PartialRows(folder, "rgb", cut_batches(sum(lengths), settings.batch_size), backend.dim)
    extract(clips, backend, settings, rows, extraction.threads)
    return [clip.name for clip in clips], lengths, rows, backend.dim


def _own_features(
    clips: Sequence[Clip], extraction: PerceptExtraction, folder: Path
) -> tuple[list[Any], list[int], Iterator[np.ndarray], int]:
    """Return the same as `_rgb_percepts` for features of the user."""
    if extraction.features is None:
        raise UserError(
            f"--features: expected a folder, found none; {extraction.model} was trained on "
            "features of your own: name the folder with those of the new videos"
        )
    names = {clip.video: Path(clip.video).name for clip in clips}
    if len(set(names.values())) < len(names):
        raise UserError(
            "--videos: expected different file names, since features are found by name, found two "
            "alike; classify them in two calls"
        )
    files_by_name = find_feature_files(extraction.features, list(names.values()))
    files = {video: files_by_name[name] for video, name in names.items()}
    lengths = {clip.video: clip.frames for clip in clips}
    features, size = cut_clips(clips, files, lengths)
    return [clip.name for clip in clips], list(lengths.values()), features, size


def _flow_percepts(
    clips: Sequence[Clip], extraction: PerceptExtraction, folder: Path
) -> tuple[list[Any], list[int], PartialRows, int]:
    """Return the same as `_rgb_percepts` for the clips' flow."""
    convnet = extraction.flow_convnet
    if convnet is None:
        raise UserError(
            f"--flow-convnet: expected a file, found none; {extraction.model} reads flow: name the "
            "convnet of its data set, split and stream, below results/flow_convnet"
        )
    with artifacts.open_artifact(convnet, "flow_convnet") as file:
        settings = FlowSettings.model_validate(json.loads(file.attrs["flow"]))
    if artifacts.identity(convnet) != extraction.percepts["convnet"]:
        raise UserError(
            f"{convnet}: expected the convnet that {extraction.model} was trained on percepts of, "
            "found another; name that of the same data set, split and stream"
        )
    partial, flow = PartialFlow(folder / "partial", "flow"), folder / "flow.h5"
    extract_flow(clips, settings, extraction.device, partial, extraction.threads)
    with artifacts.create(flow, "flow", extraction.provenance) as file:
        partial.finish(file, [clip.name for clip in clips])
        write_rate(file, extraction.percepts.get("rate"))
        file.attrs.update(settings.model_dump(include={"height", "width", "bound"}))
    partial.close(remove=True)
    store = FlowStore([flow])
    percepts = FlowPercepts(store, read_convnet(convnet, store, flow).to(extraction.device))
    rows = PartialRows(folder, "flow", percepts.sizes, percepts.dim)
    percepts.extract(rows, extraction.threads)
    return store.names, percepts.lengths, rows, percepts.dim
