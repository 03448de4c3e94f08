"""File systems that cannot lock files: the run continues with a warning."""

import errno
import os
import shutil
import subprocess
import sys

import h5py
import pytest
from projects import CONFIG, copy

from video_lstm import artifacts, locks
from video_lstm.errors import UserError
from video_lstm.flow.storage import PartialFlow
from video_lstm.video.clips import ClipName

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
static int refuse(void) { errno = atoi(getenv("NOLOCK_ERRNO")); return -1; }
int flock(int file, int operation) { return refuse(); }
static int control(const char *name, int file, int command, void *argument) {
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK) return refuse();
    return ((int (*)(int, int, void *))dlsym(RTLD_NEXT, name))(file, command, argument);
}
#define CONTROL(NAME) int NAME(int file, int command, ...) { \\
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \\
    return control(#NAME, file, command, argument); }
CONTROL(fcntl)
CONTROL(fcntl64)
"""


@pytest.fixture(scope="session")
def no_locks(tmp_path_factory):
    """Return a function from an errno to the environment of a process whose locks all fail."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc, to simulate a file system without locks")
    folder = tmp_path_factory.mktemp("no_locks")
    (folder / "no_locks.c").write_text(SOURCE)
    command = ["gcc", "-shared", "-fPIC", "-o", "no_locks.so", "no_locks.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return lambda number: (
        os.environ
        | {
            "LD_PRELOAD": str(folder / "no_locks.so"),
            "NOLOCK_ERRNO": str(number),
        }
    )


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_run_continues_without_locks_and_warns_once(checkout, tmp_path, no_locks, number):
    """The jobs create artifacts, read those of other jobs, and append to a partial extraction."""
    project = copy(checkout, tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "results/flow/tiny/0.h5"]
    done = subprocess.run(
        [*command, "--configfile", CONFIG],
        cwd=project, env=no_locks(number), text=True, stdout=-1, stderr=-2,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    warnings = [line for line in done.stdout.splitlines() if "cannot lock files" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith(".snakemake/run.lock: ") and os.strerror(number) in warnings[0]
    with artifacts.open_artifact(project / "results/flow/tiny/0.h5", "flow") as file:
        assert len(file["encoded"])


def test_a_failed_lock_is_a_warning_and_a_lock_of_another_process_an_error(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(locks.logger, "warning", lambda text, *words: warnings.append(text % words))
    for number in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.EAGAIN):
        monkeypatch.setattr(os, "environ", {})
        warnings.clear()

        def refuse(file, operation, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(locks.fcntl, "flock", refuse)
        with (tmp_path / "lock").open("w") as file:
            if number == errno.EAGAIN:
                with pytest.raises(BlockingIOError):
                    locks.lock_file(file)
                continue
            locks.lock_file(file)
            locks.lock_file(file)
        (warning,) = warnings
        assert warning.startswith(f"{tmp_path}/lock: ") and os.strerror(number) in warning


def test_two_extractions_without_locks_write_no_wrong_flow(tmp_path, monkeypatch):
    """The second truncates the file while the first appends, which leaves zeros in it."""
    monkeypatch.setattr(locks.fcntl, "flock", lambda *_: None)
    first = PartialFlow(tmp_path / "partial", "identity")
    first.append([b"image"])
    second = PartialFlow(tmp_path / "partial", "identity")
    first.end_clip()
    with (
        h5py.File(tmp_path / "flow.h5", "w") as file,
        pytest.raises(UserError, match="another process writes to the file"),
    ):
        first.finish(file, [ClipName("a.avi", 0)])
    first.close(remove=True)
    second.close(remove=True)
