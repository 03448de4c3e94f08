"""Rows of an unfinished extraction, from which an interrupted job resumes."""

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from video_lstm import artifacts


class PartialRows:
    """A growing file of float16 rows, in blocks with checksums.

    A restarted job resumes from the files of earlier jobs with the same key. It copies their
    complete blocks to a new file, since an earlier job may still be writing, and removes theirs.

    Args:
        folder: Folder of the files; created if necessary.
        key: Identity of the artifact, hexadecimal.
        sizes: Number of rows of each block of the artifact, in order.
        dim: Number of values in a row.

    Attributes:
        blocks: Number of complete blocks.
        done: Number of rows in them.
    """

    def __init__(self, folder: Path, key: str, sizes: Sequence[int], dim: int) -> None:
        self._folder, self._key, self._dim = folder, key, dim
        self._sizes = sizes
        self.blocks = 0
        with artifacts.translate_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        earlier_paths = list(folder.glob(f"{key}.*.rows"))
        self._path = folder / f"{key}.{os.getpid()}-{os.urandom(4).hex()}.rows"
        with artifacts.translate_write_errors(self._path):
            self._file = self._path.open("w+b", buffering=0)
        longest = max(earlier_paths, key=_length, default=None)
        if longest is not None and longest.exists():
            try:
                with longest.open("rb") as file:
                    for rows in self._read(file, len(self._sizes)):
                        self.append(rows)
            except BaseException:  # leave no second copy on a full disk
                self.remove()
                raise
        for path in earlier_paths:
            path.unlink(missing_ok=True)

    @property
    def done(self) -> int:
        """Number of rows in complete blocks."""
        return sum(self._sizes[: self.blocks])

    def append(self, rows: np.ndarray) -> None:
        """Append the next block, (size, dim) float16.

        Raises:
            UserError: The disk is full.
        """
        if rows.shape != (self._sizes[self.blocks], self._dim) or rows.dtype != np.float16:
            raise ValueError(f"the next block cannot be {rows.shape} {rows.dtype}")
        data = np.ascontiguousarray(rows).tobytes()
        with artifacts.translate_write_errors(self._path):
            artifacts.write_fully(self._file.write, data + zlib.crc32(data).to_bytes(4, "little"))
        self.blocks += 1

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the complete blocks in order."""
        self._file.seek(0)
        yield from self._read(self._file, self.blocks)

    def remove(self) -> None:
        """Remove the file; its rows are in the artifact or no longer needed."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _read(self, file: BinaryIO, blocks: int) -> Iterator[np.ndarray]:
        """Yield the blocks before the first incomplete or damaged one."""
        for size in self._sizes[:blocks]:
            record = _read_fully(file, size * self._dim * 2 + 4)
            data, checksum = record[:-4], record[-4:]
            if len(record) < 4 or zlib.crc32(data).to_bytes(4, "little") != checksum:
                return
            yield np.frombuffer(data, np.float16).reshape(size, self._dim)


def _read_fully(file: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its job has just finished
        return 0
