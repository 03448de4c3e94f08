"""Lines that tell how far a job is: done, total, rate, time left."""

import logging
import sys
import time

logger = logging.getLogger("video_lstm")


class Progress:
    """Tells, every now and then, how far a job is.

    One line every 10 seconds on a terminal, one a minute elsewhere (a log file).

    Args:
        total: how many there are to do.
        unit: what is counted ("frames", "steps").
        done: how many were done before this process started (a resumed job).
    """

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._first, self._interval = done, 10.0 if sys.stderr.isatty() else 60.0
        self._start = self._last = time.monotonic()

    @property
    def rate(self) -> float:
        """Units per second since the start."""
        return (self.done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def update(self, count: int = 1, note: str = "") -> None:
        """Count on, and say so if it is time to; `note` follows the line (a loss, say)."""
        self.done += count
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        rate = self.rate
        left = clock((self.total - self.done) / rate) if rate > 0 else "?"
        logger.info(
            "%d of %d %s, %.1f/s, %s left%s",
            self.done, self.total, self.unit, rate, left, f", {note}" if note else "",
        )  # fmt: skip


def clock(seconds: float) -> str:
    """Seconds as a person reads them: 0:05, 12:30, 3:00:00."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
