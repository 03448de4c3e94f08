"""Control of a run of the workflow: its lock, SIGTERM, and the messages of failed jobs.

The Snakefile calls these functions; no script needs them.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from video_lstm.errors import UserError
from video_lstm.locks import lock_file

_LOCK = Path(".snakemake/run.lock")


def lock_run_folder(folder: Path) -> IO:
    """Lock a folder against other runs, for as long as the returned file is open.

    The operating system releases the lock when the process ends, even after kill -9. Snakemake's
    own lock would stay; profiles/default turns it off.

    Raises:
        UserError: another run is working in the folder.
    """
    path = folder / _LOCK
    path.parent.mkdir(exist_ok=True)
    file = path.open("a+")
    try:
        lock_file(file)
    except BlockingIOError:
        file.seek(0)
        process = file.read().strip() or "unknown"
        file.close()
        raise UserError(
            f"another run (process {process}) is working in {folder.resolve()}; wait for it to "
            "end, or use --directory for a folder of your own"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def stop_scripts_on_sigterm(scripts: str) -> None:
    """Pass SIGTERM on to the scripts that this process has started.

    Snakemake alone starts no more jobs after SIGTERM, but waits for the running ones, which may
    take days. Its own handler is called first.

    Args:
        scripts: Folder of the scripts, as it stands in their command lines.
    """
    previous = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        if callable(previous):
            previous(number, frame)
        stop_scripts(scripts)

    signal.signal(signal.SIGTERM, stop)


def stop_scripts(scripts: str) -> None:
    """Send SIGTERM to each running script, which writes a checkpoint and stops.

    Args:
        scripts: Folder of the scripts, as it stands in their command lines.
    """
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(word.startswith(f"{scripts}/") for word in child.cmdline()[1:]):
                child.terminate()


def failure_messages(run_logs: Iterable[Path]) -> list[str]:
    """Return a line for each failed job: its log, and the last error in that.

    Args:
        run_logs: Snakemake's own logs of the run, which name the logs of failed jobs.
    """
    run = "".join(path.read_text() for path in run_logs)
    messages = []
    for name in dict.fromkeys(re.findall(r"^ +log: (.+) \(check log", run, re.M)):
        log = Path(name).read_text() if Path(name).exists() else ""
        errors = re.findall(r"^[\d:]{8} (.+)\nTraceback", log, re.M) or [
            "ended without an error message: it was killed, usually because memory ran out, or did "
            "not start (see its output above)"
        ]
        messages.append(f"{name}: {errors[-1]}")
    return messages
