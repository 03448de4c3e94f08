"""Store optical flow as compressed 8-bit images in HDF5, with random access.

As in Simonyan & Zisserman (2014, section 3.1 "implementation"), displacements are clipped, rescaled
linearly to 8 bits and stored as images. With the bound B:

    q = round(clip(d, -B, B) * 127 / B) + 128          in 1 .. 255
    d = (q - 128) * B / 127

Zero is exact (q = 128), and an error within the bound is at most B / 254 (half a step): 0.079
pixels at the paper's bound of 20. An image holds u above v: (2 H, W).
"""

import json
import logging
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2
import h5py
import numpy as np

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.locks import lock_file
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video.clips import ClipName, number_clips, read_names, read_rate, write_names

logger = logging.getLogger("video_lstm")

ZERO = 128
"""Quantised value of a displacement of 0 pixels."""
_LEVELS = 127

# Run-length encoded differences to the row above, which are small and fast for flow (240 x 160
# images of Weizmann: 2.2 kB, 0.2 ms to encode, 0.1 ms to decode; OpenCV's default: 3.0 kB).
_PNG = [
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
    cv2.IMWRITE_PNG_COMPRESSION, 1,
]  # fmt: skip


def quantise(flow: np.ndarray, bound: float) -> np.ndarray:
    """Quantise displacements in pixels, float32 of any shape, to uint8 (1 .. 255, 128 is zero)."""
    scaled = np.clip(flow, -bound, bound) * np.float32(_LEVELS / bound)
    return (np.rint(scaled) + ZERO).astype(np.uint8)


def dequantise(quantised: np.ndarray, bound: float) -> np.ndarray:
    """Convert quantised displacements, uint8 of any shape, to pixels, float32."""
    return (quantised.astype(np.float32) - ZERO) * np.float32(bound / _LEVELS)


def encode(flow: np.ndarray, settings: FlowSettings) -> list[bytes]:
    """Quantise and compress flow fields.

    Args:
        flow: Flow in pixels, (N, 2, H, W) float32, finite.
        settings: Bound, codec and quality.

    Returns:
        N encoded images (2 H, W), each with u above v.
    """
    if not np.isfinite(flow).all():
        raise ValueError(f"expected finite flow, found NaN or infinity ({settings.method})")
    images = quantise(flow, settings.bound).reshape(len(flow), -1, flow.shape[-1])
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality]
    parameters = jpeg if settings.codec == "jpeg" else _PNG
    return [cv2.imencode(f".{settings.codec}", image, parameters)[1].tobytes() for image in images]


# Writing -------------------------------------------------------------------------------------

_LENGTH = struct.Struct("<I")
_CLIP_END = struct.Struct("<III")
_BLOCK = 1 << 24


