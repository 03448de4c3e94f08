"""Pairs of frames with known flow: an image that is warped by a formula.

The second frame is the image, the first one is warped, first(x) = image(x + w(x)), so that w is
exactly the flow from the first to the second at every pixel. Both are drawn at twice their size and
averaged down, so that both are equally sharp, and rounded to 8 bits.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

NOISE = 3.0
"""Grey levels of Gaussian noise, drawn for each frame apart, of pairs that are noisy."""
_MARGIN = 24
"""Pixels of the picture around a frame, so that what moves in is there."""


class Pair(NamedTuple):
    """Two frames (H, W) uint8, and the flow (2, H, W) float32 between them in pixels."""

    motion: str
    first: np.ndarray
    second: np.ndarray
    flow: np.ndarray


Field = Callable[[np.random.Generator, int, int], np.ndarray]
"""Draws a flow (2, H, W) in pixels."""


def _translation(least: float, most: float) -> Field:
    def draw(random: np.random.Generator, height: int, width: int) -> np.ndarray:
        angle, length = random.uniform(0, 2 * np.pi), random.uniform(least, most)
        step = np.array([np.cos(angle), np.sin(angle)]) * length
        return np.broadcast_to(step[:, None, None], (2, height, width))

    return draw


def _linear(matrix: np.ndarray, random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Positions about a point near the middle, times a matrix, less themselves."""
    y, x = np.mgrid[:height, :width].astype(float)
    middle = random.uniform(0.35, 0.65, 2) * (width, height)
    place = np.stack([x - middle[0], y - middle[1]])
    return np.einsum("ij,jhw->ihw", matrix - np.eye(2), place)


def _rotation(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    angle = np.deg2rad(random.uniform(1, 5) * random.choice([-1, 1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _linear(turn, random, height, width)


def _zoom(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    factor = 1 + random.uniform(0.02, 0.08) * random.choice([-1, 1])
    return _linear(np.eye(2) * factor, random, height, width)


def _smooth(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    noise = random.normal(size=(height, width, 2))
    field = cv2.GaussianBlur(noise, (0, 0), 25).transpose(2, 0, 1)
    shift = _translation(0, 3)(random, height, width)
    return field / np.abs(field).max() * random.uniform(2, 8) + shift


MOTIONS: dict[str, Field] = {
    "subpixel": _translation(0.1, 1),
    "translation": _translation(1, 8),
    "large": _translation(8, 20),
    "rotation": _rotation,
    "zoom": _zoom,
    "smooth": _smooth,
    "occlusion": _translation(0, 3),
}
"""Motions by name; `occlusion` is a background's, before which a square moves by 3 to 15 pixels."""


def known_pair(
    motion: str, picture: np.ndarray, square: np.ndarray, seed: int, size: tuple[int, int]
) -> Pair:
    """Draw a pair.

    Args:
        motion: Name of a motion in `MOTIONS`.
        picture: (h, w) uint8, any size; scaled to cover the frames.
        square: (h, w) uint8, what is on the moving square of `occlusion`.
        seed: Random seed; pairs with every other seed are noisy.
        size: height and width of the frames.
    """
    random = np.random.default_rng([seed, list(MOTIONS).index(motion)])
    height, width = size
    flow = np.array(MOTIONS[motion](random, height, width), np.float32)
    canvas = _cover(picture, height, width)
    frames = [_seen(canvas, flow), _seen(canvas, np.zeros_like(flow))]
    if motion == "occlusion":
        side = int(random.integers(height // 4, height * 2 // 5))
        angle, length = random.uniform(0, 2 * np.pi), random.uniform(3, 15)
        # Half pixels, which are whole ones at double size.
        step = np.rint(2 * length * np.array([np.cos(angle), np.sin(angle)])).astype(int)
        left, top = random.integers(16, (width - side - 16, height - side - 16))
        patch = _cover(square, height, width)[: 2 * side, : 2 * side]
        for frame, shift in zip(frames, ((0, 0), step), strict=True):
            x, y = 2 * left + shift[0], 2 * top + shift[1]
            frame[y : y + 2 * side, x : x + 2 * side] = patch
        flow[:, top : top + side, left : left + side] = step[:, None, None] / 2
    noise = NOISE * (seed % 2)
    first, second = (
        np.clip(np.rint(small + noise * random.normal(size=size)), 0, 255).astype(np.uint8)
        for small in (cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames)
    )
    return Pair(motion, first, second, flow)


def endpoint_error(estimate: np.ndarray, pair: Pair) -> float:
    """Mean length of the difference, in pixels, over all pixels of the frame."""
    return float(np.hypot(*(estimate - pair.flow)).mean())


def _cover(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture at twice the size of a frame and its margins, float32; its middle."""
    rows, columns = 2 * (height + 2 * _MARGIN), 2 * (width + 2 * _MARGIN)
    scale = max(rows / picture.shape[0], columns / picture.shape[1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shape = (
        max(columns, round(picture.shape[1] * scale)),
        max(rows, round(picture.shape[0] * scale)),
    )
    large = cv2.resize(picture.astype(np.float32), shape, interpolation=method)
    top, left = (large.shape[0] - rows) // 2, (large.shape[1] - columns) // 2
    return large[top : top + rows, left : left + columns]


def _seen(canvas: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A frame at double size, (2 H, 2 W): the canvas, displaced by a flow of single size."""
    double = [
        2 * cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) for part in flow
    ]
    y, x = np.mgrid[: double[0].shape[0], : double[0].shape[1]].astype(np.float32)
    where = x + double[0] + 2 * _MARGIN, y + double[1] + 2 * _MARGIN
    return cv2.remap(canvas, *where, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
