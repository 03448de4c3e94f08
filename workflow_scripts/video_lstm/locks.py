"""Locks of files: the operating system's, which end with their process, however that ends."""

import fcntl
import logging
import os
from typing import IO

logger = logging.getLogger("video_lstm")

_SAID = "VIDEO_LSTM_NO_LOCKS"
"""In the environment, so that the jobs of a run do not say again what the run has said."""


def lock_file(file: IO, wait: bool = False) -> None:
    """Lock an open file against other processes, until it is closed.

    Some file systems cannot lock (Lustre without `flock`, NFS without a lock daemon). There the
    file stays unlocked, and the first call says so.

    Args:
        file: open for writing.
        wait: whether to wait for another process that holds the lock.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        if _SAID not in os.environ:
            os.environ[_SAID] = file.name
            logger.warning(
                "%s: the file system cannot lock files (%s); going on without locks: do not start "
                "a second run in this folder, nothing would stop it",
                file.name,
                error.strerror,
            )
