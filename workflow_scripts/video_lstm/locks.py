"""File locks of the operating system, which are released when their process ends."""

import fcntl
import logging
import os
from typing import IO

logger = logging.getLogger("video_lstm")

_WARNED = "VIDEO_LSTM_NO_LOCKS"
"""Environment variable that is set after the warning, so that jobs of a run do not repeat it."""


def lock_file(file: IO, wait: bool = False) -> None:
    """Lock an open file against other processes until it is closed.

    Some file systems cannot lock files (Lustre without `flock`, NFS without a lock daemon). There
    the file stays unlocked, and the first call logs a warning.

    Args:
        file: File opened for writing.
        wait: Whether to wait for another process that has the lock.

    Raises:
        BlockingIOError: Another process has the lock, and `wait` is false.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if _WARNED not in os.environ:
            os.environ[_WARNED] = file.name
            logger.warning(
                "%s: the file system cannot lock files (%s); continuing without locks: do not "
                "start a second run in this folder, nothing prevents it",
                file.name,
                error.strerror,
            )
