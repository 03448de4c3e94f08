"""Check and time everything that runs on an NVIDIA GPU, in at most 8 minutes.

Runs the tests of the CUDA path; times the LSTM against cuDNN, Brox flow and percepts; and trains
the four encoder-decoders of Table 2 that predict the future of Moving MNIST, at the paper's size,
for a few hundred steps. Needs a GPU and the locked packages from PyPI.

    python benchmarks/gpu_check.py --json gpu.json --table gpu.md

`--dry-run` does the same at tiny sizes on a CPU, as a test of this script.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import flow as flow_benchmark
import h5py
import lstm as lstm_benchmark
import numpy as np
import torch
import yaml
from known_motion import endpoint_error

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm.percepts.extract import open_backend
from video_lstm.settings.percepts import BroxSettings, PerceptSettings

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = {
    "future_predictor": 350.2,
    "composite": 344.9,
    "conditional_future_predictor": 343.5,
    "composite_conditional_future": 341.2,
}
"""Error of the future in the paper's Table 2, in nats/frame."""
Row = dict[str, str | float | None]


def run_tests(dry_run: bool) -> list[Row]:
    """Run the tests that need a GPU; return a row with the numbers of passed and failed ones."""
    command = [sys.executable, "-m", "pytest", "-q", "-k", "cuda or gpu", "-p", "no:cacheprovider"]
    command += ["tests/test_gpus.py"]
    command += [] if dry_run else ["tests/models", "tests/flow", "tests/training"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-3000:])
    return [{"what": "tests of the CUDA path", "result": done.stdout.strip().splitlines()[-1]}]


def time_lstm(dry_run: bool) -> list[Row]:
    """Time a layer against torch.nn.LSTM, in each precision of the device."""
    cases = [(16, 4)] if dry_run else lstm_benchmark.CASES
    rows: list[Row] = []
    for precision in lstm_benchmark.PRECISIONS[: 1 if dry_run else None]:
        for hidden_size, batch in cases:
            repeats = 2 if dry_run else 7
            case = lstm_benchmark.run_case(hidden_size, batch, False, precision, repeats)
            [row] = [row for row in case if row["against"] == "torch.nn.LSTM"]
            what = f"LSTM, {hidden_size} units, batch {batch}, {precision}, times torch.nn.LSTM"
            rows.append({"what": what, "result": row["ratio"], "aim": 1.0})
    return rows


def time_flow(dry_run: bool) -> list[Row]:
    """Time Brox flow on photographs moved by known motions; return its rate and error."""
    count = 2 if dry_run else 64
    pairs = list(flow_benchmark.known_pairs(flow_benchmark.pictures_of([], 3)))
    pairs = (pairs * count)[:count]
    settings = BroxSettings()
    on_gpu = lstm_benchmark.DEVICE.type == "cuda"
    compute = (flow_benchmark.brox_on_gpu if on_gpu else flow_benchmark.brox_on_cpu)(settings)
    flows = compute(pairs)
    rate = count / fastest(lambda: compute(pairs), dry_run)
    error = statistics.mean(endpoint_error(*pair) for pair in zip(flows, pairs, strict=True))
    return [
        {"what": "Brox flow, 320x240, pairs/s", "result": rate, "aim": 1000.0},
        {"what": "Brox flow, endpoint error in pixels", "result": error},
    ]


def time_percepts(dry_run: bool, folder: Path) -> list[Row]:
    """Time the default network in PyTorch, frames in the CPU's memory."""
    count = 4 if dry_run else 512
    settings = PerceptSettings(backend="torch")
    backend = open_backend(settings, lstm_benchmark.DEVICE, 2, folder)
    side = settings.crop_size
    frames = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    rate = count / fastest(lambda: backend.compute(frames), dry_run)
    return [{"what": f"percepts ({settings.network}), frames/s", "result": rate}]


def fastest(work: Callable[[], object], dry_run: bool) -> float:
    """Return the shortest duration in seconds of several runs, after one to warm up."""
    work()
    durations = []
    for _ in range(1 if dry_run else 5):
        start = lstm_benchmark.now()
        work()
        durations.append(lstm_benchmark.now() - start)
    return min(durations)


