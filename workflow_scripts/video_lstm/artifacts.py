"""HDF5 artifacts: their schemas, atomic writing, and provenance.

An artifact that exists is complete: it is written under a temporary name in the same folder,
flushed to disk and renamed. Its attributes (`h5dump -A`) are its provenance: schema and version,
stage, settings, hash of the code, identities of the inputs, library versions, device. `identity` is
the hash of all these, so identities chain from a table back to the videos. Artifacts contain no
date and no host name: the same run gives the same bytes, except for the speed of a training.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from video_lstm.errors import UserError
from video_lstm.interruption import deferred_signals

SCHEMAS: dict[str, tuple[int, frozenset[str]]] = {
    # name: (version, required data sets and groups)
    "videos": (3, frozenset({"id", "path", "class", "label", "group", "splits", "frames", "width",
                             "height", "rate", "duration", "status", "sha256", "transcoded",
                             "note", "classes"})),
    "probed": (2, frozenset({"path", "frames", "native_frames", "width", "height", "rate",
                             "duration", "status", "sha256", "transcoded", "note"})),
    "clips": (2, frozenset({"video", "first", "frames", "native_frames", "path"})),
    "flow": (3, frozenset({"encoded", "offsets", "video", "first", "clip_offsets"})),
    "percepts": (4, frozenset({"percepts", "video", "first", "clip_offsets"})),
    "patches": (2, frozenset({"train", "test", "mean_frame"})),
    "moving_mnist": (1, frozenset({"test", "mean_frame"})),
    "flow_convnet": (2, frozenset({"weights", "curves"})),
    "pretrained": (2, frozenset({"weights", "curves"})),
    "predictions": (1, frozenset({"errors", "samples"})),
    "finetuned": (3, frozenset({"scores", "video", "label", "accuracy", "curves"})),
    "representations": (2, frozenset({"video", "first", "block_offsets", "blocks", "videos"})),
}  # fmt: skip
"""Schemas by name. Raise the version when the meaning of a data set changes."""

_HOST = socket.gethostname()
_VERSIONS = ("numpy", "h5py", "torch", "cv2", "av", "onnxruntime")


@dataclass(frozen=True)
class Provenance:
    """Origin of an artifact.

    Attributes:
        stage: Name of the script.
        settings: Values of the script's options that affect the output.
        code: Hash of the script and of the library modules that it imports.
        inputs: Identity (or SHA-256) of each input, by role.
        device: "cpu" or the name of the GPU.
    """

    stage: str
    settings: Mapping[str, Any]
    code: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    def attributes(self, schema: str) -> dict[str, Any]:
        """Return the provenance as HDF5 attributes, with `identity`."""
        # Only libraries that are already imported; importing the others would cost time. From
        # __version__, as package metadata is absent where another package bundles the module.
        versions = {
            name: sys.modules[name].__version__ for name in _VERSIONS if name in sys.modules
        }
        attributes = {
            "schema": schema,
            "schema_version": SCHEMAS[schema][0],
            "stage": self.stage,
            "settings": _canonical(self.settings),
            "code": self.code,
            "inputs": _canonical(self.inputs),
            "versions": _canonical(versions),
            "device": self.device,
        }
        return attributes | {
            "identity": hashlib.sha256(_canonical(attributes).encode()).hexdigest()
        }


@contextlib.contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Turn write errors of the block into a message that names the file.

    Raises:
        UserError: The folder cannot be written or the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise UserError(
            f"{path}: cannot be written ({reason}); free space or choose another place"
        ) from error


@contextlib.contextmanager
def translate_read_errors(path: Path) -> Iterator[None]:
    """Turn read errors of the block into a message that names the file.

    Raises:
        UserError: the operating system cannot read the file. Its content may be intact, so the
            message does not advise to delete it.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno == errno.ENOMEM:
            raise
        raise UserError(
            f"{path}: cannot be read ({os.strerror(error.errno)}); keep the file, its content may "
            "be intact; fix the cause and run the same command again"
        ) from error


