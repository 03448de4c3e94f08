"""Progress lines: units done, total, rate, time left."""

import logging
import sys
import time

logger = logging.getLogger("video_lstm")


class Progress:
    """Logs the progress of a job every 10 seconds on a terminal, every minute in a log file.

    Args:
        total: Number of units to do.
        unit: Name of the units, such as "frames".
        done: Number of units done before this process started, in a resumed job.
    """

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._initial, self._interval = done, 10.0 if sys.stderr.isatty() else 60.0
        self._start = self._last_logged = time.monotonic()

    @property
    def rate(self) -> float:
        """Units per second since the start."""
        return (self.done - self._initial) / max(time.monotonic() - self._start, 1e-9)

    def update(self, count: int = 1, note: str = "") -> None:
        """Add `count` units; log a line, with `note` at its end, if the interval is over."""
        self.done += count
        now = time.monotonic()
        if now - self._last_logged < self._interval:
            return
        self._last_logged = now
        rate = self.rate
        time_left = format_duration((self.total - self.done) / rate) if rate > 0 else "?"
        logger.info(
            "%d of %d %s, %.1f/s, %s left%s",
            self.done, self.total, self.unit, rate, time_left, f", {note}" if note else "",
        )  # fmt: skip


def format_duration(seconds: float) -> str:
    """Format seconds as 0:05, 12:30 or 3:00:00."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
