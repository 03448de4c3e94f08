"""Compare the peephole LSTM with torch.nn.LSTM, forward and backward.

Contenders: `peephole` (ours), `torch.nn.LSTM`, which has no peepholes, a naive loop over the steps
(ours, backend "reference"), and the time for the layer's matrix products alone at the peak rate of
the machine for a large product. Runs are interleaved, so that other load affects all contenders,
and medians are compared. The ratio is how many times faster `peephole` is.

torch.nn.LSTM always computes the gradient of its input; `peephole` is timed with and without it,
since a first layer on percepts does not need it. On a CPU with bfloat16 instructions they are timed
under autocast to bfloat16, too, and compared with `torch.nn.LSTM` in bfloat16 and in float32. If
there is a GPU all contenders run on it, in tf32 and under autocast to bfloat16, as CUDA graphs like
in training; memory is the allocator's peak.

    python benchmarks/lstm.py --json lstm.json
"""

import argparse
import itertools
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))
from video_lstm.models.lstm import PeepholeLSTM
from video_lstm.models.matmul import product
from video_lstm.precision import has_fast_bfloat16
from video_lstm.training.cuda_graphs import capture_cuda_graph

INPUT_SIZE, STEPS = 4096, 16
CASES = [(512, 32), (512, 100), (2048, 32), (2048, 100)]
"""Hidden size and batch size."""
TORCH_FLOAT32 = "torch.nn.LSTM, float32"

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
FULL_PRECISION = "tf32" if DEVICE.type == "cuda" else "float32"
PRECISIONS = (FULL_PRECISION, "bfloat16") if has_fast_bfloat16(DEVICE) else (FULL_PRECISION,)


def contender(name: str, hidden_size: int) -> nn.Module:
    """Return the layer of a contender."""
    if name.startswith("torch.nn.LSTM"):
        return nn.LSTM(INPUT_SIZE, hidden_size).to(DEVICE)
    backend = "reference" if name == "naive loop" else "auto"
    return PeepholeLSTM(INPUT_SIZE, hidden_size, backend=backend).to(DEVICE)


def precision_of(name: str, precision: str) -> str:
    """Return the precision in which a contender runs."""
    return "float32" if name == TORCH_FLOAT32 else precision


def now() -> float:
    """Return the time in seconds after the device has finished its work."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def one_pass(
    layer: nn.Module, x: torch.Tensor, weights: torch.Tensor, precision: str = FULL_PRECISION
) -> torch.Tensor:
    """Run forward and backward; return the outputs."""
    x.grad = None
    layer.zero_grad()
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16"):
        outputs = layer(x)[0]
    outputs.backward(weights.to(outputs.dtype))
    return outputs.detach()


def seconds(run_pass: Callable[[], torch.Tensor]) -> float:
    """Return the duration of a pass."""
    start = now()
    run_pass()
    return now() - start


def products_seconds(hidden_size: int, batch: int, input_gradient: bool, precision: str) -> float:
    """Return the time for the layer's matrix products at the peak rate of a large product."""
    side = 3072 if DEVICE.type == "cpu" else 8192
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = torch.randn(2, side, side, dtype=dtype, device=DEVICE)
    best = math.inf
    for _ in range(5):
        for multiply in (torch.mm, product):
            start = now()
            multiply(a, b)
            best = min(best, now() - start)
    input_products = STEPS * INPUT_SIZE * (3 if input_gradient else 2)
    state_products = (STEPS - 1) * hidden_size * 3
    multiplications = batch * 4 * hidden_size * (input_products + state_products)
    return best * multiplications / side**3


def high_water_mb() -> float:
    """Return the peak memory of this process (getrusage would include its parent's on Linux)."""
    if DEVICE.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def peak_mb(name: str, hidden_size: int, batch: int, input_gradient: bool, precision: str) -> float:
    """Return the peak memory in MB that one pass adds to a process."""
    torch.manual_seed(0)
    layer = contender(name, hidden_size)
    x = torch.randn(STEPS, batch, INPUT_SIZE, device=DEVICE, requires_grad=input_gradient)
    weights = torch.ones(STEPS, batch, hidden_size, device=DEVICE)
    product(torch.ones(1024, 1024), torch.ones(1024, 1024))
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = high_water_mb()
    one_pass(layer, x, weights, precision)
    return high_water_mb() - before


