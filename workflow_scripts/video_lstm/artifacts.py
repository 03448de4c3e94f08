"""HDF5 artifacts: what they hold, how they are written whole, and how they say where they are from.

An artifact that exists is whole: it is written to a temporary name beside its target, flushed to
disk, and renamed. Its attributes tell how it came about (`h5dump -A`): schema and version, stage,
settings, hash of the code, identities of its inputs, seed, library versions, device. `identity` is
the hash of all these, so that identities chain from a table back to the videos. There is no time
and no host in an artifact: the same run gives the same bytes, but for a training's speed.
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
    # name: (version, data sets and groups that are always there)
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
"""Schemas by name. A change of what a data set means raises the version."""

_HOST = socket.gethostname()
_VERSIONS = ("numpy", "h5py", "torch", "cv2", "av", "onnxruntime")


@dataclass(frozen=True)
class Provenance:
    """How an artifact came about.

    Attributes:
        stage: the script's name.
        settings: every setting that the script was given.
        code: hash of the script's code and of the library modules it imports.
        inputs: identity (or SHA-256) of each input, by its role.
        device: "cpu" or the GPU's model.
    """

    stage: str
    settings: Mapping[str, Any]
    code: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    def attributes(self, schema: str) -> dict[str, Any]:
        """The HDF5 attributes that tell it, `identity` among them."""
        # Only what is already imported: no stage pays for a library that it does not use. What a
        # module says of itself, since other packages than ours may have brought it.
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
    """Turn an error of the block's writing into a line that names the file.

    Raises:
        UserError: the folder cannot be written or the disk is full.
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
    """Turn an error of the block's reading into a line that names the file.

    Raises:
        UserError: the operating system does not let it be read. Its content may be whole, so the
            line does not advise to delete it.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno == errno.ENOMEM:
            raise
        raise UserError(
            f"{path}: cannot be read ({os.strerror(error.errno)}); that says nothing of its "
            "content, so keep it; mend what keeps it from being read and run the same command again"
        ) from error


def temporary_path(path: Path) -> Path:
    """A name beside a file or folder to write it under, this process's own.

    The orphan of a killed run may still be writing its own. What those have left under such names
    that live no more is removed, and the folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_HOST)}\.(\d+)\.tmp")
    for left in path.parent.iterdir():
        match = name.fullmatch(left.name)
        if match and (int(match[1]) == os.getpid() or not Path("/proc", match[1]).exists()):
            remove = shutil.rmtree if left.is_dir() else os.unlink
            with contextlib.suppress(FileNotFoundError):
                remove(left)
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file of any kind: whole under its own name, or not at all.

    Yields:
        A name beside it to write to. When the block ends well the file is flushed and renamed into
        place; otherwise it is removed.

    Raises:
        UserError: the folder cannot be written or the disk is full.
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
    """Write all of it by the `write` of a file without a buffer, which may take a part only."""
    rest = memoryview(data).cast("B")
    while len(rest):
        rest = rest[write(rest) :]


