r"""Classify new videos with a fine-tuned classifier.

Reads video files, a classifier that finetune_classifier trained, and the convnet of its percepts:
for stream `rgb` the weights of the ImageNet convnet (found automatically if a package provides
them), for flow streams the flow convnet. Writes a CSV with a row per video: the most probable
class, its score, and the probability of every class. A video that cannot be read has a row too,
with the reason instead of a class.

    python workflow_scripts/classify_videos.py --videos new/*.mp4 --output classes.csv \
      --classifier results/finetune/demo/split1/rgb/composite/all.h5
    python workflow_scripts/classify_videos.py --videos new/*.mp4 --output classes.csv \
      --classifier results/finetune/demo/split1/flow1/composite/all.h5 \
      --flow-convnet results/flow_convnet/demo/split1/flow1.h5
"""

import logging
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from video_lstm.command_line import NewVideosCommandLine, run
from video_lstm.device import pick_device
from video_lstm.evaluation.tables import write_csv
from video_lstm.percepts.new_videos import PerceptExtraction, extract_new_percepts
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.training.finetuning import load_classifier, score_videos
from video_lstm.video.file_scan import escape_path

logger = logging.getLogger("video_lstm")


class Arguments(NewVideosCommandLine):
    """Command line."""

    videos: list[Path]
    """Video files; whatever FFmpeg reads."""
    classifier: Path
    """Such as results/finetune/demo/split1/rgb/composite/all.h5."""
    output: Path
    """CSV file to write: video, class, score, and a column per class."""


def main(arguments: Arguments) -> None:
    """Extract percepts, classify and write the table."""
    torch.set_num_threads(max(arguments.threads, 1))
    cv2.setNumThreads(1)
    device, _ = pick_device(arguments.device)
    classifier = load_classifier(arguments.classifier)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extraction = PerceptExtraction(
            classifier.percepts, arguments.classifier, arguments.weights, arguments.flow_convnet,
            arguments.features, device, max(arguments.threads, 1), arguments.cache / "onnx",
            arguments.provenance({}),
        )  # fmt: skip
        percepts, reasons = extract_new_percepts(arguments.videos, extraction, folder)
        store = PerceptStore([percepts])
        rows = {name.video: row for row, name in enumerate(store.names)}
        paths = [escape_path(str(path)) for path in arguments.videos]
        read = [rows[path] for path, reason in zip(paths, reasons, strict=True) if not reason]
        scores = score_videos(
            classifier.model.to(device), store, np.array(read), classifier.frames,
            classifier.stride,
        )  # fmt: skip
    lines = iter(scores)
    table = pd.DataFrame(
        [
            [path, f"not classified: {reason}", np.nan, *[np.nan] * scores.shape[1]]
            if reason
            else [
                path,
                classifier.classes[(row := next(lines)).argmax()],
                row.max(),
                *row,
            ]
            for path, reason in zip(paths, reasons, strict=True)
        ],
        columns=["video", "class", "score", *(f"p({name})" for name in classifier.classes)],
    )
    write_csv(table, arguments.output, decimals=4)
    logger.info("%d of %d videos: %s", len(read), len(table), arguments.output)


if __name__ == "__main__":
    run(main, Arguments)
