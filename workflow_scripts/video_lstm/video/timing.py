"""When a frame is shown, and which frames a target rate picks.

One rule, used by the probe, by the sampler of clips and by the decoder, so that the three can never
disagree on how many frames a video has:

- Frame 0 is shown at 0 s; frame j at ``t_j``, its time stamp less the first one's. A missing stamp,
  one that does not come after its predecessor's, or one more than 30 hours away from it, is
  replaced by one nominal step after it. As in the ffmpeg program, a frame whose stamp lies more
  than one and a half such steps before its predecessor's comes too late: no target rate picks it.
- The last frame is shown for as long as the others on average, so that n frames last
  ``t_last * n / (n - 1)`` seconds. Where the container says that it is held for longer, that holds;
  and where a gap in the middle makes the average long (one of 10 s, or of half of the video), it
  is shown for as long as the container says, or else as its predecessor was.
- At a target rate r, output frame k is the last source frame with ``t_j <= k / r + TOLERANCE``, and
  there is an output frame for every k with ``k / r + TOLERANCE < duration``.

In formats whose time stamps may jump (MPEG's streams, Ogg) the jumps are taken out before, as the
ffmpeg program does (:class:`JumpRemover`).
"""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Matroska and Flash keep whole milliseconds: the difference of two stamps is off by up to 1 ms.
TOLERANCE = 1.5e-3
"""Seconds by which a time stamp may miss the instant it stands for."""


DURATION_TOLERANCE = 0.25
"""Seconds by which a stated duration may differ from the measured one."""

# As the ffmpeg program's dts_error_threshold and dts_delta_threshold.
MAX_STAMP_JUMP = 30 * 3600.0
"""Seconds from the expected time beyond which a time stamp or duration is invalid."""
_JUMP = 10.0
MAX_LATENESS = 0.5
"""Seconds a frame may precede its predecessor; later than that, it is never shown."""
# Decoders may give out two frames in the wrong order; more that come late are not shown.
_MAX_LATE_STEPS = 1.5


class JumpRemover:
    """Closes the jumps in the time stamps of a stream's packets, as the ffmpeg program does.

    A packet continues its predecessor where its decoding time is more than 10 s away from where it
    is expected, or more than 0.1 s before its predecessor's.

    Args:
        second: ticks of the stream in a second.
        step: ticks that a packet lasts where it does not say.
    """

    def __init__(self, second: float, step: float) -> None:
        self.second, self.step = second, round(step)
        self.offset = 0
        self._last = 0
        self._next: int | None = None

    def correct(self, dts: int | None, duration: int | None) -> int:
        """Ticks to add to the stamps of the next packet, given its decoding time and duration."""
        if dts is None:
            dts = self._next
        else:
            dts += self.offset
            if self._next is not None and (
                abs(dts - self._next) > _JUMP * self.second or dts + self.second / 10 < self._last
            ):
                self.offset -= dts - self._next
                dts = self._next
        if dts is not None:
            self._last, self._next = dts, dts + (duration or self.step)
        return self.offset


class StampChooser:
    """Takes a frame's presentation or decoding time for its stamp, as FFmpeg's libraries do.

    That of the two that was out of order less often so far; the presentation time if both were
    so equally often.
    """

    def __init__(self) -> None:
        self._last_pts = self._last_dts = -math.inf
        self._disorder = 0

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp of the next frame, in the ticks of its times; None: it has none."""
        if dts is not None:
            self._disorder -= dts <= self._last_dts
        if pts is not None:
            self._disorder += pts <= self._last_pts
        if pts is not None or dts is not None:
            self._last_dts = pts if dts is None else dts
            self._last_pts = dts if pts is None else pts
        return pts if pts is not None and (self._disorder <= 0 or dts is None) else dts


class Clock:
    """Turns raw time stamps (seconds, or None) into times that start at 0 and only increase.

    Args:
        nominal: seconds between frames that the container states, used where stamps fail.
    """

    def __init__(self, nominal: float) -> None:
        self.nominal = nominal
        self.frames = 0
        self.last = 0.0
        self.origin: float | None = None
        self._num_shown = 0
        self._step = self._longest = self._length = 0.0

    def tick(self, stamp: float | None, length: float = 0.0) -> float | None:
        """The time in seconds at which the next frame is shown; None: it comes too late.

        Args:
            stamp: its raw time stamp in seconds.
            length: seconds that the container says it is shown; 0 where it does not say.
        """
        self.frames += 1
        expected = self.last + self.nominal if self._num_shown else 0.0
        if stamp is None:
            time = expected
        elif self.origin is None:
            time, self.origin = expected, stamp - expected
        else:
            time = stamp - self.origin
            if abs(time - expected) > MAX_STAMP_JUMP:
                time = expected
            elif time <= self.last:
                if time < self.last - min(MAX_LATENESS, _MAX_LATE_STEPS * self.nominal):
                    return None
                time = expected
        self._num_shown += 1
        self._step, self._length = time - self.last, length
        self._longest = max(self._longest, self._step)
        self.last = time
        return time

    @property
    def duration(self) -> float:
        """Seconds that the frames seen so far last together."""
        if self._num_shown == 0:
            return 0.0
        average = self.last / (self._num_shown - 1) if self._num_shown > 1 else self.nominal
        if self._length > average + DURATION_TOLERANCE:
            return self.last + self._length
        steady = self._length or self._step
        gap = (
            self._longest > min(_JUMP, self.last / 2 + DURATION_TOLERANCE)
            or average > steady + DURATION_TOLERANCE
        )
        if self._num_shown > 1 and gap and average > steady:
            return self.last + steady
        # Rounded in one step, as it always was: the last frame of some files depends on it.
        return (
            self.last * self._num_shown / (self._num_shown - 1)
            if self._num_shown > 1
            else self.nominal
        )


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
    timed_frames: Iterable[tuple[float | None, T]], rate: float, clock: Clock, first: int = 0
) -> Iterator[T]:
    """Pick frames by time stamp.

    Args:
        timed_frames: frames in order with the times that ``clock`` gave them, from one that is
            shown at or before ``first / rate`` on; those without a time are passed over.
        rate: output frames a second.
        clock: the clock that timed ``timed_frames``; asked for the duration after the last frame.
        first: the first output frame wanted.

    Yields:
        Output frames ``first``, ``first + 1``, ... up to the last one of the video; one source
        frame may come more than once or never.
    """
    k = first
    current: list[T] = []
    for time, frame in timed_frames:
        if time is None:
            continue
        while current and k / rate + TOLERANCE < time:
            yield current[0]
            k += 1
        current = [frame]
    for _ in range(k, resampled_count(clock.duration, rate) if current else k):
        yield current[0]
