"""Textured backgrounds of the demo: a wall or sky above the ground, with simple objects."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]


def draw_colour(
    rng: np.random.Generator, *, value: tuple[float, float], saturation: tuple[float, float]
) -> Colour:
    """Draw a colour of any hue as (blue, green, red), 0 to 255; value and saturation in a range."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]])
    blue, green, red = 255.0 * cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2BGR)[0, 0]
    return float(blue), float(green), float(red)


def _value_noise(
    rng: np.random.Generator, width: int, height: int, *, cells: int, octaves: int
) -> NDArray[np.float32]:
    """Draw smooth noise of several scales in [-1, 1], (height, width), periodic in x."""
    noise = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        across = cells << octave
        down = max(2, round(across * height / width))
        lattice = rng.uniform(-1, 1, (down, across)).astype(np.float32)
        lattice = np.concatenate([lattice[:, -2:], lattice, lattice[:, :2]], axis=1)
        step = width / across
        padded = cv2.resize(lattice, (round(step * (across + 4)), height), interpolation=2)
        offset = round(2 * step)
        noise += 0.55**octave * padded[:, offset : offset + width]
    return noise / max(1e-6, float(np.abs(noise).max()))


def _pattern(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Draw noise, stripes, tiles or a gradient in [-1, 1], (height, width)."""
    kind = rng.integers(5)
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    period = width / rng.integers(14, 60)
    if kind == 0:
        return _value_noise(rng, width, height, cells=int(rng.integers(6, 40)), octaves=4)
    if kind == 1:
        return np.sin(2 * np.pi * x / period) + 0 * y
    if kind == 2:
        return np.sin(2 * np.pi * y / (0.7 * period)) + 0 * x
    if kind == 3:
        joint = (np.mod(x + 0.5 * period * (np.floor(2 * y / period) % 2), period) < 1.5) | (
            np.mod(y, 0.5 * period) < 1.5
        )
        return np.where(joint, np.float32(-1), np.float32(0.4))
    return np.linspace(-1, 1, height, dtype=np.float32)[:, None] + 0 * x


def _draw_texture(
    rng: np.random.Generator, width: int, height: int, colour: Colour, strength: float
) -> NDArray[np.float32]:
    """Draw a pattern and noise around a colour, (height, width, 3)."""
    pattern = 0.7 * _pattern(rng, width, height)
    pattern = pattern + 0.5 * _value_noise(rng, width, height, cells=12, octaves=5)
    return np.asarray(colour, np.float32) + strength * pattern[:, :, None]


def _draw_objects(rng: np.random.Generator, image: NDArray[np.float32], horizon: int) -> None:
    """Draw windows, poles, discs and trees in front of the wall, in place."""
    width = image.shape[1]
    for _ in range(rng.integers(1, 6)):
        colour = draw_colour(rng, value=(0.2, 0.9), saturation=(0.05, 0.5))
        frame = tuple(0.6 * c for c in colour)
        trunk = draw_colour(rng, value=(0.2, 0.4), saturation=(0.3, 0.6))
        size = int(horizon * rng.uniform(0.12, 0.35))
        top = int(rng.uniform(0.05, 0.6) * horizon)
        leaves = rng.normal(0, (0.45 * size, 0.27 * size), (7, 2)).astype(int)
        kind = rng.integers(4)
        left = int(rng.integers(0, width))
        for x in (left, left - width):  # objects at the right edge continue at the left edge
            if kind == 0:
                cv2.rectangle(image, (x, top), (x + size, top + int(1.3 * size)), colour, -1)
                cv2.rectangle(image, (x, top), (x + size, top + int(1.3 * size)), frame, 2)
            elif kind == 1:
                cv2.rectangle(image, (x, 0), (x + max(2, size // 6), horizon), colour, -1)
            elif kind == 2:
                cv2.circle(image, (x, top + size // 2), size // 2, colour, -1, cv2.LINE_AA)
            else:
                cv2.rectangle(image, (x - size // 10, top), (x + size // 10, horizon), trunk, -1)
                for dx, dy in leaves.tolist():
                    leaf = (40 + 0.3 * dx, 110 + 0.8 * dx, 60 + 0.4 * dx)
                    centre = (x + dx, top + dy)
                    cv2.circle(image, centre, max(2, size // 3), leaf, -1, cv2.LINE_AA)


@dataclass(frozen=True)
class Background:
    """A strip that repeats horizontally every ``period`` pixels.

    Attributes:
        strip: Image, (height, period + view width, 3) uint8, blue, green, red.
        period: Number of pixels after which the strip repeats.
    """

    strip: Image
    period: int

    def view(self, left: float, width: int) -> tuple[Image, float]:
        """Return the part that starts at pixel ``left`` (any real number), at most ``width`` wide.

        Returns:
            The slice from the whole pixel on, and the fraction of a pixel that remains.
        """
        whole = int(np.floor(left))
        start = whole % self.period
        return self.strip[:, start : start + width], left - whole


def draw_background(
    rng: np.random.Generator,
    *,
    view_width: int,
    height: int,
    horizon: int,
    figure_brightness: float,
) -> Background:
    """Draw a background with a wall above row ``horizon`` and the ground below it.

    The brightness of the wall differs from ``figure_brightness``, the mean brightness (0 to 1) of
    the figure, by at least 0.18.
    """
    period = 2 * view_width
    bands = [
        (low, high)
        for low, high in ((0.25, figure_brightness - 0.18), (figure_brightness + 0.18, 0.9))
        if high - low > 0
    ]
    spans = np.array([high - low for low, high in bands])
    band = bands[rng.choice(len(bands), p=spans / spans.sum())]
    value = (max(0.05, band[0]), band[1])
    wall = draw_colour(rng, value=value, saturation=(0.02, 0.25))
    ground = draw_colour(rng, value=(0.25, 0.75), saturation=(0.02, 0.3))
    image = np.empty((height, period, 3), np.float32)
    image[:horizon] = _draw_texture(rng, period, horizon, wall, rng.uniform(4, 15))
    image[horizon:] = _draw_texture(rng, period, height - horizon, ground, rng.uniform(4, 15))
    _draw_objects(rng, image, horizon)
    image[:horizon] = 0.55 * image[:horizon] + 0.45 * np.asarray(wall, np.float32)
    image = cv2.GaussianBlur(
        image, (0, 0), 0.006 * height * rng.uniform(0.8, 2.2), borderType=cv2.BORDER_REFLECT
    )
    strip = np.clip(image, 0, 255).astype(np.uint8)
    return Background(np.concatenate([strip, strip[:, :view_width]], axis=1), period)
