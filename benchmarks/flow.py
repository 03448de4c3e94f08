"""Optical flow: pairs per second and endpoint error of our Brox and OpenCV's methods.

The pairs are frames of videos (or scikit-learn's two sample photographs), moved by known motions at
320x240, half of them noisy (known_motion.py). The videos of every second file, in order of name,
were used to tune Brox; the others (`--pairs held-out`, the default) were not.

All methods run with one thread per core, each on different pairs. Rounds are interleaved, so that
other load affects all methods, and medians are compared. Brox also runs on a GPU if there is one.

    python benchmarks/flow.py --json flow.json [VIDEO ...]
    python benchmarks/flow.py --picture flow.png VIDEO ...
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import cv2
import numpy as np
import torch
from known_motion import MOTIONS, Pair, endpoint_error, known_pair
from sklearn.datasets import load_sample_images

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm.flow.brox import brox_flow
from video_lstm.flow.methods import compute_flow
from video_lstm.settings.percepts import BroxSettings, FlowSettings
from video_lstm.video.decode import read_frames
from video_lstm.video.probe import probe

SIZE = (240, 320)
BATCH = 64
PRESETS = {"brox": BroxSettings(), "brox fast": BroxSettings.model_validate("fast")}
OPENCV: dict[str, Callable[[], cv2.DenseOpticalFlow]] = {
    "deepflow": cv2.optflow.createOptFlow_DeepFlow,
    "tvl1": cv2.optflow.DualTVL1OpticalFlow.create,
    "dis": lambda: cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
    "farneback": cv2.FarnebackOpticalFlow.create,
}

Contender = Callable[[list[Pair]], list[np.ndarray]]


def in_threads(calculate: Callable[[Pair], np.ndarray]) -> Contender:
    """Pairs side by side, one to a thread."""
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    return lambda pairs: list(pool.map(calculate, pairs))


def brox_on_cpu(settings: BroxSettings) -> Contender:
    """Ours, as extract_flow calls it."""
    chosen = FlowSettings(method="brox", brox=settings)
    return in_threads(lambda pair: compute_flow(np.stack([pair.first, pair.second]), chosen)[0])


def brox_on_gpu(settings: BroxSettings) -> Contender:
    """Ours, in batches; pairs come from the CPU's memory and the flow goes back there."""

    def calculate(pairs: list[Pair]) -> list[np.ndarray]:
        flows: list[np.ndarray] = []
        for start in range(0, len(pairs), BATCH):
            frames = np.stack([(p.first, p.second) for p in pairs[start : start + BATCH]])
            batch = torch.from_numpy(frames).cuda()
            flows += brox_flow(batch[:, :1], batch[:, 1:], settings).cpu().numpy()
        return flows

    return calculate


def opencv(make: Callable[[], cv2.DenseOpticalFlow]) -> Contender:
    """OpenCV's; an object belongs to a thread."""
    own = local()

    def calculate(pair: Pair) -> np.ndarray:
        if not hasattr(own, "method"):
            own.method = make()
        return own.method.calc(pair.first, pair.second, None).transpose(2, 0, 1)

    return in_threads(calculate)


