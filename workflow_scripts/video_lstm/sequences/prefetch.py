"""Batches that are read one step ahead, so that a GPU does not wait for a disk."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor


class Prefetcher:
    """Reads the batch of the next step in a thread while the one of this step is used.

    Args:
        read: the batch of a step and a size; called in another thread, one call at a time there.
    """

    def __init__(self, read: Callable[[int, int], Tensor]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._next: tuple[tuple[int, int], Future[Tensor]] | None = None

    def __call__(self, step: int, size: int) -> Tensor:
        """The batch of a step: what `read` gives, or the error that it raised."""
        if self._next is not None and self._next[0] == (step, size):
            batch = self._next[1].result()
        else:
            batch = self._read(step, size)
        self._next = (step + 1, size), self._thread.submit(self._read, step + 1, size)
        return batch
