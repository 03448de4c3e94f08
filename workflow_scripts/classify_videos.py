r"""Say which class new videos are of, by a fine-tuned classifier.

Reads video files, a classifier that finetune_classifier trained, and what its percepts are made
with: for stream `rgb` the convnet's weights (those that the classifier's percepts were made with,
found by themselves where a package brings them), for streams of flow the flow's convnet. Writes a
CSV with a line per video: the most probable class, its score, and the probability of every class.
A video that cannot be read is in the table too, with the reason in place of a class.

    python workflow_scripts/classify_videos.py --videos new/*.mp4 --output classes.csv \
      --classifier results/finetune/demo/split1/rgb/composite/all.h5
    python workflow_scripts/classify_videos.py --videos new/*.mp4 --output classes.csv \
      --classifier results/finetune/demo/split1/flow1/composite/all.h5 \
      --flow-convnet results/flow_convnet/demo/split1/flow1.h5
"""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from command_line import DeviceCommandLine, run
from video_lstm import artifacts
from video_lstm.device import pick_device
from video_lstm.errors import UserError
from video_lstm.evaluation.tables import write_csv
from video_lstm.flow.extract import extract_flow
from video_lstm.flow.storage import FlowStore, PartialFlow
from video_lstm.percepts.extract import cut_batches, extract, open_backend, write_percepts
from video_lstm.percepts.flow_percepts import FlowPercepts, read_convnet
from video_lstm.percepts.networks import weights_path
from video_lstm.percepts.partial import PartialRows
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.percepts import FlowSettings, PerceptSettings
from video_lstm.training.finetuning import TrainedClassifier, load_classifier, score_videos
from video_lstm.video.clips import Clip, ClipName
from video_lstm.video.sampling import whole_video
from video_lstm.video.scan import shown
from video_lstm.video.source import UnreadableVideoError

logger = logging.getLogger("video_lstm")


class Arguments(DeviceCommandLine):
    """What to classify with what."""

    videos: list[Path]
    """Video files; whatever FFmpeg reads."""
    classifier: Path
    """Such as results/finetune/demo/split1/rgb/composite/all.h5."""
    output: Path
    """CSV file to write: video, class, score, and a column per class."""
    weights: Path | None = None
    """`rgb`: the convnet's weights, where they are no longer where training found them."""
    flow_convnet: Path | None = None
    """Streams of flow: the convnet, such as results/flow_convnet/demo/split1/flow1.h5."""
    cache: Path = Path("results/checkpoints")
    """Folder for conversions to ONNX."""


def main(arguments: Arguments) -> None:
    """Read, make percepts, classify and write."""
    torch.set_num_threads(max(arguments.threads, 1))
    cv2.setNumThreads(1)
    device, _ = pick_device(arguments.device)
    classifier = load_classifier(arguments.classifier)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips, reasons = readable(arguments.videos, classifier.percepts.get("rate"), folder)
        make = flow_percepts if classifier.stream.startswith("flow") else rgb_percepts
        made = folder / "percepts.h5"
        with artifacts.create(made, "percepts", arguments.provenance({})) as file:
            write_percepts(file, *make(arguments, classifier, clips, folder, device))
        store = PerceptStore([made])
        rows = {name: row for row, name in enumerate(store.names)}
        scores = score_videos(
            classifier.model.to(device), store, np.array([rows[clip.name] for clip in clips]),
            classifier.frames, classifier.stride,
        )  # fmt: skip
    lines, paths = iter(scores), [shown(str(path)) for path in arguments.videos]
    table = pd.DataFrame(
        [
            [path, f"not classified: {reason}", np.nan, *[np.nan] * scores.shape[1]]
            if reason
            else [
                shown(str(path)),
                classifier.classes[(row := next(lines)).argmax()],
                row.max(),
                *row,
            ]
            for path, reason in zip(paths, reasons, strict=True)
        ],
        columns=["video", "class", "score", *(f"p({name})" for name in classifier.classes)],
    )
    write_csv(table, arguments.output, decimals=4)
    logger.info("%d of %d videos: %s", len(clips), len(table), arguments.output)


def readable(
    paths: Sequence[Path], rate: float | None, folder: Path
) -> tuple[list[Clip], list[str]]:
    """The videos that can be read, and of every path why not; empty where it can.

    Raises:
        UserError: there is none.
    """
    clips, reasons = [], []
    for path in paths:
        try:
            clips.append(whole_video(path, rate, folder / "transcoded"))
            reasons.append("")
        except UnreadableVideoError as error:
            reasons.append(str(error))
            logger.warning("%s: left out: %s", path, error)
    if not clips:
        raise UserError(f"--videos: expected videos, found none that can be read: {reasons[0]}")
    return clips, reasons


def rgb_percepts(
    arguments: Arguments,
    classifier: TrainedClassifier,
    clips: Sequence[Clip],
    folder: Path,
    device: torch.device,
) -> tuple[list[ClipName], list[int], PartialRows, int]:
    """Percepts of the convnet that the classifier's were made by: the clips, how many each has, all
    of them, their length.
    """
    settings = PerceptSettings.model_validate(classifier.percepts["percepts"])
    if arguments.weights is not None:
        settings = settings.model_copy(update={"weights": str(arguments.weights)})
    path = weights_path(settings)
    told = classifier.percepts.get("weights")
    if path is not None and (found := artifacts.identity(path)) != told:
        raise UserError(
            f"{path}: expected the weights that {arguments.classifier} was trained on percepts of, "
            f"SHA-256 {str(told)[:12]}..., found {found[:12]}...; name them with --weights"
        )
    backend = open_backend(settings, device, max(arguments.threads, 1), arguments.cache / "onnx")
    lengths = [clip.frames for clip in clips]
    done = PartialRows(folder, "rgb", cut_batches(sum(lengths), settings.batch), backend.dim)
    extract(clips, backend, settings, done, max(arguments.threads, 1))
    return [clip.name for clip in clips], lengths, done, backend.dim


def flow_percepts(
    arguments: Arguments,
    classifier: TrainedClassifier,
    clips: Sequence[Clip],
    folder: Path,
    device: torch.device,
) -> tuple[list[ClipName], list[int], PartialRows, int]:
    """The same of the videos' flow."""
    convnet = arguments.flow_convnet
    if convnet is None:
        raise UserError(
            f"--flow-convnet: expected a file, found none; {arguments.classifier} reads "
            f"{classifier.stream}: name results/flow_convnet/.../{classifier.stream}.h5"
        )
    with artifacts.open_artifact(convnet, "flow_convnet") as file:
        settings = FlowSettings.model_validate(json.loads(file.attrs["flow"]))
    if artifacts.identity(convnet) != classifier.percepts.get("convnet"):
        raise UserError(
            f"{convnet}: expected the convnet that {arguments.classifier} was trained on percepts "
            "of, found another; name that of the same data set, split and stream"
        )
    partial, flow = PartialFlow(folder / "partial", "flow"), folder / "flow.h5"
    extract_flow(clips, settings, device, partial, max(arguments.threads, 1))
    with artifacts.create(flow, "flow", arguments.provenance({})) as file:
        partial.finish(file, [clip.name for clip in clips])
        file.attrs.update(settings.model_dump(include={"height", "width", "bound"}))
    partial.close(remove=True)
    store = FlowStore([flow])
    percepts = FlowPercepts(store, read_convnet(convnet, store, flow).to(device))
    done = PartialRows(folder, "flow", percepts.sizes, percepts.dim)
    percepts.extract(done, max(arguments.threads, 1))
    return store.names, percepts.lengths, done, percepts.dim


if __name__ == "__main__":
    run(main, Arguments)