def temporary_path(path: Path) -> Path:
    """Return a temporary path in the same folder, unique to this process.

    Creates the folder, and removes temporary files of processes that no longer exist. Jobs of a
    killed run may still be writing theirs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_HOST)}\.(\d+)\.tmp")
    for entry in path.parent.iterdir():
        match = name.fullmatch(entry.name)
        if match and (int(match[1]) == os.getpid() or not Path("/proc", match[1]).exists()):
            remove = shutil.rmtree if entry.is_dir() else os.unlink
            with contextlib.suppress(FileNotFoundError):
                remove(entry)
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file of any kind completely or not at all.

    Yields:
        Temporary path to write to. If the block succeeds, the file is flushed to disk and renamed
        to `path`; otherwise it is removed.

    Raises:
        UserError: The folder cannot be written or the disk is full.
    """
    path = Path(path)
    with translate_write_errors(path):
        temporary = temporary_path(path)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_fully(write: Callable[[memoryview], int], data: bytes | memoryview) -> None:
    """Write all data to an unbuffered file, whose `write` may accept only a part at a time."""
    remaining = memoryview(data).cast("B")
    while len(remaining):
        remaining = remaining[write(remaining) :]


class _ErrorCapturingFile(io.FileIO):
    """File for HDF5 to write to that stores the first error, for `create` to raise.

    HDF5 itself must see no error: after one, such as a full disk, it crashes when it closes the
    file. Writes after the first error are dropped, and the file is deleted.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if not self.error:
            try:
                write_fully(super().write, view)
            except OSError as error:
                self.error = error
        return view.nbytes


class _InterruptedError(Exception):
    """A signal arrived during the block of `create`."""


class _Artifact(h5py.File):
    """HDF5 file written through a sink; `flush` raises after a write error or a signal."""

    def __init__(self, sink: _ErrorCapturingFile, pending_signals: list[int]) -> None:
        super().__init__(sink, "w", libver="v110")
        self._sink, self._pending_signals = sink, pending_signals

    def flush(self) -> None:
        super().flush()
        if self._sink.error:
            raise self._sink.error
        if self._pending_signals:
            raise _InterruptedError


@contextlib.contextmanager
def create(path: Path, schema: str, provenance: Provenance) -> Iterator[h5py.File]:
    """Write an artifact completely or not at all.

    Yields:
        Open HDF5 file whose attributes contain the provenance. A full disk or a signal takes effect
        when the block calls the file's `flush`, as long blocks should, or at its end. A finished
        file is checked against its schema.

    Raises:
        UserError: The folder cannot be written or the disk is full.
    """
    # Signals are deferred, as a handler must not raise while HDF5 writes to the sink.
    with (
        deferred_signals() as pending_signals,
        contextlib.suppress(_InterruptedError),
        atomic_write(path) as temporary,
        _ErrorCapturingFile(temporary, "w+") as sink,
    ):
        try:
            with _Artifact(sink, pending_signals) as file:
                file.attrs.update(provenance.attributes(schema))
                yield file
                missing = SCHEMAS[schema][1] - set(file)
                if missing:
                    raise ValueError(f"{path}: a '{schema}' artifact lacks {sorted(missing)}")
        finally:
            if sink.error:
                raise sink.error


@contextlib.contextmanager
def open_artifact(path: Path, schema: str) -> Iterator[h5py.File]:
    """Open an artifact for reading and check its schema.

    Raises:
        UserError: The file is missing, unreadable or not HDF5, or has another schema or version.
    """
    path = Path(path)
    version, required = SCHEMAS[schema]
    advice = "delete it and run the same command again"
    with translate_read_errors(path):
        if not path.is_file():
            raise UserError(
                f"{path}: expected a '{schema}' artifact, found no file; run its stage first"
            )
        file = _open_hdf5(path)
    if file is None:
        raise UserError(
            f"{path}: expected a '{schema}' artifact, found no readable HDF5 file; {advice}"
        )
    with file:
        try:
            stored_schema = (file.attrs.get("schema"), file.attrs.get("schema_version"))
            missing, external = sorted(required - set(file)), _external_data(file)
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            with translate_read_errors(path):
                _raise_if_unreadable(error)
            raise UserError(
                f"{path}: expected a '{schema}' artifact, found a damaged one; {advice}"
            ) from error
        if stored_schema != (schema, version):
            raise UserError(
                f"{path}: expected schema '{schema}' version {version}, "
                f"found {stored_schema[0]!r} version "
                f"{stored_schema[1]}; {advice}"
            )
        if missing:
            raise UserError(
                f"{path}: expected a '{schema}' artifact with {missing}, found one without; "
                f"{advice}"
            )
        if external:
            raise UserError(
                f"{path}: expected an artifact that contains all its data, found {external} in "
                f"other files; {advice}"
            )
        yield file


def _external_data(group: h5py.Group) -> list[str]:
    """Return names of data that is stored in other files, which nothing checks."""
    names: list[str] = []
    for name in group:
        item = None
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
        if isinstance(item, h5py.Group):
            names += _external_data(item)
        elif item is None or item.is_virtual or item.external:
            names.append(f"{group.name.rstrip('/')}/{name}")
    return names


def identity(path: Path) -> str:
    """Return the `identity` attribute of an artifact, or the SHA-256 of any other file.

    Raises:
        UserError: The file is missing.
    """
    with translate_read_errors(path):
        if not Path(path).is_file():
            raise UserError(f"{path}: expected a file to read, found none; run its stage first")
        if stored_identity := _attribute(path, "identity"):
            return stored_identity
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def schema_of(path: Path) -> str | None:
    """Return the schema of an artifact; None for any other file and for a missing one.

    Raises:
        UserError: The file cannot be read.
    """
    with translate_read_errors(path):
        return _attribute(path, "schema") if Path(path).is_file() else None


def _attribute(path: Path, name: str) -> str | None:
    file = _open_hdf5(path)
    if file is None:
        return None
    with file:
        return str(file.attrs[name]) if name in file.attrs else None


def _open_hdf5(path: Path) -> h5py.File | None:
    """Open an HDF5 file for reading; return None if its content is not HDF5.

    HDF5's lock is off, as some file systems have none. It is not needed: artifacts that exist are
    complete and never change.

    Raises:
        OSError: The operating system cannot read the file.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "file locking" in str(error):  # this process has it open with the lock
            return h5py.File(path, "r")
        _raise_if_unreadable(error)
        return None


