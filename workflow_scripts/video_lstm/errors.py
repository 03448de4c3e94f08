"""The errors that a person can mend."""

import re


class UserError(Exception):
    """A file or setting is not what a stage needs.

    The message is one line: which file or setting, what was expected, what was found, what to do.
    Scripts print it as it is; the traceback goes to the log only.
    """


_OUT_OF_MEMORY = re.compile(
    r"out of memory|not enough memory|can(no|')t allocate memory|insufficient memory|bad_alloc"
    r"|failed to allocate memory|ALLOC_FAILED|can't start new thread",
    re.IGNORECASE,
)
"""What torch, CUDA, OpenCV, ONNX Runtime and the system say, each in its own words."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error is for lack of memory, of whatever library."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None
