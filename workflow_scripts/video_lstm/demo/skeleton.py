"""Skeleton of a human-like figure: body proportions, joint angles, forward kinematics.

World axes: x forward (where the figure faces), y to its left, z up. Lengths are in body heights,
angles in degrees. Segment lengths follow the usual anthropometric table
(Winter, *Biomechanics and Motor Control of Human Movement*, fractions of the body height).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDES = ("left", "right")
BODY_ANGLES = ("lean", "side_lean", "twist", "nod", "turn")
LIMB_ANGLES = ("hip", "spread", "knee", "foot", "shoulder", "raise", "roll", "elbow")
CHANNELS = (
    "rise",
    *BODY_ANGLES,
    *(f"{angle}_{side}" for angle in LIMB_ANGLES for side in SIDES),
)
"""Channels of a motion. ``rise`` is the height of the lowest foot above the ground in body heights;
the others are angles in degrees: ``lean`` forward, ``side_lean`` to the right, ``twist`` and
``turn`` to the left, ``nod`` of the head; for each side ``hip`` and ``shoulder`` forward,
``spread`` and ``raise`` outward, ``knee`` and ``elbow`` bent, ``foot`` the pitch of the sole (toes
up positive), ``roll`` of the upper arm about itself (at 90 the elbow bends in the plane of the
shoulders)."""

JOINTS = (
    "pelvis",
    "chest",
    "neck",
    "head",
    *(
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
        for side in SIDES
    ),
)
JOINT = {name: index for index, name in enumerate(JOINTS)}
CHANNEL = {name: index for index, name in enumerate(CHANNELS)}


@dataclass(frozen=True)
class Body:
    """Proportions of a figure, in body heights."""

    thigh: float
    shank: float
    foot: float
    trunk: float
    neck: float
    head: float
    upper_arm: float
    forearm: float
    hand: float
    hip_half: float
    shoulder_half: float
    girth: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Body":
        """Draw a random body: mean proportions varied by a few percent, and a girth."""
        legs, arms, torso = rng.uniform(0.94, 1.06, 3)
        broad = rng.uniform(0.88, 1.14)
        return cls(
            thigh=0.245 * legs,
            shank=0.240 * legs,
            foot=0.110 * rng.uniform(0.95, 1.1),
            trunk=0.275 * torso,
            neck=0.060,
            head=0.115 * rng.uniform(0.95, 1.12),
            upper_arm=0.175 * arms,
            forearm=0.150 * arms,
            hand=0.060 * arms,
            hip_half=0.055 * rng.uniform(0.9, 1.15),
            shoulder_half=0.105 * broad,
            girth=rng.uniform(0.85, 1.3),
        )


def stack_channels(channels: Mapping[str, Array | float], steps: int) -> Array:
    """Stack named channels into an array (steps, len(CHANNELS)); missing channels are 0.

    Raises:
        KeyError: A name is not that of a channel.
    """
    stacked = np.zeros((steps, len(CHANNELS)))
    for name, values in channels.items():
        stacked[:, CHANNEL[name]] = values
    return stacked


def _rotation(axis: str, degrees: Array | float, steps: int) -> Array:
    """Return right-handed rotation matrices about a coordinate axis, (steps, 3, 3)."""
    angle = np.broadcast_to(np.deg2rad(degrees), (steps,))
    c, s = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.broadcast_to(np.eye(3), (steps, 3, 3)).copy()
    matrix[:, first, first] = c
    matrix[:, second, second] = c
    matrix[:, first, second] = -s
    matrix[:, second, first] = s
    return matrix


def _rotate(rotation: Array, vector: tuple[float, float, float]) -> Array:
    """Rotate a vector by rotation matrices (steps, 3, 3); returns (steps, 3)."""
    return rotation @ np.asarray(vector)


def forward_kinematics(body: Body, motion: Array) -> Array:
    """Compute joint positions relative to the pelvis; ``rise`` and ``turn`` are ignored.

    Args:
        body: Proportions of the figure.
        motion: Channels over time, (T, len(CHANNELS)).

    Returns:
        Joint positions in body heights, (T, len(JOINTS), 3).
    """
    steps = len(motion)

    def channel(name: str) -> Array:
        return motion[:, CHANNEL[name]]

    def rotation(axis: str, degrees: Array | float) -> Array:
        return _rotation(axis, degrees, steps)

    joints = np.zeros((steps, len(JOINTS), 3))

    def set_joint(name: str, position: Array) -> Array:
        joints[:, JOINT[name]] = position
        return position

    pelvis = rotation("z", -0.3 * channel("twist"))
    trunk = rotation("z", 0.7 * channel("twist")) @ rotation("y", channel("lean"))
    trunk = trunk @ rotation("x", channel("side_lean"))
    chest = set_joint("chest", _rotate(trunk, (0.0, 0.0, body.trunk)))
    head = trunk @ rotation("y", channel("nod"))
    neck = set_joint("neck", chest + _rotate(head, (0.0, 0.0, body.neck)))
    set_joint("head", neck + _rotate(head, (0.012, 0.0, 0.5 * body.head)))

    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        thigh = pelvis @ rotation("y", -channel(f"hip_{side}"))
        thigh = thigh @ rotation("x", sign * channel(f"spread_{side}"))
        shank = thigh @ rotation("y", channel(f"knee_{side}"))
        sole = rotation("z", 10.0 * sign) @ rotation("y", -channel(f"foot_{side}"))
        hip = set_joint(f"hip_{side}", _rotate(pelvis, (0.0, sign * body.hip_half, 0.0)))
        knee = set_joint(f"knee_{side}", hip + _rotate(thigh, (0.0, 0.0, -body.thigh)))
        ankle = set_joint(f"ankle_{side}", knee + _rotate(shank, (0.0, 0.0, -body.shank)))
        set_joint(f"heel_{side}", ankle + _rotate(sole, (-0.25 * body.foot, 0.0, -0.03)))
        set_joint(f"toe_{side}", ankle + _rotate(sole, (0.75 * body.foot, 0.0, -0.03)))

        upper = trunk @ rotation("y", -channel(f"shoulder_{side}"))
        upper = upper @ rotation("x", sign * channel(f"raise_{side}"))
        upper = upper @ rotation("z", sign * channel(f"roll_{side}"))
        lower = upper @ rotation("y", -channel(f"elbow_{side}"))
        shoulder = set_joint(
            f"shoulder_{side}", chest + _rotate(trunk, (0.0, sign * body.shoulder_half, -0.015))
        )
        elbow = set_joint(f"elbow_{side}", shoulder + _rotate(upper, (0.0, 0.0, -body.upper_arm)))
        wrist = set_joint(f"wrist_{side}", elbow + _rotate(lower, (0.0, 0.0, -body.forearm)))
        set_joint(f"hand_{side}", wrist + _rotate(lower, (0.0, 0.0, -body.hand)))
    return joints


def place_on_ground(body: Body, motion: Array) -> tuple[Array, Array]:
    """Place the figure on the ground and compute how far its steps move it.

    The lowest point of the feet is at height ``rise``. The foot on the ground does not slide, so
    the body moves relative to it; in the air it keeps its mean speed. ``turn`` is the heading.

    Args:
        body: Proportions of the figure.
        motion: Channels over time, finely sampled, (T, len(CHANNELS)).

    Returns:
        Joint positions (T, len(JOINTS), 3) with heading but without travel, relative to the ground
        below the pelvis at the start; and the travel on the ground (T, 2); both in body heights.
    """
    joints = forward_kinematics(body, motion)
    soles = joints[
        :, [[JOINT["heel_left"], JOINT["toe_left"]], [JOINT["heel_right"], JOINT["toe_right"]]], 2
    ]
    lowest = soles.min(axis=2)
    rise = motion[:, CHANNEL["rise"]]
    joints[:, :, 2] += (rise - lowest.min(axis=1))[:, None]

    heading = _rotation("z", motion[:, CHANNEL["turn"]], len(motion))
    joints = joints @ heading.transpose(0, 2, 1)
    ankles = joints[:, [JOINT["ankle_left"], JOINT["ankle_right"]], :2]
    velocity = np.gradient(ankles, axis=0)
    left = 1.0 / (1.0 + np.exp(np.clip((lowest[:, 0] - lowest[:, 1]) / 0.006, -50, 50)))
    push = -(left[:, None] * velocity[:, 0] + (1.0 - left[:, None]) * velocity[:, 1])
    grounded = rise < 1e-3
    if grounded.any():
        push[~grounded] = push[grounded].mean(axis=0)
    return joints, np.cumsum(push, axis=0)
