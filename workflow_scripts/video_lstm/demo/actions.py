"""Actions of the demo's figures: joint angles over time.

An action is a function of time (seconds, shape (T,)) and a random generator, which draws tempo,
phase, amplitude and style; it returns named channels of the skeleton (degrees, body heights). Some
actions are periodic, others happen once in the video. Many share their poses and differ in the
movement only: bend and straighten, sit and stand, jumping jack and waving with both arms, walk and
run.
"""

from collections.abc import Callable

import numpy as np

from video_lstm.demo.skeleton import (
    CHANNEL,
    CHANNELS,
    LIMB_ANGLES,
    SIDES,
    Array,
    stack_channels,
)

BLEND = 0.5
"""Duration of the transition between two movements, in seconds."""

Channels = dict[str, Array | float]
Action = Callable[[Array, np.random.Generator], Channels]


def _phase(t: Array, rng: np.random.Generator, slow: float, fast: float) -> Array:
    """Return the phase (radians) of a cycle with random rate (Hz) and start."""
    return 2 * np.pi * (rng.uniform(slow, fast) * t + rng.uniform())


def _pulse(phase: Array, sharpness: float) -> Array:
    """Return a smooth periodic pulse: 1 at phase 0, near 0 half a cycle later."""
    return np.exp(sharpness * (np.cos(phase) - 1.0))


def _swell(phase: Array) -> Array:
    """Return a cosine from 0 at phase 0 to 1 after half a cycle and back to 0."""
    return 0.5 - 0.5 * np.cos(phase)


