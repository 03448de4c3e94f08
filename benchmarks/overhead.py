"""Overhead of the workflow: planning the paper's configuration, and starting an empty job.

Planning: `snakemake -n results/table2.csv --configfile configs/paper.yaml` in a copy of the project
with an empty file for each of the 13,320 and 6,766 videos of the official lists and for 108,000
unlabelled videos (300 hours of 10 seconds). Jobs: `collect_scores` of one file, and a process
of Python that only imports torch.

    python benchmarks/overhead.py --lists SPLIT_LISTS --json overhead.json

SPLIT_LISTS contains the downloaded `ucf101/trainlist01.txt`, ... and
`hmdb51/CLASS_test_split1.txt`, ...
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import projects

from video_lstm.artifacts import Provenance, create

NUM_UNLABELLED = 108_000


def lay_out(folder: Path, lists: Path) -> int:
    """Create empty files for all data of configs/paper.yaml; return the number of videos."""
    data = folder / "data"
    names = [
        f"UCF-101/{line.split()[0]}"
        for part in ("trainlist01", "testlist01")
        for line in (lists / "ucf101" / f"{part}.txt").read_text().splitlines()
        if line.strip()
    ]
    for path in (lists / "hmdb51").glob("*_test_split1.txt"):
        action = path.name.removesuffix("_test_split1.txt")
        names += [
            f"hmdb51_org/{action}/{line.split()[0]}"
            for line in path.read_text().splitlines()
            if line.strip()
        ]
    names += [f"unlabelled/{number // 1000}/{number}.mp4" for number in range(NUM_UNLABELLED)]
    digits = [f"mnist/{name}" for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte",
              "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte")]  # fmt: skip
    for name in [*names, *digits, "vgg16-397923af.pth"]:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    (data / "ucfTrainTestlist").symlink_to((lists / "ucf101").resolve())
    (data / "testTrainMulti_7030_splits").symlink_to((lists / "hmdb51").resolve())
    return len(names)


def seconds(command: list[str], folder: Path) -> tuple[float, str]:
    """Run a command; return its duration in seconds and its output."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def empty_job(folder: Path) -> list[str]:
    """Return a command that runs `collect_scores` on one classifier."""
    classifier_path = folder / "finetuned.h5"
    with create(classifier_path, "finetuned", Provenance("benchmark", {}, "0")) as file:
        attributes = {"dataset": "a", "stream": "rgb", "split": 1, "variant": "lstm_baseline"}
        file.attrs.update(
            attributes | {"labels": "all", "measure": "accuracy", "softmax_init": "random"}
        )
        file["scores"], file["accuracy"] = np.ones((1, 1, 1)), np.ones(1)
        file["video"], file["label"] = np.zeros(1, np.int32), np.zeros(1, np.int32)
        file.create_group("curves")
    script = projects.ROOT / "workflow_scripts" / "collect_scores.py"
    return [sys.executable, str(script), "--finetuned", str(classifier_path),
            "--output", "scores.csv",
            "--log", "log"]  # fmt: skip


def main() -> None:
    """Measure all commands alternately and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=Path, required=True, help="folder of the official lists")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = projects.copy_code(Path(scratch, "project"))
        videos = lay_out(folder, arguments.lists)
        plan = [sys.executable, "-m", "snakemake", "--cores", "2", "-n", "results/table2.csv"]
        plan += ["--configfile", "configs/paper.yaml"]
        commands = {
            "planning": plan,
            "job": empty_job(folder),
            "torch": [sys.executable, "-c", "import torch"],
        }
        timings: dict[str, list[float]] = {name: [] for name in commands}
        for repeat in range(arguments.repeats + 1):
            for name, command in commands.items():
                elapsed, output = seconds(command, folder)
                if name == "planning":
                    jobs = sum(projects.counts(output).values())
                if repeat:  # the first repeat fills the caches
                    timings[name].append(elapsed)
    row = {name: statistics.median(values) for name, values in timings.items()}
    row |= {"videos": videos, "jobs": jobs, "job_beyond_torch": row["job"] - row["torch"]}
    for name, value in row.items():
        print(f"{name:18}{value:10.2f}" if isinstance(value, float) else f"{name:18}{value:10}")
    if arguments.json:
        arguments.json.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