def _raise_if_unreadable(error: Exception) -> None:
    """Raise an OSError if HDF5 failed because of the operating system, not the content."""
    # Some of HDF5's errors have the number in their text only.
    stated = re.search(r"errno = (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(stated[1]) if stated else 0)
    if number:
        raise OSError(number, os.strerror(number)) from error


def map_dataset(path: Path, name: str) -> np.ndarray:
    """Map a contiguous, uncompressed data set into memory, so that slices need no HDF5 call.

    Returns:
        Read-only array with the shape and dtype of the data set.

    Raises:
        UserError: The data set is chunked or compressed.
    """
    with translate_read_errors(path):
        file = _open_hdf5(path)
        if file is None:
            raise UserError(f"{path}: found no readable HDF5 file; delete it and run again")
        with file:
            dataset = file[name]
            offset, shape, dtype = dataset.id.get_offset(), dataset.shape, dataset.dtype
        if 0 in shape:
            return np.zeros(shape, dtype)
        if offset is None:
            raise UserError(f"{path}: '{name}' is not contiguous; delete it and run again")
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def write_strings(group: h5py.Group, name: str, values: list[str]) -> None:
    """Write a list of strings as variable-length UTF-8."""
    group.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())


def read_strings(group: h5py.Group, name: str) -> list[str]:
    """Read a list of strings written by `write_strings`."""
    return [str(value) for value in group[name].asstr()[()]]


def write_arrays(group: h5py.Group, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays (weights, curves) as a subgroup."""
    subgroup = group.create_group(name)
    for key, value in arrays.items():
        subgroup.create_dataset(key, data=np.asarray(value))


def read_arrays(group: h5py.Group, name: str) -> dict[str, np.ndarray]:
    """Read named arrays written by `write_arrays`."""
    return {key: value[()] for key, value in group[name].items()}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