def pictures_of(videos: list[Path], count: int) -> list[list[np.ndarray]]:
    """Grey frames, evenly over each video."""
    if not videos:
        photographs = load_sample_images().images
        return [[cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)] * count for image in photographs]
    pictures = []
    for video in videos:
        frames = probe(video).frames
        at = [frames * (2 * n + 1) // (2 * count) for n in range(count)]
        pictures.append([read_frames(video, first, 1, gray=True)[0] for first in at])
    return pictures


def known_pairs(pictures: list[list[np.ndarray]]) -> Iterator[Pair]:
    """Every motion on every video, without noise and with it."""
    for index, frames in enumerate(pictures):
        squares = pictures[(index + 1) % len(pictures)]
        for kind, motion in enumerate(MOTIONS):
            for noisy in (0, 1):
                at = (kind + noisy) % len(frames)
                seed = 100 * index + 10 * kind + noisy
                yield known_pair(motion, frames[at], squares[at - 1], seed, SIZE)


def measure(pairs: list[Pair], rounds: int) -> list[dict]:
    """A row per contender."""
    contenders = {name: brox_on_cpu(settings) for name, settings in PRESETS.items()}
    if torch.cuda.is_available():
        for name, settings in PRESETS.items():
            contenders[f"{name}, {torch.cuda.get_device_name()}"] = brox_on_gpu(settings)
    contenders |= {name: opencv(make) for name, make in OPENCV.items()}
    errors, rates = {}, {name: [] for name in contenders}
    for name, calculate in contenders.items():
        flows = calculate(pairs)  # compiles, too
        errors[name] = [endpoint_error(*both) for both in zip(flows, pairs, strict=True)]
    for part in range(rounds):
        for name, calculate in contenders.items():
            # TV-L1 takes seconds for a pair, and a GPU wants whole batches.
            count = 4 if name == "tvl1" else 4 * BATCH if ", " in name else 16
            sample = [pairs[(part * 16 + n) % len(pairs)] for n in range(count)]
            start = time.perf_counter()
            calculate(sample)
            rates[name].append(count / (time.perf_counter() - start))
    return [
        {
            "contender": name,
            "pairs_per_s": statistics.median(rates[name]),
            "epe": statistics.mean(errors[name]),
            "epe_by_motion": {
                motion: statistics.mean(
                    e for e, pair in zip(errors[name], pairs, strict=True) if pair.motion == motion
                )
                for motion in MOTIONS
            },
        }
        for name in contenders
    ]


def colours(flow: np.ndarray, longest: float) -> np.ndarray:
    """The usual colour code: hue is direction (red: right), saturation is length. RGB uint8."""
    length, angle = cv2.cartToPolar(flow[0], flow[1], angleInDegrees=True)
    saturation = np.clip(length / longest, 0, 1) * 255
    hsv = np.stack([angle / 2, saturation, np.full_like(angle, 255)], -1)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def draw(videos: list[Path], path: Path) -> None:
    """A row per video: a frame, and the flow to the next one by each method."""
    rows = []
    for video in videos:
        middle = probe(video).frames // 2
        frames = read_frames(video, middle, 2, size=SIZE)
        methods = [FlowSettings(method=name) for name in ("brox", "tvl1", "dis")]
        flows = [compute_flow(frames, chosen)[0] for chosen in methods]
        longest = max(1.0, float(np.percentile(np.hypot(*flows[0]), 99)))
        rows.append(np.hstack([frames[0], *(colours(flow, longest) for flow in flows)]))
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    """Measure and print, write JSON if asked to; or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    parser.add_argument("--pairs", choices=["held-out", "tuning"], default="held-out")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default 5)")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw flow, measure nothing")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.picture:
        draw(options.videos, options.picture)
        return
    chosen = sorted(options.videos)[options.pairs == "held-out" :: 2]
    pairs = list(known_pairs(pictures_of(chosen, 3)))
    print(f"{len(pairs)} pairs of {SIZE[1]}x{SIZE[0]}, {len(os.sched_getaffinity(0))} threads")
    rows = measure(pairs, options.rounds)
    deepflow = next(row for row in rows if row["contender"] == "deepflow")
    print(f"{'contender':20} {'pairs/s':>8} {'to DeepFlow':>11} {'error, px':>9}  by motion")
    for row in rows:
        ratio = row["pairs_per_s"] / deepflow["pairs_per_s"]
        motions = " ".join(f"{name} {error:.3f}" for name, error in row["epe_by_motion"].items())
        rate, error = row["pairs_per_s"], row["epe"]
        print(f"{row['contender']:20} {rate:8.2f} {ratio:11.2f} {error:9.3f}  {motions}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
