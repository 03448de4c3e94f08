"""Artifacts: complete or absent, with their provenance."""

import errno
import os
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from video_lstm import artifacts
from video_lstm.errors import UserError

PROVENANCE = artifacts.Provenance("sample_clips", {"seed": 3}, "c0de", {"videos": "1d"})


def write_clips(path, provenance=PROVENANCE, rows=5):
    with artifacts.create(path, "clips", provenance) as file:
        for name in ("video", "first", "frames", "native_frames", "path"):
            file.create_dataset(name, data=np.arange(rows, dtype=np.int32))


def test_round_trip_with_provenance(tmp_path):
    path = tmp_path / "new" / "clips.h5"
    write_clips(path)
    with artifacts.open_artifact(path, "clips") as file:
        assert file["frames"][()].tolist() == [0, 1, 2, 3, 4]
        assert file.attrs["stage"] == "sample_clips"
        assert file.attrs["settings"] == '{"seed":3}'
        assert file.attrs["inputs"] == '{"videos":"1d"}'


def test_the_same_run_gives_the_same_bytes_and_any_difference_another_identity(tmp_path):
    paths = [tmp_path / f"{n}.h5" for n in range(4)]
    write_clips(paths[0])
    write_clips(paths[1])
    write_clips(paths[2], artifacts.Provenance("sample_clips", {"seed": 4}, "c0de"))
    write_clips(paths[3], artifacts.Provenance("sample_clips", {"seed": 3}, "c0df"))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len({artifacts.identity(path) for path in paths}) == 3


def test_an_error_while_writing_leaves_the_old_artifact_and_no_temporary_file(tmp_path):
    path = tmp_path / "clips.h5"
    write_clips(path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), artifacts.create(path, "clips", PROVENANCE) as file:
        file["video"] = np.zeros(2)
        raise RuntimeError
    assert path.read_bytes() == before
    with (
        pytest.raises(ValueError, match=r"lacks .*frames"),
        artifacts.create(path, "clips", PROVENANCE),
    ):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["clips.h5"]


def test_a_killed_writer_leaves_no_file_under_the_final_name(tmp_path):
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from video_lstm import artifacts
        with artifacts.create(Path(sys.argv[1]), "clips", artifacts.Provenance("s", {}, "c")) as f:
            f["video"] = [1]
            f.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    path = tmp_path / "clips.h5"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, str(path)], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    write_clips(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "found no file"),
        (lambda path: path.write_bytes(b""), "no readable HDF5 file"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "no readable HDF5 file"),
        (lambda path: h5py.File(path, "a").attrs.update(schema="flow"), "found 'flow' version 2"),
        (lambda path: h5py.File(path, "a").attrs.update(schema_version=9), "'clips' version 9"),
        (
            lambda path: h5py.File(path, "a").pop("path"),
            "artifact with ['path'], found one without",
        ),
    ],
)
def test_a_damaged_or_wrong_artifact_is_refused_in_one_line(tmp_path, damage, message):
    path = tmp_path / "clips.h5"
    write_clips(path)
    damage(path)
    with pytest.raises(UserError) as error, artifacts.open_artifact(path, "clips"):
        pass
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_memory_map_is_the_data_set(tmp_path):
    path = tmp_path / "percepts.h5"
    values = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float16)
    with h5py.File(path, "w") as file:
        file.attrs["padding"] = "x" * 999
        file["percepts"] = values
        file.create_dataset("packed", data=values, compression="gzip")
        file["nothing"] = np.zeros((0, 7), np.float16)
    mapped = artifacts.map_dataset(path, "percepts")
    assert np.array_equal(mapped, values)
    assert not mapped.flags.writeable
    assert artifacts.map_dataset(path, "nothing").shape == (0, 7)
    with pytest.raises(UserError, match="not contiguous"):
        artifacts.map_dataset(path, "packed")


def test_a_signal_waits_for_a_flush_or_the_end(tmp_path):
    """A handler that raises while HDF5 writes would leave the file incomplete."""

    def record_signal(number, frame):
        raise InterruptedError

    before = signal.signal(signal.SIGTERM, record_signal)
    try:
        for name, flushes in (("a.h5", True), ("b.h5", False)):
            with (
                pytest.raises(InterruptedError),
                artifacts.create(tmp_path / name, "clips", PROVENANCE) as f,
            ):
                for member in ("video", "first", "frames", "native_frames", "path"):
                    f[member] = np.arange(5)
                os.kill(os.getpid(), signal.SIGTERM)
                if flushes:
                    f.flush()
                    raise AssertionError
        assert signal.getsignal(signal.SIGTERM) is record_signal
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.h5"]


def test_temporary_files_of_dead_processes_are_removed_and_others_kept(tmp_path):
    path = tmp_path / "clips.h5"
    with subprocess.Popen(["sleep", "60"]) as living:
        names = {}
        for process in (living.pid, 4_999_999):  # the second is beyond all numbers of processes
            names[process] = artifacts.temporary_path(path).name.replace(
                str(os.getpid()), str(process)
            )
            (tmp_path / names[process]).write_text("half")
        write_clips(path)
        living.kill()
    assert {entry.name for entry in tmp_path.iterdir()} == {"clips.h5", names[living.pid]}


def test_a_file_of_any_kind_is_complete_or_unchanged(tmp_path):
    path = tmp_path / "new" / "page.html"
    for text in ("first", "second"):
        with artifacts.atomic_write(path) as temporary:
            temporary.write_text(text)
    with pytest.raises(RuntimeError), artifacts.atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "second" and list(path.parent.iterdir()) == [path]


REASONS = [errno.EACCES, errno.EIO, errno.ENOLCK, errno.ENOSYS, errno.ESTALE, errno.EMFILE]


@pytest.mark.parametrize("number", REASONS)
@pytest.mark.parametrize("step", ["look", "open", "attributes"])
def test_an_artifact_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch, number, step):
    path = tmp_path / "clips.h5"
    write_clips(path)

    def refuse(*_, **__):
        if step == "attributes":  # the number is in the text only
            raise KeyError(f"Unable to open object (file read failed: errno = {number}, ...)")
        raise OSError(number, "Unable to synchronously open file")

    target, name = {
        "look": (type(path), "is_file"),
        "open": (h5py, "File"),
        "attributes": (artifacts, "_external_data"),
    }[step]
    monkeypatch.setattr(target, name, refuse)

    def open_it():
        with artifacts.open_artifact(path, "clips"):
            pass

    readers = [open_it]
    if step != "attributes":
        readers += [lambda: artifacts.identity(path), lambda: artifacts.schema_of(path)]
    for read in readers:
        with pytest.raises(UserError) as error:
            read()
        line = str(error.value)
        assert line.startswith(f"{path}: cannot be read ({os.strerror(number)}); ")
        assert "delete" not in line and "damaged" not in line and "\n" not in line
