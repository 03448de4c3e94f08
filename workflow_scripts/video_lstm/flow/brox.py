"""Optical flow of Brox, Bruhn, Papenberg & Weickert (2004), on batches of pairs, CPU or GPU.

With the grey values I of two frames and the flow w = (u, v), the algorithm minimises

    E(w) = integral  psi(|I2(x + w) - I1(x)|^2)
                   + psi(gamma |grad I2(x + w) - grad I1(x)|^2)
                   + alpha psi(|grad u|^2 + |grad v|^2),      psi(s^2) = sqrt(s^2 + epsilon^2),

from coarse to fine. On each level of a pyramid, the second frame is warped by the current flow, the
constancy terms are linearised about it, and the equations of the increment are solved by
fixed-point iterations over psi' (the paper's inner iterations), each followed by red-black SOR. As
in OpenCV's CUDA version there is one warp per level: the levels are the paper's outer iterations.

Departures, each of which lowered the endpoint error on pairs with known motion: the two constancy
terms have separate psi (Bruhn & Weickert 2005); each linear equation is divided by the length of
its gradient, so that residuals are in pixels and strong edges do not dominate (Zimmer et al. 2011);
derivatives are those of the mean of the first and the warped second frame; epsilon of the flow's
gradients is larger, so that rotation and zoom do not become steps; and each level ends with a
median filter (Sun et al. 2010). Alpha and gamma are in OpenCV's units; `_ALPHA_UNIT` and
`_GAMMA_UNIT` convert them to those of the equations.
"""

import math
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from video_lstm.flow import brox_cpu
from video_lstm.settings.percepts import BroxSettings

PRESMOOTHING = 0.8
"""Standard deviation in pixels of the Gaussian filter that smooths the frames."""
EPSILON = 0.01
"""Epsilon in the constancy terms, in pixels."""
EPSILON_SMOOTHNESS = 0.003
"""Epsilon in the smoothness term, in pixels per pixel."""
ZETA = 0.01
"""Gradients well below this value have less weight; in grey values of -1 .. 1 per pixel."""
OMEGA = 1.98
"""Relaxation factor of SOR. On pairs with known motion, 1.95 has an error that is 1.5% larger, and
1.99 changes it by 0.3%."""
MEDIAN = 5
"""Side of the median filter in pixels."""
_ALPHA_UNIT, _GAMMA_UNIT = 15.0, 1 / 15
_SMALLEST_SIDE = 16
"""Side in pixels below which no pyramid level is added."""

_TAPS = cv2.getGaussianKernel(2 * math.ceil(2.5 * PRESMOOTHING) + 1, PRESMOOTHING)[:, 0].tolist()


