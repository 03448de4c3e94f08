"""Errors that the user can fix."""

import re


class UserError(Exception):
    """A file or setting is not what a stage needs.

    The message is one line: the file or setting, what was expected, what was found, what to do.
    Scripts print only this line; the traceback is written to the log.
    """


_OUT_OF_MEMORY = re.compile(
    r"out of memory|not enough memory|can(no|')t allocate memory|insufficient memory|bad_alloc"
    r"|failed to allocate memory|ALLOC_FAILED|can't start new thread",
    re.IGNORECASE,
)
"""Messages of torch, CUDA, OpenCV, ONNX Runtime and the operating system."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of any library means that memory ran out."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None
