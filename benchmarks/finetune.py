"""Fine-tuning of LSTM classifiers compared with a plain PyTorch loop that does the same work.

The loop is what one would write first: a `torch.nn.LSTM` and a linear layer in float32, windows cut
from an array in memory, `torch.optim.Adam`, gradient clipping. Ours is `training.finetuning`, with
peepholes, in float32 and in bfloat16 where the CPU has the instructions. Percepts are random, with
the sizes of the demo and of Weizmann, since their values do not change the time. Both run on one
thread, in turns; medians are compared.

    python benchmarks/finetune.py --json finetune.json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm import artifacts
from video_lstm.models.classifier import LSTMClassifier
from video_lstm.models.standardize import Standardize
from video_lstm.percepts.extract import write_percepts
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.training import ClassifierSettings
from video_lstm.training.finetuning import VideoClassifier, finetune
from video_lstm.video.clips import ClipName

FRAME_SIZE = 1280
LEARNING_RATE = 0.003


class Task(NamedTuple):
    """Sizes of a fine-tuning.

    Attributes:
        name: Name in the table.
        classes: Number of classes.
        videos: Labelled videos per class.
        length: Frames per video.
        frames: Frames per window.
        hidden_size: LSTM units.
        batch_size: Windows per step.
        steps: Number of steps.
    """

    name: str
    classes: int
    videos: int
    length: int
    frames: int
    hidden_size: int
    batch_size: int
    steps: int


TASKS = [
    Task("demo, 1 video", 10, 1, 20, 16, 128, 16, 100),
    Task("demo, all", 10, 16, 20, 16, 128, 16, 100),
    Task("Weizmann, 1 video", 10, 1, 25, 16, 256, 16, 200),
    Task("Weizmann, all", 10, 7, 25, 16, 256, 16, 200),
]


def write_store(folder: Path, task: Task) -> PerceptStore:
    """Write random percepts of all videos and open them."""
    path = folder / f"{task.classes}_{task.videos}_{task.length}.h5"
    count = task.classes * task.videos
    if not path.exists():
        rng = np.random.default_rng(0)
        percepts = rng.standard_normal((count * task.length, FRAME_SIZE)).astype(np.float16)
        names = [ClipName(f"{number:04}.avi", 0) for number in range(count)]
        provenance = artifacts.Provenance("benchmark", {}, "code")
        with artifacts.create(path, "percepts", provenance) as file:
            write_percepts(file, names, [task.length] * count, [percepts], FRAME_SIZE, 10.0)
    return PerceptStore([path])


def run_ours(task: Task, store: PerceptStore, precision: str) -> None:
    """Train a classifier of this project."""
    settings = ClassifierSettings.model_validate(
        {
            "block_frames": task.frames,
            "softmax_init": "random",
            "training": {
                "steps": task.steps,
                "batch_size": task.batch_size,
                "learning_rate": LEARNING_RATE,
                "precision": precision,
            },
        }
    )
    ones = np.ones(FRAME_SIZE, np.float32)

    def build(generator: torch.Generator) -> VideoClassifier:
        classifier = LSTMClassifier(
            FRAME_SIZE, task.hidden_size, 1, task.classes, dropout=0.5, generator=generator
        )
        return VideoClassifier(Standardize(0 * ones, ones), classifier)

    clips = np.arange(task.classes * task.videos)
    finetune(
        build, store, clips, clips % task.classes, clips, settings, seed=0, draw=0,
        device=torch.device("cpu"),
    )  # fmt: skip


class PlainClassifier(nn.Module):
    """`torch.nn.LSTM`, dropout and a linear layer."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FRAME_SIZE, task.hidden_size)
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(task.hidden_size, task.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (T, B, K) of percepts (T, B, D)."""
        return self.linear(self.dropout(self.lstm(x)[0]))


def run_plain(task: Task, store: PerceptStore) -> None:
    """Train a classifier in a plain loop."""
    count = task.classes * task.videos
    percepts = torch.from_numpy(np.stack([store.clip(row) for row in range(count)])).float()
    mean, scale = torch.zeros(FRAME_SIZE), torch.ones(FRAME_SIZE)
    labels = torch.arange(count) % task.classes
    model = PlainClassifier(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    for _ in range(task.steps):
        rows = torch.randint(count, (task.batch_size,))
        starts = torch.randint(task.length - task.frames + 1, (task.batch_size,))
        windows = [
            percepts[row, start : start + task.frames]
            for row, start in zip(rows.tolist(), starts.tolist(), strict=True)
        ]
        logits = model((torch.stack(windows, 1) - mean) / scale)
        targets = labels[rows].expand(task.frames, -1)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def seconds(call: Callable[[], None]) -> float:
    """Return the duration of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the rows to a JSON file"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each (default 5)")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread; seconds of a fine-tuning")
    print(f"{'task':20} {'plain':>7} {'float32':>8} {'ratio':>6} {'bfloat16':>9} {'ratio':>6}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for task in TASKS:
            store = write_store(Path(folder), task)
            contenders: dict[str, Callable[[], None]] = {
                "plain": lambda task=task, store=store: run_plain(task, store),
                "float32": lambda task=task, store=store: run_ours(task, store, "float32"),
                "bfloat16": lambda task=task, store=store: run_ours(task, store, "bfloat16"),
            }
            times: dict[str, list[float]] = {name: [] for name in contenders}
            for repeat in range(options.repeats + 1):
                for name, run in contenders.items():
                    duration = seconds(run)
                    if repeat:  # the first run is a warm-up
                        times[name].append(duration)
            row = {name: statistics.median(values) for name, values in times.items()}
            ratios = {name: row["plain"] / row[name] for name in ("float32", "bfloat16")}
            print(
                f"{task.name:20} {row['plain']:7.2f} {row['float32']:8.2f} "
                f"{ratios['float32']:6.2f} {row['bfloat16']:9.2f} {ratios['bfloat16']:6.2f}",
                flush=True,
            )
            rows.append({"task": task.name, "seconds": row, "ratio": ratios})
    for name in ("float32", "bfloat16"):
        mean = statistics.geometric_mean(row["ratio"][name] for row in rows)
        print(f"{name}: geometric mean of the ratios {mean:.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