def _smoothstep(x: Array) -> Array:
    """Return a smooth step from 0 (x <= 0) to 1 (x >= 1)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _transition(t: Array, rng: np.random.Generator) -> Array:
    """Return one smooth step from 0 to 1 at a random time, distributed symmetrically in time."""
    seconds = t[-1] - t[0]
    middle = t[0] + seconds * rng.uniform(0.38, 0.62)
    return _smoothstep((t - middle) / (seconds * rng.uniform(0.45, 0.75)) + 0.5)


def _flat_feet(channels: Channels, crouch: Array | float) -> None:
    """Bend hips, knees and trunk by ``crouch`` (0 upright, 1 deep) with the soles flat."""
    for side in SIDES:
        channels[f"hip_{side}"] = 5 + 75 * crouch
        channels[f"knee_{side}"] = 8 + 100 * crouch
    channels["lean"] = 3 + 38 * crouch


def _stand(channels: Channels, rng: np.random.Generator) -> None:
    """Stand on both feet with the legs slightly apart."""
    spread = rng.uniform(2, 20)
    for side in SIDES:
        channels[f"spread_{side}"] = spread
        channels[f"hip_{side}"] = 3.0
        channels[f"knee_{side}"] = 6.0


def _move_upper_body(channels: Channels, phase: Array, rng: np.random.Generator) -> None:
    """Draw the movement of trunk and arms; the same distribution for walking and running."""
    channels["lean"] = rng.uniform(0, 14)
    channels["twist"] = rng.uniform(3, 8) * np.sin(phase)
    swing, bent, raised = rng.uniform(12, 42), rng.uniform(12, 100), rng.uniform(4, 30)
    for side, start in zip(SIDES, (np.pi, 0.0), strict=True):
        forward = np.sin(phase + start)
        channels[f"shoulder_{side}"] = 3 + swing * forward
        channels[f"elbow_{side}"] = bent + 10 * forward
        channels[f"raise_{side}"] = raised


def walk(t: Array, rng: np.random.Generator) -> Channels:
    """Walk forward: one foot always on the ground, stance knee straight, arms opposite to legs."""
    phase = _phase(t, rng, 0.7, 0.95)
    stride, heel = rng.uniform(24, 34), rng.uniform(50, 66)
    channels: Channels = {}
    for side, start in zip(SIDES, (0.0, np.pi), strict=True):
        p = phase + start
        channels[f"hip_{side}"] = 5 + stride * np.sin(p)
        channels[f"knee_{side}"] = 6 + heel * _pulse(p + 0.45, 2.2) + 9 * _pulse(p - 2.2, 6)
        channels[f"foot_{side}"] = 16 * _pulse(p - 1.5, 4) - 40 * _pulse(p - 5.2, 3)
        channels[f"spread_{side}"] = 1.0
    _move_upper_body(channels, phase, rng)
    return channels


def run(t: Array, rng: np.random.Generator) -> Channels:
    """Run forward: a flight phase in every step, heels high, elbows bent."""
    phase = _phase(t, rng, 1.3, 1.7)
    stride, heel = rng.uniform(28, 40), rng.uniform(58, 84)
    channels: Channels = {"rise": rng.uniform(0.03, 0.06) * np.maximum(0.0, -np.cos(2 * phase))}
    for side, start in zip(SIDES, (0.0, np.pi), strict=True):
        p = phase + start
        channels[f"hip_{side}"] = 14 + stride * np.sin(p)
        channels[f"knee_{side}"] = 14 + heel * _pulse(p + 0.7, 1.6) + 10 * _pulse(p - 2.6, 4)
        channels[f"foot_{side}"] = 5 * _pulse(p - 1.5, 4) - 50 * _pulse(p - 5.0, 2.5)
    _move_upper_body(channels, phase, rng)
    return channels


def jump(t: Array, rng: np.random.Generator) -> Channels:
    """Jump in place: crouch, both feet leave the ground together, land."""
    phase = _phase(t, rng, 0.95, 1.3)
    channels: Channels = {}
    _flat_feet(channels, rng.uniform(0.55, 0.9) * _pulse(phase, 1.8))
    airborne = np.maximum(0.0, -np.cos(phase) - 0.1) / 0.9
    channels["rise"] = rng.uniform(0.11, 0.17) * airborne
    arm_swing = rng.uniform(60, 160)
    for side in SIDES:
        channels[f"foot_{side}"] = -45 * airborne
        channels[f"shoulder_{side}"] = -25 + (arm_swing + 25) * _swell(phase - 0.3)
        channels[f"elbow_{side}"] = 20.0
        channels[f"raise_{side}"] = 8.0
    return channels


def _raise_arms(
    channels: Channels, swell: Array, low: float, high: float, sides: tuple[str, ...] = SIDES
) -> None:
    """Raise straight arms sideways: ``low`` degrees at ``swell`` 0, ``high`` degrees at 1."""
    for side in sides:
        channels[f"raise_{side}"] = low + (high - low) * swell
        channels[f"roll_{side}"] = 90.0
        channels[f"elbow_{side}"] = 12.0


def jack(t: Array, rng: np.random.Generator) -> Channels:
    """Jumping jack: legs apart and arms overhead, then together and down, jumping each time."""
    phase = _phase(t, rng, 0.8, 1.15)
    channels: Channels = {"rise": rng.uniform(0.03, 0.06) * np.sin(phase) ** 2}
    apart = rng.uniform(16, 25)
    for side in SIDES:
        channels[f"spread_{side}"] = 2 + apart * _swell(phase)
        channels[f"knee_{side}"] = 8 + 14 * np.cos(phase) ** 2
        channels[f"hip_{side}"] = 4 + 7 * np.cos(phase) ** 2
        channels[f"foot_{side}"] = -25 * np.sin(phase) ** 2
    _raise_arms(channels, _swell(phase), rng.uniform(8, 70), rng.uniform(130, 168))
    return channels


def wave2(t: Array, rng: np.random.Generator) -> Channels:
    """Wave both arms between the sides and overhead, feet on the ground."""
    phase = _phase(t, rng, 0.8, 1.3)
    channels: Channels = {}
    _stand(channels, rng)
    _raise_arms(channels, _swell(phase), rng.uniform(8, 100), rng.uniform(130, 168))
    return channels


def wave1(t: Array, rng: np.random.Generator) -> Channels:
    """Wave one arm; the other is still, at any height."""
    phase = _phase(t, rng, 0.9, 1.5)
    channels: Channels = {}
    _stand(channels, rng)
    waving, still = SIDES if rng.uniform() < 0.5 else SIDES[::-1]
    _raise_arms(
        channels, _swell(phase), rng.uniform(8, 100), rng.uniform(130, 168), sides=(waving,)
    )
    arm_angle = rng.uniform(5, 12) if rng.uniform() < 0.4 else rng.uniform(20, 165)
    _raise_arms(channels, np.zeros_like(t), arm_angle, arm_angle, sides=(still,))
    channels["side_lean"] = 3 * np.sin(phase)
    return channels


def _bend_hips(down: Array, rng: np.random.Generator) -> Channels:
    """Bend from the hips with hanging arms by ``down``: 0 upright, 1 at the random full depth."""
    channels: Channels = {}
    _stand(channels, rng)
    depth, reach = rng.uniform(60, 100), rng.uniform(0.9, 1.15)
    channels["lean"] = 4 + depth * down
    channels["nod"] = -10 * down
    for side in SIDES:
        channels[f"hip_{side}"] = 3 + 9 * down
        channels[f"shoulder_{side}"] = 4 + reach * depth * down
        channels[f"elbow_{side}"] = 10.0
        channels[f"raise_{side}"] = 5.0
    return channels


def bend(t: Array, rng: np.random.Generator) -> Channels:
    """Bend down from the hips."""
    return _bend_hips(_transition(t, rng), rng)


def straighten(t: Array, rng: np.random.Generator) -> Channels:
    """Straighten up from the hips: bending, reversed in time."""
    return _bend_hips(1.0 - _transition(t, rng), rng)


def _bend_knees(down: Array, rng: np.random.Generator) -> Channels:
    """Bend the knees with flat soles by ``down``: 0 upright, 1 at the random full depth."""
    channels: Channels = {}
    _flat_feet(channels, rng.uniform(0.6, 0.95) * down)
    forward, raised = rng.uniform(0, 90), rng.uniform(5, 25)
    for side in SIDES:
        channels[f"shoulder_{side}"] = forward * down
        channels[f"raise_{side}"] = raised
        channels[f"elbow_{side}"] = 20.0
    return channels


def sit(t: Array, rng: np.random.Generator) -> Channels:
    """Squat down."""
    return _bend_knees(_transition(t, rng), rng)


def stand(t: Array, rng: np.random.Generator) -> Channels:
    """Stand up from a squat: squatting down, reversed in time."""
    return _bend_knees(1.0 - _transition(t, rng), rng)


def free(t: Array, rng: np.random.Generator) -> Channels:
    """Move in place without an action: every joint drifts independently."""
    channels: Channels = {}

    def drift(middle: float, reach: float) -> Array:
        rates, starts = rng.uniform(0.2, 0.9, 2), rng.uniform(0, 2 * np.pi, 2)
        waves = np.sin(2 * np.pi * rates[:, None] * t + starts[:, None]).sum(axis=0)
        return middle + reach * waves / 2

    for side in SIDES:
        bent = np.maximum(0.0, drift(8, 30))
        channels[f"hip_{side}"] = bent + drift(0, 12)
        channels[f"knee_{side}"] = 2 * bent
        channels[f"spread_{side}"] = drift(6, 7)
        channels[f"shoulder_{side}"] = drift(30, 80)
        channels[f"raise_{side}"] = np.maximum(4.0, drift(45, 90))
        channels[f"roll_{side}"] = drift(45, 45)
        channels[f"elbow_{side}"] = np.maximum(5.0, drift(40, 60))
    channels["lean"] = drift(12, 30)
    channels["twist"] = drift(0, 30)
    channels["side_lean"] = drift(0, 15)
    return channels


ACTIONS: dict[str, Action] = {
    "bend": bend,
    "jack": jack,
    "jump": jump,
    "run": run,
    "sit": sit,
    "stand": stand,
    "straighten": straighten,
    "walk": walk,
    "wave1": wave1,
    "wave2": wave2,
}
"""The actions by name; ``free``, between actions in the unlabelled videos, is not among them."""


def _sway(t: Array, rng: np.random.Generator) -> Array:
    """Return slow random movement of a few degrees in trunk and arms, (T, len(CHANNELS))."""
    sway = np.zeros((len(t), len(CHANNELS)))
    names = ["lean", "side_lean", "twist", "nod"]
    names += [
        f"{angle}_{side}"
        for angle in LIMB_ANGLES
        if angle in ("shoulder", "raise", "elbow")
        for side in SIDES
    ]
    for name in names:
        rate, start, offset = rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi), rng.normal(0, 3)
        sway[:, CHANNEL[name]] = offset + 2.0 * np.sin(2 * np.pi * rate * t + start)
    return sway


def draw_motion(action: Action, t: Array, rng: np.random.Generator) -> Array:
    """Draw the motion of one action at times ``t`` (seconds): (T, len(CHANNELS))."""
    return stack_channels(action(t, rng), len(t)) + _sway(t, rng)


def draw_motion_sequence(
    t: Array, rng: np.random.Generator, *, durations: tuple[float, float]
) -> Array:
    """Draw a sequence of actions and free movements, as in the unlabelled videos.

    Two movements are blended within BLEND seconds, and the figure may turn between them.

    Args:
        t: Times in seconds, (T,).
        rng: Random generator.
        durations: Shortest and longest duration of a movement in seconds.

    Returns:
        Channels of the skeleton, (T, len(CHANNELS)).
    """
    names = list(ACTIONS)
    motion = draw_motion(free, t, rng)
    heading = np.zeros(len(t))
    start = 0.0
    while start < t[-1]:
        stop = start + rng.uniform(*durations)
        name = names[rng.integers(len(names))] if rng.uniform() < 0.75 else "free"
        is_active = (t >= start - BLEND / 2) & (t <= stop + BLEND / 2)
        new_motion = draw_motion(ACTIONS.get(name, free), t[is_active], rng)
        weight = np.ones(is_active.sum())
        if start:
            weight = _smoothstep((t[is_active] - start) / BLEND + 0.5)
        motion[is_active] += weight[:, None] * (new_motion - motion[is_active])
        if start and rng.uniform() < 0.5:
            heading += rng.uniform(-60, 60) * _smoothstep((t - start) / BLEND + 0.5)
        start = stop
    motion[:, CHANNEL["turn"]] = heading
    return motion
