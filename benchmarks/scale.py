"""Time and memory of reading splits, subsets and training windows of a large data set.

Builds a synthetic index of UCF-101's 13,320 videos and a store of percepts (by default 1,040,000
frames of 4,096 values, 8 GB), and a quarter of both; then times on each, alternating: reading the
split, drawing a labelled subset, opening the store, and drawing training windows: first from disk,
as from a store that does not fit into memory, next to the rate of the disk (reads of the same size
by 64 threads); then from memory. Times may grow with the set, but the time of a batch and the
memory should not.

    python benchmarks/scale.py --folder /a/fast/disk --json runs/scale.json
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm.artifacts import SCHEMAS, Provenance, create, write_strings
from video_lstm.video.clips import ClipName, write_names, write_rate

VIDEOS, CLASSES, DIM, FRAMES, BATCH = 13_320, 101, 4096, 16, 128


def build(folder: Path, videos: int, frames: int) -> None:
    """A made-up data set: its index and one shard of percepts."""
    folder.mkdir()
    nothing = Provenance("benchmark", {}, "0")
    names = [f"class/video{row:05}.avi" for row in range(videos)]
    labels = (np.arange(videos) * CLASSES // videos).astype(np.int32)
    with create(folder / "videos.h5", "videos", nothing) as file:
        texts = {"path", "group", "classes"}
        for name in SCHEMAS["videos"][1] - texts - {"splits", "label"}:
            file[name] = np.zeros(videos)
        file["label"], file.attrs["rate"] = labels, 30.0
        write_strings(file, "path", names)
        file["splits"] = np.where(np.arange(videos) % 10 < 7, 1, 2).astype(np.int8)[:, None]
        write_strings(file, "classes", [f"class{c}" for c in range(CLASSES)])
        write_strings(file, "group", [f"g{row // 4}" for row in range(videos)])
    ends = np.linspace(0, frames, videos + 1).astype(np.int64)
    block = np.random.default_rng(0).normal(size=(8192, DIM)).astype(np.float16)
    with create(folder / "percepts.h5", "percepts", nothing) as file:
        write_names(file, [ClipName(name, 0) for name in names])
        write_rate(file, 30.0)
        file["clip_offsets"] = ends
        percepts = file.create_dataset("percepts", (frames, DIM), np.float16)
        for first in range(0, frames, len(block)):
            percepts[first : first + len(block)] = block[: frames - first]


def forget(path: Path) -> None:
    """Make the system forget a file's content that it has in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def random_reads_per_second(path: Path, count: int) -> float:
    """Read parts of the size of a window at random positions, from disk, by 64 threads."""
    forget(path)
    size = FRAMES * DIM * 2
    positions = np.random.default_rng(1).integers(path.stat().st_size - size, size=count).tolist()
    with path.open("rb") as file, ThreadPoolExecutor(64) as pool:
        start = time.perf_counter()
        list(pool.map(lambda position: len(os.pread(file.fileno(), size, position)), positions))
        return count / (time.perf_counter() - start)


def measure(folder: Path, batches: int) -> dict[str, float]:
    """Seconds of each step on one data set, and the memory that is not the file's."""
    from video_lstm.sequences.labelled_clips import read_split, split_off_validation
    from video_lstm.sequences.labelled_subsets import draw_labelled_subset
    from video_lstm.sequences.percepts import PerceptStore, PerceptWindows

    results, clock = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        results[name], clock = time.perf_counter() - clock, time.perf_counter()

    store = PerceptStore([folder / "percepts.h5"])
    lap("open_store_s")
    train, _, _ = read_split(folder / "videos.h5", 1, store.names)
    lap("read_split_s")
    split_off_validation(train, 0.2, 0)
    lap("cut_validation_s")
    draw_labelled_subset(train.labels, 10, 0, 0)
    lap("labelled_subset_s")
    windows = PerceptWindows(store, train.clips, FRAMES, 0)
    lap("plan_windows_s")
    results["disk_reads_per_s"] = random_reads_per_second(folder / "percepts.h5", batches * BATCH)
    for name in ("windows_from_disk_per_s", "windows_per_s"):
        if name == "windows_from_disk_per_s":
            forget(folder / "percepts.h5")
        clock = time.perf_counter()
        for step in range(batches):
            windows.batch(step, BATCH)
        results[name] = batches * BATCH / (time.perf_counter() - clock)
    # Pages of the mapped file are the system's to take back; what the process itself holds counts.
    status = Path("/proc/self/status").read_text().split()
    results["own_memory_mb"] = int(status[status.index("RssAnon:") + 1]) / 1e3
    results["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return results


def main() -> None:
    """Build, measure each data set in processes of its own, in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the data sets are built for the time")
    parser.add_argument("--frames", type=int, default=1_040_000)
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.batches)))
        return
    rows: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        sizes = {"whole": 1, "quarter": 4}
        for name, part in sizes.items():
            build(Path(folder, name), VIDEOS // part, arguments.frames // part)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in sizes}
        for name in list(sizes) * arguments.repeats:
            command = [sys.executable, __file__, "--measure", str(Path(folder, name))]
            command += ["--batches", str(arguments.batches)]
            runs[name].append(json.loads(subprocess.check_output(command)))
    for name, results in runs.items():
        medians = {key: float(np.median([one[key] for one in results])) for key in results[0]}
        rows.append({"videos": VIDEOS // sizes[name], "frames": arguments.frames // sizes[name]}
                    | medians)  # fmt: skip
    for key in rows[0]:
        print(f"{key:20}" + "".join(f"{row[key]:14.4g}" for row in rows))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
