"""Prefetch batches, so that a GPU does not wait for a disk."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor


class Prefetcher:
    """Reads the batch of the next step in a thread while the current one is used.

    Args:
        read: Returns the batch of a step and a size; called in a single background thread, and in
            the caller's where a batch was not prefetched.
    """

    def __init__(self, read: Callable[[int, int], Tensor]) -> None:
        self._read = read
        self._executor = ThreadPoolExecutor(1, "read-ahead")
        self._prefetched: tuple[tuple[int, int], Future[Tensor]] | None = None

    def __call__(self, step: int, size: int) -> Tensor:
        """Return the batch of a step as `read` does, or raise its error."""
        if self._prefetched is not None and self._prefetched[0] == (step, size):
            batch = self._prefetched[1].result()
        else:
            batch = self._read(step, size)
        self._prefetched = (step + 1, size), self._executor.submit(self._read, step + 1, size)
        return batch