def brox_flow(
    first: Tensor, second: Tensor, settings: BroxSettings, *, reference: bool = False
) -> Tensor:
    """Compute the flow from first to second frames.

    Args:
        first: First frames, (B, 1, H, W) grey or (B, 3, H, W) RGB; real, finite, 0 .. 255.
        second: Second frames, same shape and device.
        settings: Weights of the terms and numbers of iterations.
        reference: Whether to run the plain PyTorch implementation instead of the compiled one.

    Returns:
        Flow in pixels, (B, 2, H, W) float32: u to the right, v downwards.
    """
    if first.shape != second.shape or first.ndim != 4 or first.shape[1] not in (1, 3):
        raise ValueError(
            "expected frames of one shape (B, 1 or 3, H, W), "
            f"found {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if first.device.type == "cpu" and not reference:
        return _compute_on_cpu(first, second, settings)
    is_compiled = first.device.type == "cuda" and not reference
    parts = _compile_parts() if is_compiled else (_linearise, _relax, _median)
    levels = _pyramid(_smooth(_grey(torch.cat([first, second]))), settings)
    flow = levels[-1].new_zeros(len(first), 2, *levels[-1].shape[2:])
    for level in reversed(levels):
        flow = _resize_flow(flow, *level.shape[2:])
        flow = solve_level(*level.chunk(2), flow, settings, parts)
    return flow


def _grey(frames: Tensor) -> Tensor:
    """Return the luma (ITU-R BT.601) of frames in -1 .. 1, (N, 1, H, W) float32."""
    frames = frames.float()
    if frames.shape[1] == 3:
        weights = frames.new_tensor([0.299, 0.587, 0.114])
        frames = (frames * weights[:, None, None]).sum(1, keepdim=True)
    return frames / 127.5 - 1


def _pyramid(frames: Tensor, settings: BroxSettings) -> list[Tensor]:
    """Return smoothed frames (N, 1, H, W) at all scales, the finest first."""
    height, width = frames.shape[2:]
    levels = [frames]
    while len(levels) < settings.outer_iterations:
        scale = settings.scale_factor ** len(levels)
        size = round(height * scale), round(width * scale)
        if min(size) < _SMALLEST_SIDE:
            break
        levels.append(F.interpolate(levels[-1], size, mode="bilinear", antialias=True))
    return levels


def _smooth(frames: Tensor) -> Tensor:
    """Smooth frames (N, 1, H, W) with a Gaussian filter, borders replicated."""
    radius = len(_TAPS) // 2
    for axis, border in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        size, padded = frames.shape[axis], F.pad(frames, border, mode="replicate")
        frames = sum(padded.narrow(axis, index, size) * tap for index, tap in enumerate(_TAPS))
    return frames


def _resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Resize flow (B, 2, h, w) to a level's size and scale its displacements accordingly."""
    factors = flow.new_tensor([width / flow.shape[3], height / flow.shape[2]])
    return F.interpolate(flow, (height, width), mode="bilinear") * factors[:, None, None]


# One level ------------------------------------------------------------------------------------


def solve_level(
    first: Tensor,
    second: Tensor,
    flow: Tensor,
    settings: BroxSettings,
    parts: tuple[Callable, Callable, Callable],
) -> Tensor:
    """Refine the flow on one pyramid level, with one warp.

    Args:
        first: Smoothed first frames, (B, 1, H, W) float32, in -1 .. 1.
        second: Smoothed second frames, same shape.
        flow: Initial flow, (B, 2, H, W), from the coarser level.
        settings: Weights of the terms and numbers of iterations.
        parts: `_linearise`, `_relax` and `_median`, compiled or not.

    Returns:
        (B, 2, H, W) float32.
    """
    linearise, relax, median = parts
    alpha, gamma = settings.alpha * _ALPHA_UNIT, settings.gamma * _GAMMA_UNIT
    start, equations = flow, linearise(first, second, flow, gamma)
    for _ in range(settings.inner_iterations):
        flow = relax(equations, start, flow, alpha, settings.solver_iterations)
    return median(flow)


def _linearise(first: Tensor, second: Tensor, flow: Tensor, gamma: float) -> Tensor:
    """Linearise the constancy terms in an increment of the flow (paper, equation 10).

    Returns:
        Coefficients of du, dv and 1 (dimension 2) in three residuals (dimension 1): I_z and the two
        components of grad I_z times sqrt(gamma), divided by the lengths of their gradients; 0 where
        the flow leaves the frame. (B, 3, 3, H, W) float32.
    """
    warped, inside = _warp(second, flow)
    mean, change = (first + warped) / 2, warped - first
    # Images along channels: I_x, I_y, I_z, and their derivatives in x and in y.
    images = torch.cat([_derivative(mean, 3), _derivative(mean, 2), change], 1)
    rows = torch.stack([images, _derivative(images, 3), _derivative(images, 2)], 1)
    lengths = (rows[:, :, :2].square().sum(2, keepdim=True) + ZETA**2).sqrt()
    weights = rows.new_tensor([1.0, gamma**0.5, gamma**0.5])[:, None, None, None]
    return rows * (weights * inside[:, None] / lengths)


def _warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Sample the image at x + w by cubic convolution; also return 1 where x + w is in the frame."""
    height, width = image.shape[2:]
    x = flow[:, 0] + torch.arange(width, device=flow.device)
    y = flow[:, 1] + torch.arange(height, device=flow.device)[:, None]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    warped = F.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return warped, inside[:, None].to(image.dtype)


def _derivative(image: Tensor, axis: int) -> Tensor:
    """Differentiate with the stencil (1, -8, 0, 8, -1) / 12, borders replicated."""
    size = image.shape[axis]
    padded = F.pad(image, (2, 2, 0, 0) if axis == 3 else (0, 0, 2, 2), mode="replicate")
    shifted = [padded.narrow(axis, shift, size) for shift in range(5)]
    return (8 * (shifted[3] - shifted[1]) - (shifted[4] - shifted[0])) / 12


def _relax(equations: Tensor, start: Tensor, flow: Tensor, alpha: float, iterations: int) -> Tensor:
    """Run one fixed-point iteration: psi' at the current flow, then SOR on the linear equations."""
    right, down = _diffusivities(flow, alpha)
    left, up = F.pad(right, (1, -1)), F.pad(down, (0, 0, 1, -1))

    du, dv = (flow - start).split(1, 1)
    a, b, c = equations.unbind(2)
    residual = a * du + b * dv + c
    gradient = residual[:, 1:2] ** 2 + residual[:, 2:3] ** 2
    squares = torch.cat([residual[:, :1] ** 2, gradient, gradient], 1)
    psi = (squares + EPSILON**2).rsqrt()
    a11, a12, a22, b1, b2 = (
        (psi * first * second).sum(1, keepdim=True)
        for first, second in ((a, a), (a, b), (b, b), (a, c), (b, c))
    )
    # The unknown is the whole flow, start + increment, because the whole flow is to be smooth.
    u, v = start.split(1, 1)
    constant = torch.cat([a11 * u + a12 * v - b1, a12 * u + a22 * v - b2], 1)
    # Inverse of a pixel's 2 x 2 block; the data's determinant is >= 0 except for rounding.
    weight = right + left + down + up
    determinant = (a11 * a22 - a12**2).clamp(min=0) + weight * (a11 + a22 + weight)
    to_u = torch.cat([a22 + weight, -a12], 1) / determinant
    to_v = torch.cat([-a12, a11 + weight], 1) / determinant

    rows, columns = (torch.arange(size, device=flow.device) for size in flow.shape[2:])
    is_red = (rows[:, None] + columns) % 2 == 0
    for half_sweep in range(2 * iterations):
        padded = F.pad(flow, (1, 1, 1, 1))
        right_side = (
            constant
            + left * padded[..., 1:-1, :-2]
            + right * padded[..., 1:-1, 2:]
            + up * padded[..., :-2, 1:-1]
            + down * padded[..., 2:, 1:-1]
        )
        solved = torch.cat(
            [(to_u * right_side).sum(1, keepdim=True), (to_v * right_side).sum(1, keepdim=True)], 1
        )
        is_updated = is_red if half_sweep % 2 == 0 else ~is_red
        flow = torch.where(is_updated, flow + OMEGA * (solved - flow), flow)
    return flow


def _median(flow: Tensor) -> Tensor:
    """Filter u and v with a median, borders replicated."""
    radius, (height, width) = MEDIAN // 2, flow.shape[2:]
    padded = F.pad(flow, (radius,) * 4, mode="replicate")
    windows = [
        padded[:, :, y : y + height, x : x + width] for y in range(MEDIAN) for x in range(MEDIAN)
    ]
    return torch.stack(windows).median(0).values


def _diffusivities(flow: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return the weights alpha psi' of the links to the right and down; 0 at the frame's edge."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    grad_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    grad_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    right = (flow[..., 1:] - flow[..., :-1]) ** 2 + ((grad_y[..., 1:] + grad_y[..., :-1]) / 2) ** 2
    down = (flow[..., 1:, :] - flow[..., :-1, :]) ** 2 + (
        (grad_x[..., 1:, :] + grad_x[..., :-1, :]) / 2
    ) ** 2
    right, down = (
        alpha * (part.sum(1, keepdim=True) + EPSILON_SMOOTHNESS**2).rsqrt()
        for part in (right, down)
    )
    return F.pad(right, (0, 1)), F.pad(down, (0, 0, 0, 1))


# Compiled implementations ---------------------------------------------------------------------


@cache
def _compile_parts() -> tuple[Callable, Callable, Callable]:
    """Return the parts of `solve_level` for a GPU; each half sweep is one fused kernel."""
    # Not on import: the compiler takes seconds to load. Sizes are dynamic, so that one compilation
    # serves all levels.
    return tuple(torch.compile(part, dynamic=True) for part in (_linearise, _relax, _median))


def _compute_on_cpu(first: Tensor, second: Tensor, settings: BroxSettings) -> Tensor:
    """Compute `brox_flow` with OpenCV and the functions that Numba compiles.

    One pair after the other, so that its arrays come from the cache.
    """
    flows = first.new_empty((len(first), 2, *first.shape[2:]), dtype=torch.float32)
    workspace = brox_cpu.create_workspace(*first.shape[2:])
    constants = EPSILON**2, EPSILON_SMOOTHNESS**2, ZETA**2, OMEGA
    weights = settings.alpha * _ALPHA_UNIT, settings.gamma * _GAMMA_UNIT
    iterations = settings.inner_iterations, settings.solver_iterations
    taps = np.array(_TAPS, np.float32)
    for pair_flow, *pair in zip(flows, first, second, strict=True):
        frames = _grey(torch.stack(pair))
        for frame in frames[:, 0].numpy():
            cv2.sepFilter2D(frame, -1, taps, taps, dst=frame, borderType=cv2.BORDER_REPLICATE)
        flow = np.zeros((2, 1, 1), np.float32)
        for level in reversed(_pyramid(frames, settings)):
            flow = _resize_flow_on_cpu(flow, *level.shape[2:])
            brox_cpu.solve_level(
                *level[:, 0].numpy(), flow, *weights, *constants, *iterations, workspace
            )
            for component in flow:
                cv2.medianBlur(component, MEDIAN, dst=component)
        pair_flow.copy_(torch.from_numpy(flow))
    return flows


def _resize_flow_on_cpu(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Compute `_resize_flow` of one flow, (2, h, w)."""
    resized = np.empty((2, height, width), np.float32)
    for component, old, factor in zip(
        resized, flow, (width / flow.shape[2], height / flow.shape[1]), strict=True
    ):
        cv2.resize(old, (width, height), dst=component)
        component *= factor
    return resized
