"""Prefetch batches, so that training does not wait for a disk."""

import ctypes
import mmap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch import Tensor

_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def read_ahead(addresses: np.ndarray, size: int) -> None:
    """Make the system read parts of memory-mapped files from disk, all at the same time.

    Otherwise each page is read when it is first used, one after the other.

    Args:
        addresses: Addresses of the parts in memory, (N,) int.
        size: Size of each part in bytes.
    """
    for address in addresses.tolist():
        start = address - address % mmap.PAGESIZE
        _madvise(start, address + size - start, mmap.MADV_WILLNEED)


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
