"""Flow stored as 8-bit images: error, bytes and speed, by codec.

Brox flow of videos at 320x240, on one thread. The error is the mean and the largest over all
components, in pixels, after clipping to the bound. Stacks are 10 consecutive flows from random
positions of an artifact, as the temporal stream reads them.

    python benchmarks/flow_storage.py --json flow_storage.json VIDEO ...
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm import artifacts
from video_lstm.flow.methods import compute_flow
from video_lstm.flow.storage import FlowStore, PartialFlow, encode
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video.clips import ClipName, write_rate
from video_lstm.video.decode import read_frames
from video_lstm.video.probe import probe

SIZE = (240, 320)
FLOWS, STACK, STACKS = 40, 10, 200


def clips_of(videos: list[Path]) -> Iterator[np.ndarray]:
    """Flow of the middle of each video, (N, 2, H, W) in pixels."""
    settings = FlowSettings(method="brox")
    for video in videos:
        first = max(0, probe(video).frames - FLOWS - 1) // 2
        count = min(FLOWS + 1, probe(video).frames)
        yield compute_flow(read_frames(video, first, count, size=SIZE, gray=True), settings)


def measure(clips: list[np.ndarray], codec: str, folder: Path) -> dict[str, float | str]:
    """The row of a codec."""
    settings = FlowSettings(codec=codec)
    path = folder / f"{codec}.h5"
    partial = PartialFlow(folder / "partial", codec)
    seconds = 0.0
    for clip in clips:
        start = time.perf_counter()
        images = encode(clip, settings)
        seconds += time.perf_counter() - start
        partial.append(images)
        partial.end_clip()
    with artifacts.create(path, "flow", artifacts.Provenance("benchmark", {}, "")) as file:
        partial.finish(file, [ClipName(f"{clip:05}.avi", 0) for clip in range(len(clips))])
        file.attrs.update({"height": SIZE[0], "width": SIZE[1], "bound": settings.bound})
        write_rate(file, 30.0)
        size = len(file["encoded"])
    partial.close(remove=True)
    store, count = FlowStore([path]), sum(map(len, clips))
    bounded = [np.clip(clip, -settings.bound, settings.bound) for clip in clips]
    errors = [abs(store.read_flow(n, 0, len(clip)) - clip) for n, clip in enumerate(bounded)]
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(clips), STACKS)
    firsts = [generator.integers(0, len(clips[row]) - STACK + 1) for row in rows]
    start = time.perf_counter()
    for row, first in zip(rows, firsts, strict=True):
        store.read_quantised(row, first, STACK)
    stacks = STACKS / (time.perf_counter() - start)
    return {
        "codec": f"jpeg {settings.jpeg_quality}" if codec == "jpeg" else codec,
        "bytes_per_flow": size / count,
        "error": sum(error.sum(dtype=np.float64) for error in errors) / sum(e.size for e in errors),
        "largest_error": float(max(error.max() for error in errors)),
        "encoded_per_s": count / seconds,
        "stacks_per_s": stacks,
    }


def main() -> None:
    """Measure and print, write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clips = [clip for clip in clips_of(options.videos) if len(clip) >= STACK]
    bound = FlowSettings().bound
    beyond = np.mean([np.mean(abs(clip) > bound) for clip in clips])
    print(f"{sum(map(len, clips))} flows; {100 * beyond:.2f}% of the components beyond the bound")
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(clips, codec, Path(folder)) for codec in ("png", "jpeg")]
    print(" ".join(f"{name:>14}" for name in rows[0]))
    for row in rows:
        values = (v if isinstance(v, str) else f"{v:.4f}"[:8] for v in row.values())
        print(" ".join(f"{value:>14}" for value in values))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
