"""Decoding: frames per second of ours, OpenCV's reader, PyAV's own RGB, and an ffmpeg pipe.

Side by side on this machine, in turn, several rounds; medians. Each reads a whole file to RGB (BGR
for OpenCV) in one process that is held to one core, the ffmpeg program too; then ours and OpenCV's
in two processes on two cores. `codec` decodes without conversion: the bound of all. Without files,
two are made: MPEG-4 in AVI, 320x240, and H.264.

    python benchmarks/decode.py --json decode.json [VIDEO ...]
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from video_lstm.video.decode import iter_frames, read_frames
from video_lstm.video.ffmpeg_program import ffmpeg_program
from video_lstm.video.probe import probe
from video_lstm.video.source import DecodeErrors, decode_frames, open_video


def ours(path: Path) -> int:
    """Frames at their own size, as RGB."""
    return sum(1 for _ in iter_frames(path))


def ours_array(path: Path) -> int:
    """The same, as one array."""
    return len(read_frames(path))


def ours_resized(path: Path) -> int:
    """Frames that cover 240x320, of which the central 224x224: the input of a convnet."""
    return sum(1 for _ in iter_frames(path, size=(240, 320), crop=(224, 224)))


def ours_resized_array(path: Path) -> int:
    """The same, as one array, as percepts read them."""
    return len(read_frames(path, size=(240, 320), crop=(224, 224)))


def codec(path: Path) -> int:
    """Frames as the codec stores them."""
    with open_video(path) as (container, stream):
        return sum(1 for _ in decode_frames(container, stream, DecodeErrors()))


def ours_grey(path: Path) -> int:
    """Luma."""
    return sum(1 for _ in iter_frames(path, gray=True))


def opencv(path: Path) -> int:
    """OpenCV's reader."""
    capture, count = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), 0
    while capture.read()[0]:
        count += 1
    return count


def opencv_resized(path: Path) -> int:
    """OpenCV's reader, with resizing and cutting by hand."""
    capture, count = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), 0
    while True:
        success, frame = capture.read()
        if not success:
            return count
        scale = max(240 / frame.shape[0], 320 / frame.shape[1])
        size = (max(320, round(frame.shape[1] * scale)), max(240, round(frame.shape[0] * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        frame = cv2.resize(frame, size, interpolation=method)
        top, left = (size[1] - 224) // 2, (size[0] - 224) // 2
        cv2.cvtColor(frame[top : top + 224, left : left + 224], cv2.COLOR_BGR2RGB)
        count += 1


def pyav(path: Path) -> int:
    """PyAV's conversion, as its documentation shows it."""
    count = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")
            count += 1
    return count


def ffmpeg_pipe(path: Path) -> int:
    """Raw frames from the ffmpeg program."""
    command = [ffmpeg_program(), "-v", "error", "-i", str(path), "-fps_mode", "passthrough",
               "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]  # fmt: skip
    info = probe(path)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        count = 0
        while process.stdout and process.stdout.read(info.width * info.height * 3):
            count += 1
    return count


READERS = (
    *(codec, ours, opencv, ours_array, ours_resized, opencv_resized, ours_resized_array),
    *(ours_grey, pyav, ffmpeg_pipe),
)
# Those whose rates are compared, round by round.
PEERS = {
    "ours": "opencv",
    "codec": "opencv",
    "ours_array": "ours",
    "ours_resized": "opencv_resized",
    "ours_resized_array": "opencv_resized",
}


def measure_rate(read: Callable[[Path], int], path: Path, frames: int, seconds: float) -> float:
    """Frames per second of whole reads, for about so long."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += read(path)
    assert count % frames == 0, (read.__name__, count, frames)
    return count / (time.perf_counter() - start)


def _work(read: Callable[[Path], int], path: Path, frames: int, seconds: float, core: int) -> float:
    os.sched_setaffinity(0, {core})
    cv2.setNumThreads(1)
    return measure_rate(read, path, frames, seconds)


def measure(path: Path, rounds: int, seconds: float) -> dict[str, float]:
    """Medians of frames per second of every reader, and of pairs of processes."""
    frames = probe(path).frames
    cores = sorted(os.sched_getaffinity(0))
    single: dict[str, list[float]] = {read.__name__: [] for read in READERS}
    double: dict[str, list[float]] = {"ours": [], "opencv": []}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for _ in range(rounds):
            for read in READERS:
                task = (read, path, frames, seconds, cores[0])
                single[read.__name__].append(pool.apply(_work, task))
            for read in (ours, opencv):
                tasks = [(read, path, frames, seconds, core) for core in cores[:2]]
                double[read.__name__].append(sum(pool.starmap(_work, tasks, chunksize=1)))
    result = {f"{name}_frames_per_second": statistics.median(v) for name, v in single.items()}
    for name, values in double.items():
        result[f"{name}_2_processes_frames_per_second"] = statistics.median(values)
        pairs = zip(values, single[name], strict=True)
        result[f"{name}_2_processes_gain"] = statistics.median(two / one for two, one in pairs)
    for name, peer in PEERS.items():
        pairs = zip(single[name], single[peer], strict=True)
        result[f"{name}_over_{peer}"] = statistics.median(a / b for a, b in pairs)
    return result


def make_videos(folder: Path) -> list[Path]:
    """Make two videos of 12 s."""
    source = "testsrc2=size=320x240:rate=25:duration=12,noise=alls=8:allf=t"
    paths = []
    for name, codec in (("mpeg4_320x240.avi", "libxvid"), ("h264_320x240.mp4", "libx264")):
        command = [ffmpeg_program(), "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt",
                   "yuv420p", "-c:v", codec, "-b:v", "500k", str(folder / name)]  # fmt: skip
        subprocess.run(command, check=True)
        paths.append(folder / name)
    return paths


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="per reader and round")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.videos or make_videos(Path(folder)):
            results[path.name] = measure(path, arguments.rounds, arguments.seconds)
            print(path.name)
            for name, value in results[path.name].items():
                print(f"  {name:44}{value:10.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