class PartialFlow:
    """Flow of an unfinished extraction, in a file from which an interrupted job resumes.

    The file starts with the identity of the artifact. Each image follows its length; each clip ends
    with a length of 0, its number of images and their CRC-32. Anything after the last valid clip is
    dropped when the file is reopened; a file with another identity is overwritten. A second process
    for the same artifact (a restarted run whose old job still runs) waits for the first. On file
    systems without locks it cannot wait, and `finish` detects the damage.

    Args:
        path: Path of the file; created if it does not exist.
        identity: Identity of the artifact.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.lengths: list[list[int]] = []
        """Sizes in bytes of the images, for each complete clip."""
        self._open_clip: list[int] = []
        self._checksum = 0
        self._header = identity.encode() + b"\n"
        with artifacts.translate_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_exclusively(path)
        if self._file.read(len(self._header)) != self._header:
            self._file.seek(0)
            self._file.truncate()
            self._write(self._header)
        end = self._find_end()
        self._file.seek(end)
        self._file.truncate()

    @property
    def num_clips(self) -> int:
        """Number of complete clips."""
        return len(self.lengths)

    def append(self, images: Iterable[bytes]) -> None:
        """Append images to the current clip."""
        for image in images:
            self._write(_LENGTH.pack(len(image)) + image)
            self._checksum = zlib.crc32(image, self._checksum)
            self._open_clip.append(len(image))

    def end_clip(self) -> None:
        """Mark the clip as complete."""
        self._write(_CLIP_END.pack(0, len(self._open_clip), self._checksum))
        self.lengths.append(self._open_clip)
        self._open_clip, self._checksum = [], 0

    def finish(self, file: h5py.File, names: Sequence[ClipName]) -> None:
        """Copy all flow into an artifact: `encoded`, `offsets`, `clip_offsets` and clip names.

        Args:
            file: Artifact to write to.
            names: Names of the complete clips.

        Raises:
            UserError: Another process has changed the file in the meantime.
        """
        if len(names) != self.num_clips:
            raise ValueError(f"expected the names of {self.num_clips} clips, found {len(names)}")
        sizes = np.array([size for clip in self.lengths for size in clip], np.int64)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        clip_lengths = np.array([len(clip) for clip in self.lengths], np.int64)
        file["offsets"] = offsets
        write_names(file, names)
        file["clip_offsets"] = np.concatenate([[0], np.cumsum(clip_lengths)]).astype(np.int64)
        # Contiguous, so that it can be memory-mapped.
        encoded = file.create_dataset("encoded", (int(offsets[-1]),), np.uint8)
        self._file.seek(len(self._header))
        position, block = 0, bytearray()
        for clip in self.lengths:
            checksum = 0
            for size in clip:
                self._file.seek(_LENGTH.size, os.SEEK_CUR)
                image = self._file.read(size)
                checksum = zlib.crc32(image, checksum)
                block += image
                if len(block) >= _BLOCK:
                    position = _write_block(encoded, position, block)
                    file.flush()
            if self._file.read(_CLIP_END.size) != _CLIP_END.pack(0, len(clip), checksum):
                raise UserError(
                    f"{self.path}: expected the clips that this process wrote, found changed "
                    "ones: another process writes to the file; stop it and run the same command "
                    "again"
                )
        _write_block(encoded, position, block)

    def close(self, remove: bool = False) -> None:
        """Close the file; remove it once the artifact is in place."""
        self._file.close()
        if remove:  # without locks, another process may have removed it already
            self.path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        """Write bytes at the current position; raise a UserError if they cannot be written."""
        with artifacts.translate_write_errors(self.path):
            artifacts.write_fully(self._file.write, data)

    def _find_end(self) -> int:
        """Read the lengths of the valid clips; return the end of the last one in bytes."""
        end = self._file.seek(len(self._header))
        clip: list[int] = []
        checksum = 0
        while len(length_bytes := self._file.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(length_bytes)
            if length:
                image = self._file.read(length)
                checksum = zlib.crc32(image, checksum)
                clip.append(length)
                continue
            if not clip or length_bytes + self._file.read(8) != _CLIP_END.pack(
                0, len(clip), checksum
            ):
                break
            self.lengths.append(clip)
            clip, checksum, end = [], 0, self._file.tell()
        return end


def _open_exclusively(path: Path) -> BinaryIO:
    """Open a file for reading and writing once no other process has it; create it if missing."""
    while True:
        file = open(path, "r+b", buffering=0, opener=_open_or_create)  # noqa: SIM115
        try:
            lock_file(file)
        except BlockingIOError:
            logger.info(
                "%s: another process is writing to it; waiting for that process to end", path
            )
            lock_file(file, wait=True)
        # The other process removes the file when it has finished.
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o666)


def _write_block(encoded: h5py.Dataset, start: int, block: bytearray) -> int:
    """Write a block at `start` and clear it; return the end of the block."""
    encoded[start : start + len(block)] = np.frombuffer(block, np.uint8)
    end = start + len(block)
    block.clear()
    return end


# Reading -------------------------------------------------------------------------------------


class FlowStore:
    """Random access to the stored flow of all shards of a data set.

    The encoded images are memory-mapped, so that only the requested ones are read. Several threads
    can use a store at the same time.

    Args:
        paths: Artifacts of schema `flow`, written with the same settings.

    Raises:
        UserError: The artifacts differ in size or bound, one is listed twice, or there is none.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._encoded: list[np.ndarray] = []
        self._offsets: list[np.ndarray] = []
        shards: list[tuple[list[ClipName], np.ndarray]] = []
        geometry: tuple[int, int, float] | None = None
        for path in paths:
            with artifacts.open_artifact(path, "flow") as file:
                shard_geometry = tuple(
                    file.attrs[name].item() for name in ("height", "width", "bound")
                )
                settings = json.loads(file.attrs["settings"]).get("flow", {})
                self.rate = read_rate(file)
                """Frame rate of the clips in Hz; None for native rates."""
                shards.append((read_names(file), file["clip_offsets"][()]))
                self._offsets.append(file["offsets"][()])
            if geometry not in (None, shard_geometry):
                raise UserError(
                    f"{path}: expected flow of height, width, bound {geometry} as in {paths[0]}, "
                    f"found {shard_geometry}; extract both with the same settings"
                )
            geometry = shard_geometry
            self._encoded.append(artifacts.map_dataset(path, "encoded"))
        if geometry is None:
            raise UserError("flow: expected at least one artifact, found none")
        self.settings = json.dumps(settings)
        """Settings of the flow as JSON."""
        self.height, self.width, self.bound = geometry
        self.step = self.bound / _LEVELS
        """Quantisation step in pixels."""
        self.names, self._positions = number_clips(paths, shards)
        """Names of the clips, sorted by video and first frame; methods take an index into it."""

    def num_flows(self, row: int) -> int:
        """Return the number of flow fields of a clip: its frames less one, at least 1."""
        _, first, end = self._positions[row]
        return int(end - first)

    def read_quantised(self, row: int, first: int, count: int) -> np.ndarray:
        """Read consecutive flow fields of a clip as they are stored (see `quantise`).

        Args:
            row: Index of the clip in `names`.
            first: Index of the first flow field.
            count: Number of flow fields.

        Returns:
            (count, 2, H, W) uint8.

        Raises:
            IndexError: The clip has fewer flow fields.
            UserError: An image does not decode.
        """
        shard, start, end = self._positions[row]
        if first < 0 or count < 0 or start + first + count > end:
            raise IndexError(
                f"expected a range of the {end - start} flow fields of clip {row}, "
                f"found {first} to {first + count}"
            )
        images = np.empty((count, 2 * self.height, self.width), np.uint8)
        offsets, encoded = self._offsets[shard], self._encoded[shard]
        for index in range(count):
            pair = start + first + index
            image = cv2.imdecode(encoded[offsets[pair] : offsets[pair + 1]], cv2.IMREAD_GRAYSCALE)
            if image is None or image.shape != images.shape[1:]:
                raise UserError(
                    f"flow of {self.names[row].video}: image {first + index} does not decode; the "
                    "file is damaged; delete it and run its stage again"
                )
            images[index] = image
        return images.reshape(count, 2, self.height, self.width)

    def read_flow(self, row: int, first: int, count: int) -> np.ndarray:
        """Read consecutive flow fields of a clip in pixels, (count, 2, H, W) float32."""
        return dequantise(self.read_quantised(row, first, count), self.bound)
