"""Deferral of SIGTERM and SIGINT until the work is in a consistent state."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Defer SIGTERM and SIGINT until the end of a block.

    A signal handler may raise between any two instructions, such as halfway through an update of
    the weights. Within the block signals are only recorded. At its normal end the previous handlers
    are restored and receive the first recorded signal.

    Yields:
        Numbers of the signals received so far; the block checks the list and ends early.

    Raises:
        KeyboardInterrupt: A signal was received and its handler did not raise.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # handlers run in the main thread only
        return

    def record_signal(number: int, frame: Any) -> None:
        received.append(number)

    # An ignored signal (nohup) stays ignored.
    previous_handlers = {
        number: signal.getsignal(number) or signal.SIG_DFL
        for number in _SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    for number in previous_handlers:
        signal.signal(number, record_signal)
    try:
        yield received
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
        raise KeyboardInterrupt
