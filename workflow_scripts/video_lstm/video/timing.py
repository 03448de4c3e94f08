"""Display times of frames, and the selection of frames at a target rate.

Probing, clip sampling and decoding share these rules, so that they agree on the number of frames of
a video:

- Frame 0 is shown at 0 s and frame j at ``t_j``, its time stamp minus the first one. A time stamp
  that is missing, not after the previous one, or more than 30 hours away from it is replaced by
  one nominal interval after the previous one. As in the ffmpeg program, a frame whose time stamp
  is more than one and a half intervals before the previous one is late and is never selected.
- The last frame is shown for the average duration of the others, so that n frames last
  ``t_last * n / (n - 1)`` seconds; or for the container's duration of that frame, if longer. If a
  gap (of 10 s, or half of the video) makes the average long, the last frame has the container's
  duration, or else that of the previous frame.
- At a target rate r, output frame k is the last source frame with ``t_j <= k / r + TOLERANCE``, and
  there is an output frame for every k with ``k / r + TOLERANCE < duration``.

In formats whose time stamps may jump (MPEG streams, Ogg), jumps are removed first, as by the ffmpeg
program (:class:`JumpRemover`).
"""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Matroska and Flash round to milliseconds: the difference of two time stamps may be 1 ms off.
TOLERANCE = 1.5e-3
"""Error of time stamps in seconds that is tolerated."""

DURATION_TOLERANCE = 0.25
"""Difference in seconds between declared and measured durations that is tolerated."""

# The ffmpeg program's dts_error_threshold and dts_delta_threshold.
MAX_STAMP_JUMP = 30 * 3600.0
"""Seconds from the expected time beyond which a time stamp or duration is invalid."""
_JUMP = 10.0
MAX_LATENESS = 0.5
"""Seconds that a frame may be before the previous one; if more, it is never shown."""
# Same for nominal intervals: decoders may output two frames in the wrong order.
_MAX_LATE_STEPS = 1.5


class JumpRemover:
    """Removes jumps in the time stamps of a stream's packets, as the ffmpeg program does.

    A packet whose decoding time is more than 10 s away from the expected one, or more than 0.1 s
    before the previous one, gets the expected time.

    Args:
        second: Ticks per second of the stream.
        step: Ticks of a packet without a duration.

    Attributes:
        offset: Ticks to add to the next time stamps.
    """

    def __init__(self, second: float, step: float) -> None:
        self.second, self.step = second, round(step)
        self.offset = 0
        self._last = 0
        self._next: int | None = None

    def correct(self, dts: int | None, duration: int | None) -> int:
        """Return the ticks to add to the time stamps of the next packet.

        Args:
            dts: Decoding time in ticks; None: unknown.
            duration: Duration in ticks; None or 0: unknown.
        """
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
    """Chooses between a frame's presentation and decoding time, as FFmpeg's libraries do.

    It chooses the one that has been out of order less often; the presentation time if they are
    equal.
    """

    def __init__(self) -> None:
        self._last_pts = self._last_dts = -math.inf
        self._disorder = 0

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """Return the time stamp of the next frame in ticks; None if it has none."""
        if dts is not None:
            self._disorder -= dts <= self._last_dts
        if pts is not None:
            self._disorder += pts <= self._last_pts
        if pts is not None or dts is not None:
            self._last_dts = pts if dts is None else dts
            self._last_pts = dts if pts is None else pts
        return pts if pts is not None and (self._disorder <= 0 or dts is None) else dts


class Clock:
    """Converts time stamps to display times that start at 0 and increase.

    Args:
        nominal: Frame interval in seconds that the container declares, for invalid time stamps.

    Attributes:
        frames: Number of frames.
        last: Display time of the last frame in seconds.
        origin: Time stamp of display time 0 in seconds; None before the first time stamp.
    """

    def __init__(self, nominal: float) -> None:
        self.nominal = nominal
        self.frames = 0
        self.last = 0.0
        self.origin: float | None = None
        self._num_shown = 0
        self._step = self._longest = self._length = 0.0

    def tick(self, stamp: float | None, length: float = 0.0) -> float | None:
        """Return the display time of the next frame in seconds; None if it is late and not shown.

        Args:
            stamp: Time stamp in seconds; None: unknown.
            length: Duration of the frame in seconds; 0: unknown.
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
        """Total duration of the frames in seconds."""
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
        # In one expression: the number of output frames of some files depends on its rounding.
        return (
            self.last * self._num_shown / (self._num_shown - 1)
            if self._num_shown > 1
            else self.nominal
        )


def frames_before(seconds: float, rate: float) -> int:
    """Return the number of frames at ``rate`` Hz that are shown before ``seconds``."""
    return max(0, math.ceil((seconds - TOLERANCE) * rate))


def resampled_count(duration: float, rate: float) -> int:
    """Return the number of frames of a video of ``duration`` seconds at ``rate`` Hz."""
    return max(1, frames_before(duration, rate))


def target_frames(frames: int, duration: float, rate: float | None) -> int:
    """Return the number of frames that a reader yields: at ``rate`` Hz, or the source frames."""
    return frames if rate is None else resampled_count(duration, rate)


def resample(
    timed_frames: Iterable[tuple[float | None, T]], rate: float, clock: Clock, first: int = 0
) -> Iterator[T]:
    """Select frames at a target rate by their display times.

    Args:
        timed_frames: Frames in order with their display times by ``clock``, starting with one that
            is shown by ``first / rate``; those without a time are skipped.
        rate: Target frame rate in Hz.
        clock: Clock of ``timed_frames``; its duration is read after the last frame.
        first: Index of the first output frame.

    Yields:
        Output frames from ``first`` to the last one of the video; a source frame may be repeated or
        skipped.
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
