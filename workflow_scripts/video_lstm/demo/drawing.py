"""Draw a clothed figure with OpenCV: antialiased, shaded limbs in order of depth."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from video_lstm.demo.background import Colour, draw_colour
from video_lstm.demo.skeleton import JOINT, SIDES, Array, Body

SHIFT = 4
"""Fractional bits of OpenCV's coordinates: positions are in sixteenths of a pixel."""
ARC = 12
"""Points on each circle; the convex hull of the circles is a limb."""
SKINS: tuple[Colour, ...] = (
    (180, 205, 240),
    (150, 180, 225),
    (120, 150, 205),
    (85, 115, 170),
    (60, 80, 125),
    (45, 58, 90),
)
HAIRS: tuple[Colour, ...] = (
    (30, 30, 35),
    (30, 50, 80),
    (60, 110, 160),
    (110, 180, 215),
    (120, 120, 120),
)


@dataclass(frozen=True)
class Clothes:
    """Skin, hair and clothes of a figure; colours are (blue, green, red)."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    long_sleeves: bool
    long_trousers: bool
    long_hair: bool
    stripes: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Clothes":
        """Draw random skin, hair and clothes."""
        return cls(
            skin=SKINS[rng.integers(len(SKINS))],
            hair=HAIRS[rng.integers(len(HAIRS))],
            shirt=draw_colour(rng, value=(0.25, 1.0), saturation=(0.1, 0.95)),
            trousers=draw_colour(rng, value=(0.12, 0.7), saturation=(0.1, 0.7)),
            shoes=draw_colour(rng, value=(0.1, 0.95), saturation=(0.0, 0.6)),
            long_sleeves=bool(rng.uniform() < 0.5),
            long_trousers=bool(rng.uniform() < 0.65),
            long_hair=bool(rng.uniform() < 0.35),
            stripes=int(rng.choice([0, 0, 3, 4])),
        )

    @property
    def brightness(self) -> float:
        """Mean brightness of shirt and trousers, 0 to 1."""
        return float(np.mean([self.shirt, self.trousers])) / 255.0


@dataclass(frozen=True)
class Part:
    """A part of the figure: the convex hull of circles around joints.

    Attributes:
        joints: Names of the joints in the centres of the circles.
        radii: Radii of the circles in body heights.
        colour: Colour as (blue, green, red).
        depth_offset: Distance towards the camera for the order of drawing, in body heights.
        trim: Details drawn on the part.
    """

    joints: tuple[str, ...]
    radii: tuple[float, ...]
    colour: Colour
    depth_offset: float = 0.0
    trim: Literal["none", "stripes", "face"] = "none"


def build_parts(body: Body, clothes: Clothes) -> tuple[Part, ...]:
    """Build the parts of a figure from its body and clothes."""
    g = body.girth
    skull = 0.5 * body.head
    sleeve = clothes.shirt if clothes.long_sleeves else clothes.skin
    shin = clothes.trousers if clothes.long_trousers else clothes.skin
    parts = [
        Part(("chest", "neck"), (0.030 * g, 0.030), clothes.skin),
        Part(("neck", "head"), (0.7 * skull, skull), clothes.skin, 0.01, trim="face"),
        Part(
            ("shoulder_left", "shoulder_right", "hip_left", "hip_right"),
            (0.040 * g, 0.040 * g, 0.050 * g, 0.050 * g),
            clothes.shirt,
            trim="stripes",
        ),
        Part(("hip_left", "hip_right"), (0.056 * g, 0.056 * g), clothes.trousers, 0.005),
    ]
    for side in SIDES:
        hip, knee, ankle, heel, toe, shoulder, elbow, wrist, hand = (
            f"{joint}_{side}"
            for joint in (
                "hip",
                "knee",
                "ankle",
                "heel",
                "toe",
                "shoulder",
                "elbow",
                "wrist",
                "hand",
            )
        )
        parts += [
            Part((hip, knee), (0.056 * g, 0.042 * g), clothes.trousers, 0.002),
            Part((knee, ankle), (0.042 * g, 0.027 * g), shin),
            Part((ankle, heel, toe), (0.026, 0.020, 0.017), clothes.shoes, 0.004),
            Part((shoulder, elbow), (0.040 * g, 0.029 * g), clothes.shirt, 0.03),
            Part((elbow, wrist), (0.029 * g, 0.020 * g), sleeve, 0.03),
            Part((wrist, hand), (0.020, 0.019), clothes.skin, 0.03),
        ]
    return tuple(parts)


@dataclass(frozen=True)
class Figure:
    """A clothed figure with its joint positions in every frame.

    Attributes:
        parts: Parts of the body; see `build_parts`.
        clothes: Clothes of the figure.
        screen: Positions of the joints in pixels, (T, joints, 2).
        depth: Positions of the joints towards the camera in body heights, (T, joints).
        height: Body height in pixels.
    """

    parts: tuple[Part, ...]
    clothes: Clothes
    screen: Array
    depth: Array
    height: float

    def draw(self, image: NDArray[np.uint8], step: int) -> None:
        """Draw the figure of frame ``step`` into ``image`` (height, width, 3), in place."""
        screen, depth = self.screen[step], self.depth[step]
        indices = [[JOINT[name] for name in part.joints] for part in self.parts]
        order = np.argsort(
            [
                depth[i].mean() + part.depth_offset
                for i, part in zip(indices, self.parts, strict=True)
            ]
        )
        for index in order:
            part, centres = self.parts[index], screen[indices[index]]
            radii = np.asarray(part.radii) * self.height
            outline = _hull(centres, radii)
            cv2.fillConvexPoly(image, outline, part.colour, cv2.LINE_AA, SHIFT)
            light_colour = tuple(min(255.0, 1.18 * c + 6) for c in part.colour)
            highlight = _hull(centres - 0.28 * radii[:, None], 0.5 * radii)
            cv2.fillConvexPoly(image, highlight, light_colour, cv2.LINE_AA, SHIFT)
            if part.trim == "stripes":
                self._draw_stripes(image, centres, radii)
            elif part.trim == "face":
                self._draw_head(image, screen, depth)
            dark_colour = tuple(0.45 * c for c in part.colour)
            cv2.polylines(image, [outline], True, dark_colour, 1, cv2.LINE_AA, SHIFT)

    def _draw_stripes(self, image: NDArray[np.uint8], centres: Array, radii: Array) -> None:
        """Draw stripes across the shirt, from the shoulders to the hips."""
        left, right, hip_left, hip_right = centres
        colour = tuple(255.0 - c for c in self.clothes.shirt)
        for k in range(self.clothes.stripes):
            down = (k + 0.4) / self.clothes.stripes
            ends = np.stack([left + down * (hip_left - left), right + down * (hip_right - right)])
            cv2.fillConvexPoly(image, _hull(ends, 0.35 * radii[:2]), colour, cv2.LINE_AA, SHIFT)

    def _draw_head(self, image: NDArray[np.uint8], screen: Array, depth: Array) -> None:
        """Draw the hair, and the eye if the face is visible."""
        head, neck = JOINT["head"], JOINT["neck"]
        radius = self.parts[1].radii[1] * self.height
        up = screen[head] - screen[neck]
        up = up / max(1e-6, float(np.hypot(*up)))
        forward = screen[[JOINT["toe_left"], JOINT["toe_right"]]].mean(axis=0)
        forward = forward - screen[[JOINT["heel_left"], JOINT["heel_right"]]].mean(axis=0)
        forward = forward / max(1e-6, float(np.hypot(*forward)))
        crown = screen[head] + 0.35 * radius * up - 0.25 * radius * forward
        nape = screen[head] - (1.0 if self.clothes.long_hair else 0.1) * radius * up
        nape = nape - 0.65 * radius * forward
        hair = _hull(np.stack([crown, nape]), np.array([0.8, 0.4]) * radius)
        cv2.fillConvexPoly(image, hair, self.clothes.hair, cv2.LINE_AA, SHIFT)
        if depth[JOINT["toe_left"]] < depth[JOINT["heel_left"]]:
            return
        eye = screen[head] + 0.6 * radius * forward
        cv2.circle(
            image,
            tuple(int(v) for v in np.rint(eye * (1 << SHIFT))),
            round(0.12 * radius * (1 << SHIFT)),
            (25, 25, 25),
            -1,
            cv2.LINE_AA,
            SHIFT,
        )


_CIRCLE = np.stack(
    [np.cos(2 * np.pi * np.arange(ARC) / ARC), np.sin(2 * np.pi * np.arange(ARC) / ARC)], axis=1
)


def _hull(centres: Array, radii: Array) -> NDArray[np.int32]:
    """Return the convex hull of circles, (points, 1, 2), in fixed-point pixels."""
    points = centres[:, None, :] + radii[:, None, None] * _CIRCLE
    fixed = np.rint(points.reshape(-1, 2) * (1 << SHIFT)).astype(np.int32)
    return cv2.convexHull(fixed)
