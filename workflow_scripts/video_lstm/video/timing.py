"""When a frame is shown, and which frames a target rate picks.

One rule, used by the probe, by the sampler of clips and by the decoder, so that the three can never
disagree on how many frames a video has:

- Frame 0 is shown at 0 s; frame j at ``t_j``, its time stamp less the first one's. A missing stamp,
  or one that does not come after its predecessor's, is replaced by one nominal step after it.
- A video of n frames lasts ``t_last * n / (n - 1)`` seconds: its last frame is shown for as long as
  the others on average.
- At a target rate r, output frame k is the last source frame with ``t_j <= k / r + TOLERANCE``, and
  there is an output frame for every k with ``k / r + TOLERANCE < duration``.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Matroska and Flash keep whole milliseconds: the difference of two stamps is off by up to 1 ms.
TOLERANCE = 1.5e-3
"""Seconds by which a time stamp may miss the instant it stands for."""


class Clock:
    """Turns raw time stamps (seconds, or None) into times that start at 0 and only increase.

    Args:
        nominal: seconds between frames that the container states, used where stamps fail.
    """

    def __init__(self, nominal: float) -> None:
        self.nominal = nominal
        self.frames = 0
        self.last = 0.0
        self._origin: float | None = None

    def tick(self, stamp: float | None) -> float:
        """The time in seconds at which the next frame is shown, given its raw time stamp."""
        expected = self.last + self.nominal if self.frames else 0.0
        if stamp is None:
            time = expected
        elif self._origin is None:
            time, self._origin = expected, stamp - expected
        else:
            time = stamp - self._origin
            if time <= self.last:
                time = expected
        self.frames += 1
        self.last = time
        return time

    def resume(self, frames: int, origin: float) -> None:
        """Go on after ``frames`` frames not seen, where the first stamp was ``origin`` seconds."""
        self.frames, self._origin, self.last = frames, origin, -math.inf

    @property
    def duration(self) -> float:
        """Seconds that the frames seen so far last together."""
        if self.frames == 0:
            return 0.0
        if self.frames == 1:
            return self.nominal
        return self.last * self.frames / (self.frames - 1)


def frames_before(seconds: float, rate: float) -> int:
    """Number of frames of a video at ``rate`` frames a second that are shown before ``seconds``."""
    return max(0, math.ceil((seconds - TOLERANCE) * rate))


def resampled_count(duration: float, rate: float) -> int:
    """Number of frames that a video of ``duration`` seconds has at ``rate`` frames a second."""
    return max(1, frames_before(duration, rate))


def target_frames(frames: int, duration: float, rate: float | None) -> int:
    """Number of frames a reader finds in a video: its own, or those at the target ``rate``."""
    return frames if rate is None else resampled_count(duration, rate)


def resample(
    shown: Iterable[tuple[float, T]], rate: float, clock: Clock, first: int = 0
) -> Iterator[T]:
    """Pick frames by time stamp.

    Args:
        shown: frames in order with the times that ``clock`` gave them, from one that is shown at
            or before ``first / rate`` on.
        rate: output frames a second.
        clock: the clock that timed ``shown``; asked for the duration after the last frame.
        first: the first output frame wanted.

    Yields:
        Output frames ``first``, ``first + 1``, ... up to the last one of the video; one source
        frame may come more than once or never.
    """
    k = first
    held: list[T] = []
    for time, frame in shown:
        while held and k / rate + TOLERANCE < time:
            yield held[0]
            k += 1
        held = [frame]
    for _ in range(k, resampled_count(clock.duration, rate) if held else k):
        yield held[0]
