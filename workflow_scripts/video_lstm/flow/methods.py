"""Dense optical flow between consecutive frames, by any of several methods.

A flow is float32 (2, H, W) in pixels: channel 0 is u, positive to the right, channel 1 is v,
positive downwards; what is at (x, y) in a frame is at (x + u, y + v) in the next one.
"""

from collections.abc import Callable

import cv2
import numpy as np

from video_lstm.settings import FlowSettings

PairFlow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Grey frames (H, W) uint8, previous and next, to the flow (H, W, 2) float32 between them."""


def dis() -> PairFlow:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's medium preset."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda previous, following: method.calc(previous, following, None)


def farneback() -> PairFlow:
    """Polynomial expansion (Farnebäck 2003), with the parameters of OpenCV's class."""
    method = cv2.FarnebackOpticalFlow.create()
    return lambda previous, following: method.calc(previous, following, None)


def tvl1() -> PairFlow:
    """Dual TV-L1 (Zach et al. 2007), with the parameters of OpenCV's class."""
    method = cv2.optflow.DualTVL1OpticalFlow.create()
    return lambda previous, following: method.calc(previous, following, None)


METHODS: dict[str, Callable[[], PairFlow]] = {"dis": dis, "farneback": farneback, "tvl1": tvl1}
"""Makers of methods by the names of `FlowSettings.method`; what they make is for one thread."""

# DIS needs room for its patches of 8 x 8; OpenCV stops with an assertion on smaller frames.
_SMALLEST = 16


def compute_flow(frames: np.ndarray, settings: FlowSettings) -> np.ndarray:
    """Flow from each frame to the next.

    To get the same bytes whatever the number of threads, call `cv2.setNumThreads(1)` first and run
    several calls at once: OpenCV's DIS cuts a frame into as many stripes as it has threads, and
    its result depends on the cut.

    Args:
        frames: (N, H, W) grey or (N, H, W, 3) RGB, uint8, N >= 1.
        settings: which method.

    Returns:
        (N - 1, 2, H, W) float32, in pixels.

    Raises:
        ValueError: the frames have another type or shape, or are smaller than 16 x 16.
    """
    colour = frames.ndim == 4 and frames.shape[3] == 3
    if frames.dtype != np.uint8 or not (colour or frames.ndim == 3) or len(frames) == 0:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, not uint8 (N, H, W[, 3])")
    height, width = frames.shape[1:3]
    if min(height, width) < _SMALLEST:
        raise ValueError(f"frames of {width}x{height} are too small for flow; at least 16x16")
    pair_flow = METHODS[settings.method]()
    flows = np.empty((len(frames) - 1, 2, height, width), np.float32)
    following = _grey(frames[0])
    for index in range(len(frames) - 1):
        previous, following = following, _grey(frames[index + 1])
        flows[index] = pair_flow(previous, following).transpose(2, 0, 1)
    return flows


def _grey(frame: np.ndarray) -> np.ndarray:
    frame = np.ascontiguousarray(frame)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame
