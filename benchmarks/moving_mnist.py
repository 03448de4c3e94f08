"""Moving MNIST: batches of the vectorised generator against a loop over the sequences.

The loop is what the released code and most copies of it do: for each sequence, digit and frame, put
the digit into the frame. Both generate the paper's batches (64 x 64 pixels, 2 digits, 20 frames) on
one CPU thread, alternating; the best time counts. With a GPU its rate is reported too.

    python benchmarks/moving_mnist.py --json runs/moving_mnist.json
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm.sequences.digits import load_digits
from video_lstm.sequences.moving_mnist import MovingMNIST, sample_trajectories
from video_lstm.settings.sequences import MNISTSettings

FRAMES = 20


def loop(digits: np.ndarray, settings: MNISTSettings, seed: int, size: int) -> np.ndarray:
    """A batch drawn sequence by sequence, (FRAMES, size, side, side) float32 in [0, 1].

    The places are worked out for all sequences at once, as the released code does.
    """
    side, d = settings.image_size, settings.digit_size
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(digits), size=(size, settings.num_digits))
    places = sample_trajectories(rng, size, FRAMES, settings)
    batch = np.zeros((FRAMES, size, side, side), np.float32)
    for sequence in range(size):
        for digit in range(settings.num_digits):
            image = digits[chosen[sequence, digit]]
            for frame in range(FRAMES):
                row, column = places[frame, sequence, digit]
                window = batch[frame, sequence, row : row + d, column : column + d]
                np.maximum(window, image, out=window)
    return batch


def best(*makers: Callable[[int], object], repeats: int) -> list[float]:
    """Least seconds of each, called in turns so that a busy moment hits all alike."""
    times: list[list[float]] = [[] for _ in makers]
    for step in range(repeats + 1):
        for maker, taken in zip(makers, times, strict=True):
            start = time.perf_counter()
            maker(step)
            taken.append(time.perf_counter() - start)
    return [min(taken[1:]) for taken in times]


def main() -> None:
    """Measure, print, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--source", default="sklearn", help="as the setting mnist.source")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings, size = MNISTSettings(), arguments.batch
    digits, _ = load_digits(arguments.source)
    stream = MovingMNIST(digits, settings, FRAMES, seed=0)
    scaled = np.float32(digits / 255)
    ours, theirs = best(
        lambda step: stream.batch(step, size),
        lambda step: loop(scaled, settings, step, size),
        repeats=arguments.repeats,
    )
    results = {
        "batch": size,
        "generator_sequences_per_second": size / ours,
        "loop_sequences_per_second": size / theirs,
        "ratio": theirs / ours,
    }
    if torch.cuda.is_available():
        stream = MovingMNIST(digits, settings, FRAMES, seed=0, device="cuda")

        def on_gpu(step: int) -> None:
            stream.batch(step, size)
            torch.cuda.synchronize()

        (seconds,) = best(on_gpu, repeats=arguments.repeats)
        results["gpu"] = torch.cuda.get_device_name()
        results["gpu_milliseconds_per_batch"] = 1000 * seconds
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
