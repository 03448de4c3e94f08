"""Percepts of videos that are in no data set, made as those that a model was trained on."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.flow.extract import extract_flow
from video_lstm.flow.storage import FlowStore, PartialFlow
from video_lstm.percepts.extract import cut_batches, extract, open_backend, write_percepts
from video_lstm.percepts.flow_percepts import FlowPercepts, read_convnet
from video_lstm.percepts.networks import weights_path
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.settings.percepts import FlowSettings, PerceptSettings
from video_lstm.video.clips import Clip, write_rate
from video_lstm.video.decode import UnreadableClipError
from video_lstm.video.file_scan import printable_path
from video_lstm.video.sampling import whole_videos

logger = logging.getLogger("video_lstm")


@dataclass(frozen=True)
class PerceptExtraction:
    """How percepts of new videos are extracted.

    Attributes:
        percepts: how the model's own were made, see `PerceptStore.percept_provenance`.
        model: its file, for messages.
        weights: of the convnet of RGB, where they are no longer where training found them.
        flow_convnet: the convnet of a stream of flow.
        device: where to run.
        threads: CPU threads.
        onnx: folder for conversions to ONNX.
        provenance: how what is written came about.
    """

    percepts: Mapping[str, Any]
    model: Path
    weights: Path | None
    flow_convnet: Path | None
    device: torch.device
    threads: int
    onnx: Path
    provenance: artifacts.Provenance


def find_readable_videos(
    paths: Sequence[Path], rate: float | None, folder: Path, workers: int = 1
) -> tuple[list[Clip], list[str]]:
    """The videos that can be read, and of every path why not; empty where it can.

    Args:
        paths: the files.
        rate: frames per second; None for each file's own.
        folder: for copies of sound videos that the reader refuses.
        workers: processes that probe them.

    Raises:
        UserError: none can be read.
    """
    found = whole_videos(paths, rate, folder / "transcoded", workers)
    clips = [clip for clip in found if isinstance(clip, Clip)]
    reasons = [clip if isinstance(clip, str) else "" for clip in found]
    for path, reason in zip(paths, reasons, strict=True):
        if reason:
            logger.warning("%s: left out: %s", path, reason)
    if not clips:
        raise _nothing_readable(paths[0], reasons[0])
    return clips, reasons


def extract_new_percepts(
    paths: Sequence[Path], how: PerceptExtraction, folder: Path
) -> tuple[Path, list[str]]:
    """Extract percepts of videos into an artifact in a folder, RGB or of flow as the model's are.

    A video that the probe could read and the extraction cannot is left out, and the extraction of
    the others begins again.

    Returns:
        The artifact; of every path why it is not in it, empty where it is.

    Raises:
        UserError: no video can be read, or the weights or the convnet are not those of the model's
            percepts.
    """
    path, rate = folder / "percepts.h5", how.percepts.get("rate")
    clips, reasons = find_readable_videos(paths, rate, folder, how.threads)
    make = _flow_percepts if "convnet" in how.percepts else _rgb_percepts
    while clips:
        try:
            with artifacts.create(path, "percepts", how.provenance) as file:
                write_percepts(file, *make(clips, how, folder / str(len(clips))), rate)
            return path, reasons
        except UnreadableClipError as error:
            failed = {clip.video for clip in clips if clip.path == error.path}
            logger.warning("%s: left out: %s", ", ".join(failed), error.reason)
            clips = [clip for clip in clips if clip.path != error.path]
            names = [printable_path(str(path)) for path in paths]
            reasons = [
                error.reason if name in failed else reason
                for name, reason in zip(names, reasons, strict=True)
            ]
    raise _nothing_readable(paths[0], reasons[0])


def _nothing_readable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: expected videos, found none that can be read, this the first: {reason}; name "
        "others, or mend it"
    )


def _rgb_percepts(
    clips: Sequence[Clip], how: PerceptExtraction, folder: Path
) -> tuple[list[Any], list[int], PartialRows, int]:
    """The clips' names, how many percepts each has, all of them, their length."""
    settings = PerceptSettings.model_validate(how.percepts["percepts"])
    if how.weights is not None:
        settings = settings.model_copy(update={"weights": str(how.weights)})
    path, expected = weights_path(settings), how.percepts.get("weights")
    if path is not None and (checksum := artifacts.identity(path)) != expected:
        raise UserError(
            f"{path}: expected the weights that {how.model} was trained on percepts of, SHA-256 "
            f"{str(expected)[:12]}..., found {checksum[:12]}...; name them with --weights"
        )
    backend = open_backend(settings, how.device, how.threads, how.onnx)
    lengths = [clip.frames for clip in clips]
    rows = PartialRows(folder, "rgb", cut_batches(sum(lengths), settings.batch_size), backend.dim)
    extract(clips, backend, settings, rows, how.threads)
    return [clip.name for clip in clips], lengths, rows, backend.dim


def _flow_percepts(
    clips: Sequence[Clip], how: PerceptExtraction, folder: Path
) -> tuple[list[Any], list[int], PartialRows, int]:
    """The same of the clips' flow."""
    convnet = how.flow_convnet
    if convnet is None:
        raise UserError(
            f"--flow-convnet: expected a file, found none; {how.model} reads flow: name the "
            "convnet of its data set, split and stream, below results/flow_convnet"
        )
    with artifacts.open_artifact(convnet, "flow_convnet") as file:
        settings = FlowSettings.model_validate(json.loads(file.attrs["flow"]))
    if artifacts.identity(convnet) != how.percepts["convnet"]:
        raise UserError(
            f"{convnet}: expected the convnet that {how.model} was trained on percepts of, found "
            "another; name that of the same data set, split and stream"
        )
    partial, flow = PartialFlow(folder / "partial", "flow"), folder / "flow.h5"
    extract_flow(clips, settings, how.device, partial, how.threads)
    with artifacts.create(flow, "flow", how.provenance) as file:
        partial.finish(file, [clip.name for clip in clips])
        write_rate(file, how.percepts.get("rate"))
        file.attrs.update(settings.model_dump(include={"height", "width", "bound"}))
    partial.close(remove=True)
    store = FlowStore([flow])
    percepts = FlowPercepts(store, read_convnet(convnet, store, flow).to(how.device))
    rows = PartialRows(folder, "flow", percepts.sizes, percepts.dim)
    percepts.extract(rows, how.threads)
    return store.names, percepts.lengths, rows, percepts.dim
