"""Compilation of loops over arrays by Numba."""

import contextlib
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from numba import njit
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

# LLVM does not vectorise a loop if more than 8 pairs of rows have to be checked for overlap at run
# time; the loops of this project have up to 100.
llvmlite.binding.set_option("video_lstm", "--runtime-memory-check-threshold=200")


class _OptionalCache(FunctionCache):
    """Numba's cache, but a damaged file or a full disk means compilation, not an error."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            # Numba would load all that it needs for compilation, which takes a third of a second.
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except Exception:  # unpickling a damaged file may raise anything
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


def compile_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function on its first call; later processes read the result from a cache.

    The cache is beside the code, or in the user's cache folder if that folder is read-only. If
    neither can be written to, every process compiles for itself. The GIL is released, and nothing
    runs in parallel. Arithmetic is exact IEEE 754: with `fastmath`, vectorised and scalar code
    differ in the last bits, so that a result would depend on where arrays lie in memory.
    """
    dispatcher: Any = njit(nogil=True, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # no folder for the cache
        dispatcher._cache = _OptionalCache(function)
    return dispatcher


def compile_inline_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function into each compiled function that calls it.

    For the loop over a row: a call with 20 arrays takes as long as 80 pixels.
    """
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)
