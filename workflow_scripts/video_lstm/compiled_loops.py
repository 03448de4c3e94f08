"""Compilation of loops over arrays by Numba."""

from collections.abc import Callable
from typing import Any

import llvmlite.binding
from numba import njit

# LLVM does not vectorise a loop if more than 8 pairs of rows have to be checked for overlap at run
# time; the loops of this project have up to 100.
llvmlite.binding.set_option("video_lstm", "--runtime-memory-check-threshold=200")


def compile_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on its first call; later processes read the result from a cache.

    The cache is beside the code, or in the user's cache folder if that folder is read-only. If
    neither can be written to, every process compiles for itself. The GIL is released, and nothing
    runs in parallel. Arithmetic is exact IEEE 754: with `fastmath`, vectorised and scalar code
    differ in the last bits, so that a result would depend on where arrays lie in memory.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache
        return njit(**options)(function)
