"""Percepts: frames per second of torch and ONNX Runtime, windows per second of HDF5 readers.

Outputs are compared before the speeds. The convnet is the default one at its default size, on
noise; windows are 16 frames of 1,280 values from a generated file.

    python benchmarks/percepts.py --json percepts.json
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm import artifacts
from video_lstm.percepts.extract import open_backend
from video_lstm.sequences.percepts import PerceptStore, PerceptWindows
from video_lstm.settings.percepts import PerceptSettings
from video_lstm.video.clips import ClipName, write_names

WINDOW, DIM, BATCH = 16, 1280, 128


def rate(work: Callable[[], object], count: int, seconds: float) -> float:
    """How many per second: the best of repeated runs of `work`, each of which does `count`."""
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return count / best


def convnets(threads: int, seconds: float, folder: Path) -> dict[str, float]:
    """Frames per second of the default convnet on the CPU."""
    torch.set_num_threads(threads)
    shape = (32, 224, 224, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    backends = {
        name: open_backend(PerceptSettings(backend=name), torch.device("cpu"), threads, folder)
        for name in ("torch", "onnx")
    }
    percepts = {name: backend.compute(frames) for name, backend in backends.items()}
    np.testing.assert_allclose(percepts["onnx"], percepts["torch"], rtol=2e-3, atol=2e-3)
    return {
        f"frames_per_second_{name}": rate(lambda b=backend: b.compute(frames), 32, seconds)
        for name, backend in backends.items()
    }


def readers(clips: int, seconds: float, folder: Path) -> dict[str, float]:
    """Random windows per second, as float32 tensors, by how they are stored and read."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((clips * 300, DIM)).astype(np.float16)
    offsets = np.arange(clips + 1) * 300
    path = folder / "percepts.h5"
    with artifacts.create(path, "percepts", artifacts.Provenance("benchmark", {}, "")) as file:
        file["percepts"] = rows
        write_names(file, [ClipName(f"{clip:05}.avi", 0) for clip in range(clips)])
        file["clip_offsets"] = offsets
        chunks = (WINDOW, DIM)
        file.create_dataset("lzf", data=rows, chunks=chunks, compression="lzf")
    del rows
    windows = PerceptWindows(PerceptStore([path]), range(clips), WINDOW, seed=0)
    starts = generator.integers(0, 300 * clips - WINDOW, (64, BATCH))
    step = 0

    def mapped() -> torch.Tensor:
        nonlocal step
        step += 1
        return windows.batch(step, BATCH)

    def through_h5py(dataset: h5py.Dataset) -> torch.Tensor:
        nonlocal step
        step += 1
        parts = [torch.from_numpy(dataset[s : s + WINDOW]) for s in starts[step % 64]]
        return torch.stack(parts, 1).float()

    rates = {"windows_per_second_mapped": rate(mapped, BATCH, seconds)}
    with h5py.File(path) as file:
        for name, dataset in (("h5py", file["percepts"]), ("h5py_lzf", file["lzf"])):
            rates[f"windows_per_second_{name}"] = rate(
                lambda d=dataset: through_h5py(d), BATCH, seconds
            )
    return rates


def main() -> None:
    """Run, print, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="time given to each number")
    parser.add_argument("--clips", type=int, default=200, help="of 300 frames, for the windows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        numbers = readers(arguments.clips, arguments.seconds, Path(folder))
        numbers |= convnets(arguments.threads, arguments.seconds, Path(folder))
    for name, value in numbers.items():
        print(f"{name:32} {value:12.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
