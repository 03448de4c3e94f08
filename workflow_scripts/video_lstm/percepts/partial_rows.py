"""Rows of a job that was killed: kept beside the artifact, and taken up again."""

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from video_lstm import artifacts


class PartialRows:
    """A growing file of float16 rows, in blocks that tell whether they are whole.

    A job that starts again continues what the jobs before it left under the same key: it copies
    the blocks that are whole to a file of its own, since the other job may still be writing, and
    removes theirs.

    Args:
        folder: where such files are kept; made if need be.
        key: what the rows are a function of, as a name of hexadecimal digits.
        sizes: rows of each block, in order; all of them together are the artifact's.
        dim: values of a row.

    Attributes:
        blocks: how many are there.
        done: how many rows that is.
    """

    def __init__(self, folder: Path, key: str, sizes: Sequence[int], dim: int) -> None:
        self._folder, self._key, self._dim = folder, key, dim
        self._sizes = sizes
        self.blocks = 0
        with artifacts.translate_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        left = list(folder.glob(f"{key}.*.rows"))
        self._path = folder / f"{key}.{os.getpid()}-{os.urandom(4).hex()}.rows"
        with artifacts.translate_write_errors(self._path):
            self._file = self._path.open("w+b", buffering=0)
        longest = max(left, key=_length, default=None)
        if longest is not None and longest.exists():
            try:
                with longest.open("rb") as file:
                    for rows in self._read(file, len(self._sizes)):
                        self.append(rows)
            except BaseException:  # no second copy is left where there is no room for one
                self.remove()
                raise
        for path in left:
            path.unlink(missing_ok=True)

    @property
    def done(self) -> int:
        """Rows that are there."""
        return sum(self._sizes[: self.blocks])

    def append(self, rows: np.ndarray) -> None:
        """Add the next block: (its size, dim) float16.

        Raises:
            UserError: the disk is full.
        """
        if rows.shape != (self._sizes[self.blocks], self._dim) or rows.dtype != np.float16:
            raise ValueError(f"not the next block: {rows.shape} {rows.dtype}")
        data = np.ascontiguousarray(rows).tobytes()
        with artifacts.translate_write_errors(self._path):
            artifacts.write_fully(self._file.write, data + zlib.crc32(data).to_bytes(4, "little"))
        self.blocks += 1

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks that are there, in order."""
        self._file.seek(0)
        yield from self._read(self._file, self.blocks)

    def remove(self) -> None:
        """Give the space free: the rows are in their artifact, or wanted no more."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _read(self, file: BinaryIO, blocks: int) -> Iterator[np.ndarray]:
        """Blocks up to the first that is cut short or damaged."""
        for size in self._sizes[:blocks]:
            record = _read_fully(file, size * self._dim * 2 + 4)
            data, told = record[:-4], record[-4:]
            if len(record) < 4 or zlib.crc32(data).to_bytes(4, "little") != told:
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
    except FileNotFoundError:  # its job has just ended
        return 0