def run_case(
    hidden_size: int, batch: int, input_gradient: bool, precision: str, repeats: int
) -> list[dict]:
    """Benchmark one size; return a row per contender."""
    allow_tf32(precision)
    names = ["peephole", "torch.nn.LSTM", "naive loop"]
    if DEVICE.type == "cpu" and precision == "bfloat16":
        names.append(TORCH_FLOAT32)
    layers = [contender(name, hidden_size) for name in names]
    x = torch.randn(STEPS, batch, INPUT_SIZE, device=DEVICE, requires_grad=input_gradient)
    weights = torch.randn(STEPS, batch, hidden_size, device=DEVICE)
    passes = [
        partial(one_pass, layer, x, weights, precision_of(name, precision))
        for name, layer in zip(names, layers, strict=True)
    ]
    if DEVICE.type == "cuda":  # as training steps are
        passes = [capture_cuda_graph(run_pass) for run_pass in passes]
    times: dict[str, list[float]] = {name: [] for name in (*names, "matrix products")}
    for repeat in range(repeats + 1):
        for name, run_pass in zip(names, passes, strict=True):
            duration = seconds(run_pass)
            if repeat:  # the first run is a warm-up
                times[name].append(duration)
        if repeat:
            bound = products_seconds(hidden_size, batch, input_gradient, precision)
            times["matrix products"].append(bound)
    case = (hidden_size, batch, input_gradient, precision)
    if DEVICE.type == "cuda":
        del layers, passes, run_pass, x, weights
        peaks = {name: peak_mb(name, *case) for name in names}
    else:  # the peak of a process never falls, so each contender runs in a new process
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            peaks = {
                name: pool.apply(peak_mb, (name, *case[:3], precision_of(name, precision)))
                for name in names
            }
    median = {name: statistics.median(values) for name, values in times.items()}
    return [
        {
            "contender": "peephole",
            "against": name,
            "case": f"H {hidden_size}, D {INPUT_SIZE}, T {STEPS}, batch {batch}",
            "input_gradient": input_gradient,
            "precision": precision,
            "seconds": median["peephole"],
            "ratio": median[name] / median["peephole"],
            "peak_mb": peaks["peephole"],
            "against_peak_mb": peaks.get(name),
        }
        for name in times
        if name != "peephole"
    ]


def allow_tf32(precision: str) -> None:
    """Set whether float32 products on a GPU, cuDNN's LSTM included, may use tf32."""
    if DEVICE.type == "cuda":
        for backend in (torch.backends.cuda.matmul, torch.backends.cudnn.rnn):
            backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the rows to a JSON file"
    )
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of each (default 7)")
    parser.add_argument("--hidden-size", type=int, help="run only the cases of this hidden size")
    options = parser.parse_args()
    torch.manual_seed(0)
    gpu = DEVICE.type == "cuda"
    machine = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {machine}")
    print(f"{'case':36} {'input grad':10} {'seconds':>8} {'against':22} {'ratio':>5} {'MB':>11}")
    rows = []
    for precision, (hidden_size, batch) in itertools.product(PRECISIONS, CASES):
        if options.hidden_size not in (None, hidden_size):
            continue
        print(precision)
        for input_gradient in (True, False):
            for row in run_case(hidden_size, batch, input_gradient, precision, options.repeats):
                peak = row["against_peak_mb"]
                memory = f"{row['peak_mb']:.0f}" + (f" / {peak:.0f}" if peak else "")
                print(
                    f"{row['case']:36} {'yes' if input_gradient else 'no':10} "
                    f"{row['seconds']:8.3f} {row['against']:22} {row['ratio']:5.2f} {memory:>11}",
                    flush=True,
                )
                rows.append(row)
    for precision, against, input_gradient in itertools.product(
        PRECISIONS, ("torch.nn.LSTM", TORCH_FLOAT32), (True, False)
    ):
        ratios = [
            row["ratio"]
            for row in rows
            if (row["precision"], row["against"], row["input_gradient"])
            == (precision, against, input_gradient)
        ]
        if ratios:
            word = "with" if input_gradient else "without"
            print(
                f"{precision} against {against} {word} the input's gradient: "
                f"geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}"
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
