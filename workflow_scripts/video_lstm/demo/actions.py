"""What the figures do: the joint angles of each action over time.

An action is a function of time (seconds, shape (T,)) and a random generator, which draws this
performance's tempo, phase, amplitude and manner; it returns named channels of the skeleton
(degrees, body heights). Some go on and on, others happen once in the time given. Many share their
poses and differ in the movement: what is done and undone (bend and straighten, sit and stand),
jumping jack and waving with both arms, walk and run.
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
"""Seconds in which one movement goes over into the next."""

Channels = dict[str, Array | float]
Action = Callable[[Array, np.random.Generator], Channels]


def _phase(t: Array, rng: np.random.Generator, slow: float, fast: float) -> Array:
    """Phase (radians) of a cycle whose rate (Hz) and start are drawn."""
    return 2 * np.pi * (rng.uniform(slow, fast) * t + rng.uniform())


def _pulse(phase: Array, sharpness: float) -> Array:
    """Smooth periodic bump: 1 at phase 0, near 0 half a cycle away."""
    return np.exp(sharpness * (np.cos(phase) - 1.0))


def _swell(phase: Array) -> Array:
    """From 0 (phase 0) to 1 (half a cycle) and back."""
    return 0.5 - 0.5 * np.cos(phase)


def _ease(share: Array) -> Array:
    """From 0 (at 0 and before) to 1 (at 1 and after) without a jolt."""
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3 - 2 * share)


def _passage(t: Array, rng: np.random.Generator) -> Array:
    """From 0 to 1, once, smoothly, at a drawn moment; its mirror image in time is as likely."""
    seconds = t[-1] - t[0]
    middle = t[0] + seconds * rng.uniform(0.38, 0.62)
    return _ease((t - middle) / (seconds * rng.uniform(0.45, 0.75)) + 0.5)


def _flat_feet(channels: Channels, crouch: Array | float) -> None:
    """Bend hips, knees and trunk by ``crouch`` (0 upright, 1 deep) over soles that stay flat."""
    for side in SIDES:
        channels[f"hip_{side}"] = 5 + 75 * crouch
        channels[f"knee_{side}"] = 8 + 100 * crouch
    channels["lean"] = 3 + 38 * crouch


def _stand(channels: Channels, rng: np.random.Generator) -> None:
    """Stand on both feet, a little astride."""
    astride = rng.uniform(2, 20)
    for side in SIDES:
        channels[f"spread_{side}"] = astride
        channels[f"hip_{side}"] = 3.0
        channels[f"knee_{side}"] = 6.0


def _carry(channels: Channels, phase: Array, rng: np.random.Generator) -> None:
    """Carry trunk and arms in any manner of walking or running: the same choice for every gait."""
    channels["lean"] = rng.uniform(0, 14)
    channels["twist"] = rng.uniform(3, 8) * np.sin(phase)
    swing, bent, raised = rng.uniform(12, 42), rng.uniform(12, 100), rng.uniform(4, 30)
    for side, start in zip(SIDES, (np.pi, 0.0), strict=True):
        forward = np.sin(phase + start)
        channels[f"shoulder_{side}"] = 3 + swing * forward
        channels[f"elbow_{side}"] = bent + 10 * forward
        channels[f"raise_{side}"] = raised


def walk(t: Array, rng: np.random.Generator) -> Channels:
    """Walk forward: one foot always on the ground, stance knee straight, arms against legs."""
    phase = _phase(t, rng, 0.7, 0.95)
    stride, heel = rng.uniform(24, 34), rng.uniform(50, 66)
    channels: Channels = {}
    for side, start in zip(SIDES, (0.0, np.pi), strict=True):
        p = phase + start
        channels[f"hip_{side}"] = 5 + stride * np.sin(p)
        channels[f"knee_{side}"] = 6 + heel * _pulse(p + 0.45, 2.2) + 9 * _pulse(p - 2.2, 6)
        channels[f"foot_{side}"] = 16 * _pulse(p - 1.5, 4) - 40 * _pulse(p - 5.2, 3)
        channels[f"spread_{side}"] = 1.0
    _carry(channels, phase, rng)
    return channels


def run(t: Array, rng: np.random.Generator) -> Channels:
    """Run forward: a flight in every step, heels high, elbows bent."""
    phase = _phase(t, rng, 1.3, 1.7)
    stride, heel = rng.uniform(28, 40), rng.uniform(58, 84)
    channels: Channels = {"rise": rng.uniform(0.03, 0.06) * np.maximum(0.0, -np.cos(2 * phase))}
    for side, start in zip(SIDES, (0.0, np.pi), strict=True):
        p = phase + start
        channels[f"hip_{side}"] = 14 + stride * np.sin(p)
        channels[f"knee_{side}"] = 14 + heel * _pulse(p + 0.7, 1.6) + 10 * _pulse(p - 2.6, 4)
        channels[f"foot_{side}"] = 5 * _pulse(p - 1.5, 4) - 50 * _pulse(p - 5.0, 2.5)
    _carry(channels, phase, rng)
    return channels


def jump(t: Array, rng: np.random.Generator) -> Channels:
    """Jump in place: crouch, both feet leave the ground together, land."""
    phase = _phase(t, rng, 0.95, 1.3)
    channels: Channels = {}
    _flat_feet(channels, rng.uniform(0.55, 0.9) * _pulse(phase, 1.8))
    airborne = np.maximum(0.0, -np.cos(phase) - 0.1) / 0.9
    channels["rise"] = rng.uniform(0.11, 0.17) * airborne
    thrown = rng.uniform(60, 160)
    for side in SIDES:
        channels[f"foot_{side}"] = -45 * airborne
        channels[f"shoulder_{side}"] = -25 + (thrown + 25) * _swell(phase - 0.3)
        channels[f"elbow_{side}"] = 20.0
        channels[f"raise_{side}"] = 8.0
    return channels


def _swung_arms(
    channels: Channels, swell: Array, low: float, high: float, sides: tuple[str, ...] = SIDES
) -> None:
    for side in sides:
        channels[f"raise_{side}"] = low + (high - low) * swell
        channels[f"roll_{side}"] = 90.0
        channels[f"elbow_{side}"] = 12.0


def jack(t: Array, rng: np.random.Generator) -> Channels:
    """Jumping jack: legs apart and arms overhead, together and down, with a small jump each way."""
    phase = _phase(t, rng, 0.8, 1.15)
    channels: Channels = {"rise": rng.uniform(0.03, 0.06) * np.sin(phase) ** 2}
    apart = rng.uniform(16, 25)
    for side in SIDES:
        channels[f"spread_{side}"] = 2 + apart * _swell(phase)
        channels[f"knee_{side}"] = 8 + 14 * np.cos(phase) ** 2
        channels[f"hip_{side}"] = 4 + 7 * np.cos(phase) ** 2
        channels[f"foot_{side}"] = -25 * np.sin(phase) ** 2
    _swung_arms(channels, _swell(phase), rng.uniform(8, 70), rng.uniform(130, 168))
    return channels


def wave2(t: Array, rng: np.random.Generator) -> Channels:
    """Wave both arms between the sides and overhead, feet on the ground."""
    phase = _phase(t, rng, 0.8, 1.3)
    channels: Channels = {}
    _stand(channels, rng)
    _swung_arms(channels, _swell(phase), rng.uniform(8, 100), rng.uniform(130, 168))
    return channels


def wave1(t: Array, rng: np.random.Generator) -> Channels:
    """Wave one arm; the other hangs, or is held still at any height."""
    phase = _phase(t, rng, 0.9, 1.5)
    channels: Channels = {}
    _stand(channels, rng)
    waving, still = SIDES if rng.uniform() < 0.5 else SIDES[::-1]
    _swung_arms(
        channels, _swell(phase), rng.uniform(8, 100), rng.uniform(130, 168), sides=(waving,)
    )
    arm_angle = rng.uniform(5, 12) if rng.uniform() < 0.4 else rng.uniform(20, 165)
    _swung_arms(channels, np.zeros_like(t), arm_angle, arm_angle, sides=(still,))
    channels["side_lean"] = 3 * np.sin(phase)
    return channels


def _bent(down: Array, rng: np.random.Generator) -> Channels:
    """Bend from the hips with hanging arms by ``down``: 0 upright, 1 as low as drawn."""
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
    return _bent(_passage(t, rng), rng)


def straighten(t: Array, rng: np.random.Generator) -> Channels:
    """Straighten up from the hips: bending backwards in time."""
    return _bent(1.0 - _passage(t, rng), rng)


def _crouched(down: Array, rng: np.random.Generator) -> Channels:
    """Bend the knees over flat soles by ``down``: 0 upright, 1 as low as drawn."""
    channels: Channels = {}
    _flat_feet(channels, rng.uniform(0.6, 0.95) * down)
    forward, raised = rng.uniform(0, 90), rng.uniform(5, 25)
    for side in SIDES:
        channels[f"shoulder_{side}"] = forward * down
        channels[f"raise_{side}"] = raised
        channels[f"elbow_{side}"] = 20.0
    return channels


def sit(t: Array, rng: np.random.Generator) -> Channels:
    """Go down on the haunches."""
    return _crouched(_passage(t, rng), rng)


def stand(t: Array, rng: np.random.Generator) -> Channels:
    """Stand up from the haunches: sitting down backwards in time."""
    return _crouched(1.0 - _passage(t, rng), rng)


def free(t: Array, rng: np.random.Generator) -> Channels:
    """Move about on the spot without a purpose: every joint drifts on its own."""
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
"""The actions by name; ``free`` is none of them: it fills the pauses of the unlabelled pile."""


def _sway(t: Array, rng: np.random.Generator) -> Array:
    """What nobody holds quite still: a few degrees of slow movement, (T, len(CHANNELS))."""
    sway = np.zeros((len(t), len(CHANNELS)))
    moving = ["lean", "side_lean", "twist", "nod"]
    moving += [
        f"{a}_{s}" for a in LIMB_ANGLES if a in ("shoulder", "raise", "elbow") for s in SIDES
    ]
    for name in moving:
        rate, start, offset = rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi), rng.normal(0, 3)
        sway[:, CHANNEL[name]] = offset + 2.0 * np.sin(2 * np.pi * rate * t + start)
    return sway


def perform(action: Action, t: Array, rng: np.random.Generator) -> Array:
    """One performance of an action at times ``t`` (seconds): (T, len(CHANNELS))."""
    return stack_channels(action(t, rng), len(t)) + _sway(t, rng)


def perform_in_turn(t: Array, rng: np.random.Generator, *, hold: tuple[float, float]) -> Array:
    """Actions and free movement drawn one after another, each held ``hold`` seconds, then blended.

    Between two the angles go over from one to the other within BLEND seconds, and the figure may
    turn. Returns (T, len(CHANNELS)).
    """
    names = list(ACTIONS)
    motion = perform(free, t, rng)
    heading = np.zeros(len(t))
    start = 0.0
    while start < t[-1]:
        stop = start + rng.uniform(*hold)
        name = names[rng.integers(len(names))] if rng.uniform() < 0.75 else "free"
        now = (t >= start - BLEND / 2) & (t <= stop + BLEND / 2)
        performed = perform(ACTIONS.get(name, free), t[now], rng)
        share = _ease((t[now] - start) / BLEND + 0.5) if start else np.ones(now.sum())
        motion[now] += share[:, None] * (performed - motion[now])
        if start and rng.uniform() < 0.5:
            heading += rng.uniform(-60, 60) * _ease((t - start) / BLEND + 0.5)
        start = stop
    motion[:, CHANNEL["turn"]] = heading
    return motion