class _ErrorCapturingFile(io.FileIO):
    """A file for HDF5 to write to, which keeps the first error for `create` to raise.

    HDF5 must not hear of it: told of a full disk, it crashes as it closes what it has open. What
    comes after the first error is dropped; the file is not kept.
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
    """A signal waits for the block of `create` to end."""


class _Artifact(h5py.File):
    """A file that is written by way of a sink; `flush` ends the block where more is of no use."""

    def __init__(self, sink: _ErrorCapturingFile, pending_signals: list[int]) -> None:
        super().__init__(sink, "w", libver="v110")
        self._sink, self._noted = sink, pending_signals

    def flush(self) -> None:
        super().flush()
        if self._sink.error:
            raise self._sink.error
        if self._noted:
            raise _InterruptedError


@contextlib.contextmanager
def create(path: Path, schema: str, provenance: Provenance) -> Iterator[h5py.File]:
    """Write an artifact, `atomic_write`.

    Yields:
        The open file, its provenance already in its attributes. A full disk and a signal end the
        block when it calls the file's `flush`, or after it: where it works for long it should.
        When it ends well the file is checked against its schema.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    # No handler may raise in the sink, where HDF5 is at work.
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
    """Open an artifact to read, after checking that it is what is asked for.

    Raises:
        UserError: it is not there, cannot be read, is no HDF5 file, or has another schema or
            version.
    """
    path = Path(path)
    version, required = SCHEMAS[schema]
    again = "delete it and run the same command again"
    with translate_read_errors(path):
        if not path.is_file():
            raise UserError(
                f"{path}: expected a '{schema}' artifact, found no file; run its stage first"
            )
        file = _open_hdf5(path)
    if file is None:
        raise UserError(
            f"{path}: expected a '{schema}' artifact, found no readable HDF5 file; {again}"
        )
    with file:
        try:
            stored_schema = (file.attrs.get("schema"), file.attrs.get("schema_version"))
            missing, elsewhere = sorted(required - set(file)), _external_data(file)
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            with translate_read_errors(path):
                _raise_if_unreadable(error)
            raise UserError(
                f"{path}: expected a '{schema}' artifact, found a damaged one; {again}"
            ) from error
        if stored_schema != (schema, version):
            raise UserError(
                f"{path}: expected schema '{schema}' version {version}, "
                f"found {stored_schema[0]!r} version "
                f"{stored_schema[1]}; {again}"
            )
        if missing:
            raise UserError(f"{path}: a '{schema}' artifact, but without {missing}; {again}")
        if elsewhere:
            raise UserError(
                f"{path}: expected an artifact that holds its data itself, found {elsewhere} "
                f"elsewhere; {again}"
            )
        yield file


def _external_data(group: h5py.Group) -> list[str]:
    """Names that stand for data in other places, from where a file nobody named would be read."""
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
    """What an artifact says it is: its `identity` attribute; SHA-256 of any other file.

    Raises:
        UserError: there is no such file.
    """
    with translate_read_errors(path):
        if not Path(path).is_file():
            raise UserError(f"{path}: expected a file to read, found none; run its stage first")
        if stored_identity := _attribute(path, "identity"):
            return stored_identity
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def schema_of(path: Path) -> str | None:
    """The schema that an artifact says it has; None for any other file, and where there is none.

    Raises:
        UserError: the file cannot be read.
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
    """Open an HDF5 file to read; None if its content is that of no such file.

    Without HDF5's own lock, which some file systems do not have: a file that is there is whole, and
    nobody changes it.

    Raises:
        OSError: it cannot be read, whatever its content.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "file locking" in str(error):  # this process has it open already, with the lock
            return h5py.File(path, "r")
        _raise_if_unreadable(error)
        return None


def _raise_if_unreadable(error: Exception) -> None:
    """Raise an OSError where HDF5's error is the operating system's, not the file's content."""
    # HDF5 tells some of them in words only.
    stated = re.search(r"errno = (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(stated[1]) if stated else 0)
    if number:
        raise OSError(number, os.strerror(number)) from error


def map_dataset(path: Path, name: str) -> np.ndarray:
    """Memory map of a contiguous, uncompressed data set: slices cost no copy and no HDF5 call.

    Returns:
        Read-only array of the data set's shape and dtype.

    Raises:
        UserError: the data set is chunked or compressed.
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
    """Read back what `write_strings` wrote."""
    return [str(value) for value in group[name].asstr()[()]]


def write_arrays(group: h5py.Group, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays (weights, curves) as a subgroup; dots in names are kept as they are."""
    subgroup = group.create_group(name)
    for key, value in arrays.items():
        subgroup.create_dataset(key, data=np.asarray(value))


def read_arrays(group: h5py.Group, name: str) -> dict[str, np.ndarray]:
    """Read back what `write_arrays` wrote."""
    return {key: value[()] for key, value in group[name].items()}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
