"""Signals that wait until the work at hand is in a state that can be kept."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Hold SIGTERM and SIGINT back for the length of a block.

    A handler may raise between any two instructions, halfway through an update of the weights,
    say. Here it only notes the signal; when the block has ended well the handlers from before are
    in place again and the first signal noted is delivered to them.

    Yields:
        The signals noted so far; the block looks at it and ends early.

    Raises:
        KeyboardInterrupt: a signal was noted and its handler did not raise.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted  # handlers run in the main thread only: nothing to hold back here
        return

    def note(number: int, frame: Any) -> None:
        noted.append(number)

    # A signal that is ignored (nohup) stays so.
    previous = {
        number: signal.getsignal(number) or signal.SIG_DFL
        for number in _SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    for number in previous:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])
        raise KeyboardInterrupt