def train_variants(dry_run: bool, steps: int, digits: str, folder: Path) -> list[Row]:
    """Train the models of Table 2 on Moving MNIST for `steps` steps; return their test errors."""
    paper = yaml.safe_load((ROOT / "configs/paper.yaml").read_text())["pretraining"]["mnist"]
    mnist: dict[str, object] = {"source": digits, "num_test_sequences": 512}
    paper["training"] |= {"steps": steps, "warmup_steps": steps // 10}
    if dry_run:
        mnist |= {"image_size": 32, "digit_size": 14, "num_test_sequences": 4}
        paper |= {"hidden_size": 8}
        paper["training"] |= {"batch_size": 4, "precision": "float32"}
    test = folder / "test.h5"
    call("render_moving_mnist", "--mnist", mnist, "--frames", 20, "--seed", 1, "--output", test)
    sequences = {name: value for name, value in mnist.items() if name != "num_test_sequences"}
    rows: list[Row] = []
    for variant, published in list(VARIANTS.items())[: 1 if dry_run else None]:
        model, predicted = folder / f"{variant}.h5", folder / f"{variant}_errors.h5"
        start = time.perf_counter()
        call(
            "pretrain", "--variant", variant, "--source", "mnist", "--mnist", sequences,
            "--model", paper, "--seed", 1, "--output", model, "--checkpoints", folder,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        call("measure_predictions", "--pretrained", model, "--test", test, "--output", predicted)
        with h5py.File(predicted) as file:
            error = float(file.attrs["future_cross_entropy"])
        what = f"Moving MNIST, {variant}, {steps} steps in {seconds:.0f} s, nats/frame"
        rows.append({"what": what, "result": error, "paper": published})
    return rows


def call(script: str, *options: object) -> None:
    """Run a script of the workflow; sections of the settings are passed as JSON."""
    words = [json.dumps(word) if isinstance(word, dict) else str(word) for word in options]
    subprocess.run([sys.executable, ROOT / f"workflow_scripts/{script}.py", *words], check=True)


def write_table(rows: list[Row], machine: str, path: Path) -> None:
    """Write the rows as a Markdown table for docs/reproduction.md."""
    lines = [f"{machine}:", "", "| | measured | aim | paper |", "|---|---|---|---|"]
    for row in rows:
        cells = [row.get(name) for name in ("result", "aim", "paper")]
        words = [f"{cell:.4g}" if isinstance(cell, float) else str(cell or "") for cell in cells]
        lines.append(f"| {row['what']} | {' | '.join(words)} |")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run all parts; write JSON and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    parser.add_argument("--table", type=Path, default=Path("gpu.md"))
    parser.add_argument("--steps", type=int, default=400, help="training steps (default 400)")
    parser.add_argument("--mnist", default="sklearn", help="folder of the MNIST files")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, also without a GPU")
    options = parser.parse_args()
    if not options.dry_run and not torch.cuda.is_available():
        sys.exit("gpu_check: expected an NVIDIA GPU, found none; --dry-run checks the script alone")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU (dry run)"
    machine = f"{gpu}, PyTorch {torch.__version__}"
    steps = 2 if options.dry_run else options.steps
    start = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (
            lambda: run_tests(options.dry_run),
            lambda: time_lstm(options.dry_run),
            lambda: time_flow(options.dry_run),
            lambda: time_percepts(options.dry_run, folder),
            lambda: train_variants(options.dry_run, steps, options.mnist, folder),
        ):
            for row in part():
                print(*row.values(), flush=True)
                rows.append(row)
            # After every part, so that an interrupted check leaves what it has measured.
            content = {"machine": machine, "seconds": time.perf_counter() - start, "rows": rows}
            options.json.write_text(json.dumps(content, indent=1) + "\n")
            write_table(rows, machine, options.table)
    tests = str(rows[0]["result"])
    if "failed" in tests or "error" in tests:
        sys.exit(f"gpu_check: expected all tests of the CUDA path to pass, found: {tests}")


if __name__ == "__main__":
    main()
