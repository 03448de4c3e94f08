"""Dense optical flow between consecutive frames, with one of several methods.

A flow field is float32 (2, H, W) in pixels: channel 0 is u, positive to the right, channel 1 is v,
positive downwards; a point at (x, y) in a frame is at (x + u, y + v) in the next one.
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
_GPU_LOCK = Lock()  # threads decode and encode in parallel, but only one uses the GPU's memory
FramesFlow = Callable[[np.ndarray, FlowSettings, torch.device], np.ndarray]
"""Function of grey frames (N, H, W) uint8 that returns flow (N - 1, 2, H, W) float32."""


def brox(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Compute the flow of Brox et al. (2004), in batches."""
    flows = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)
    for start in range(0, len(flows), settings.batch_size):
        batch = torch.from_numpy(frames[start : start + settings.batch_size + 1, None])
        with _GPU_LOCK if device.type == "cuda" else nullcontext(), torch.inference_mode():
            batch = batch.to(device)
            batch_flows = brox_flow(batch[:-1], batch[1:], settings.brox).cpu()
        flows[start : start + len(batch_flows)] = batch_flows
    return flows


def dis(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Compute flow by dense inverse search (Kroeger et al. 2016), OpenCV's medium preset."""
    return _pairwise(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), frames)


def farneback(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Compute flow by polynomial expansion (Farnebäck 2003), with OpenCV's default parameters."""
    return _pairwise(cv2.FarnebackOpticalFlow.create(), frames)


def tvl1(frames: np.ndarray, settings: FlowSettings, device: torch.device) -> np.ndarray:
    """Compute dual TV-L1 flow (Zach et al. 2007), with OpenCV's default parameters."""
    return _pairwise(cv2.optflow.DualTVL1OpticalFlow.create(), frames)


def _pairwise(method: cv2.DenseOpticalFlow, frames: np.ndarray) -> np.ndarray:
    return np.stack([method.calc(*pair, None).transpose(2, 0, 1) for pair in pairwise(frames)])


METHODS: dict[str, FramesFlow] = {
    "brox": brox,
    "dis": dis,
    "farneback": farneback,
    "tvl1": tvl1,
}
"""Flow methods by their names in `FlowSettings.method`. Only `brox` uses the device."""

# DIS has patches of 8 x 8; OpenCV fails with an assertion on smaller frames.
_MIN_SIDE = 16


def compute_flow(
    frames: np.ndarray, settings: FlowSettings, device: torch.device = CPU
) -> np.ndarray:
    """Compute the flow from each frame to the next.

    For results that do not depend on the number of threads, call `cv2.setNumThreads(1)` first and
    run several calls in parallel: OpenCV's DIS cuts a frame into one stripe per thread, and its
    result depends on the cut. `torch.set_num_threads(1)` keeps Brox on its thread's core.

    Args:
        frames: (N, H, W) grey or (N, H, W, 3) RGB, uint8, N >= 1.
        settings: Flow method and its parameters.
        device: Device of the method `brox`.

    Returns:
        Flow in pixels, (N - 1, 2, H, W) float32.

    Raises:
        ValueError: The frames have another dtype or shape, or are smaller than 16 x 16.
    """
    is_colour = frames.ndim == 4 and frames.shape[3] == 3
    if frames.dtype != np.uint8 or not (is_colour or frames.ndim == 3) or len(frames) == 0:
        raise ValueError(
            f"expected uint8 frames (N, H, W[, 3]), found {frames.dtype} {frames.shape}"
        )
    height, width = frames.shape[1:3]
    if min(height, width) < _MIN_SIDE:
        raise ValueError(f"expected frames of at least 16x16 for flow, found {width}x{height}")
    if len(frames) == 1:
        return np.empty((0, 2, height, width), np.float32)
    grey = np.stack([_grey(frame) for frame in frames])
    return METHODS[settings.method](grey, settings, device)


def _grey(frame: np.ndarray) -> np.ndarray:
    """Convert a grey or RGB frame to contiguous grey values, (H, W) uint8."""
    frame = np.ascontiguousarray(frame)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame
