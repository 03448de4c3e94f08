"""Dense optical flow between consecutive frames, by any of several methods.

A flow is float32 (2, H, W) in pixels: channel 0 is u, positive to the right, channel 1 is v,
positive downwards; what is at (x, y) in a frame is at (x + u, y + v) in the next one.
"""

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from threading import Lock

import cv2
import numpy as np
import torch

from video_lstm.flow.brox import brox_flow
from video_lstm.settings.percepts import FlowSettings

CPU = torch.device("cpu")
_DEVICE = Lock()  # threads decode and encode in parallel, but only one uses the GPU's memory
FramesFlow = Callable[[np.ndarray, FlowSettings, torch.device], np.ndarray]
"""Grey frames (N, H, W) uint8 to the flow (N - 1, 2, H, W) float32 from each to the next."""


def brox(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Brox et al. (2004), ours, in batches."""
    flows = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    for start in range(0, len(flows), settings.batch_size):
        batch = torch.from_numpy(frames[start : start + settings.batch_size + 1, None])
        with _DEVICE if device.type == "cuda" else nullcontext(), torch.inference_mode():
            batch = batch.to(device)
            batch_flows = brox_flow(batch[:-1], batch[1:], settings.brox).cpu()
        flows[start : start + len(batch_flows)] = batch_flows
    return flows


def dis(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset."""
    return _pairwise(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), frames)


def farneback(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Polynomial expansion (Farnebäck 2003), with the parameters of OpenCV's class."""
    return _pairwise(cv2.FarnebackOpticalFlow.create(), frames)


def tvl1(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Dual TV-L1 (Zach et al. 2007), with the parameters of OpenCV's class."""
    return _pairwise(cv2.optflow.DualTVL1OpticalFlow.create(), frames)


def _pairwise(method: cv2.DenseOpticalFlow, frames: np.ndarray) -> np.ndarray:
    return np.stack([method.calc(*pair, None).transpose(2, 0, 1) for pair in pairwise(frames)])


METHODS: dict[str, FramesFlow] = {
    "brox": brox,
    "dis": dis,
    "farneback": farneback,
    "tvl1": tvl1,
}
"""By the names of `FlowSettings.method`. Only `brox` looks at the device."""

# DIS needs room for its patches of 8 x 8; OpenCV stops with an assertion on smaller frames.
_SMALLEST = 16


def compute_flow(
    frames: np.ndarray, settings: FlowSettings, device: torch.device = CPU
) -> np.ndarray:
    """Flow from each frame to the next.

    To get the same bytes whatever the number of threads, call `cv2.setNumThreads(1)` first and run
    several calls at once: OpenCV's DIS cuts a frame into as many stripes as it has threads, and
    its result depends on the cut. `torch.set_num_threads(1)` keeps Brox on its thread's core.

    Args:
        frames: (N, H, W) grey or (N, H, W, 3) RGB, uint8, N >= 1.
        settings: Flow method and its parameters.
        device: Device of the method `brox`.

    Returns:
        (N - 1, 2, H, W) float32, in pixels.

    Raises:
        ValueError: The frames have another type or shape, or are smaller than 16 x 16.
    """
    colour = frames.ndim == 4 and frames.shape[3] == 3
    if frames.dtype != np.uint8 or not (colour or frames.ndim == 3) or len(frames) == 0:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, not uint8 (N, H, W[, 3])")
    height, width = frames.shape[1:3]
    if min(height, width) < _SMALLEST:
        raise ValueError(f"frames of {width}x{height} are too small for flow; at least 16x16")
    if len(frames) == 1:
        return np.empty((0, 2, height, width), np.float32)
    grey = np.stack([_grey(frame) for frame in frames])
    return METHODS[settings.method](grey, settings, device)


def _grey(frame: np.ndarray) -> np.ndarray:
    frame = np.ascontiguousarray(frame)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame
