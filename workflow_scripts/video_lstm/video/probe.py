"""Probe video files: decode each once to count its frames and check that it is readable."""

import hashlib
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType

import numpy as np

from video_lstm.errors import UserError
from video_lstm.video.colour import Converter
from video_lstm.video.ffmpeg_program import TRANSCODING_OPTIONS, transcode
from video_lstm.video.file_signatures import JPEG
from video_lstm.video.geometry import Display
from video_lstm.video.source import (
    MAX_SECONDS,
    RAW_JPEG,
    DecodeErrors,
    UnreadableVideoError,
    UnsupportedVideoError,
    declared_seconds,
    decode_frames,
    may_jump,
    new_clock,
    open_video,
    summarise_error,
    time_frames,
)
from video_lstm.video.timing import DURATION_TOLERANCE, MAX_STAMP_JUMP

TIME_LIMIT = 3600.0
"""Maximal decoding time of a video in seconds."""

# Seconds after the time limit at which a worker is considered hung.
_HANG_MARGIN_SECONDS = 60.0

# A video gets a note if at most this share of its frames is shown for more than half of it.
_FROZEN_FRAME_SHARE = 0.05

# Share of a video that must decode; below it the file counts as damaged.
_MIN_DECODED_SHARE = 0.9


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a file. The numbers are 0 unless ``status`` is ``ok``."""

    frames: int
    """Number of frames, equal to that of :func:`video_lstm.video.decode.read_frames`."""
    width: int
    height: int
    """Width and height in pixels, as displayed."""
    rate: float
    """Average frame rate in Hz: frames / duration."""
    duration: float
    """Duration in seconds, see :mod:`video_lstm.video.timing`."""
    sha256: str
    """SHA-256 of the file's bytes; empty if it cannot be read."""
    status: str
    """``ok``, or the reason why the file cannot be used."""
    transcoded: Path | None = None
    """Copy to read instead of the file, which the numbers describe; None: the file itself."""
    note: str = ""
    """Warning about a usable video; empty: none."""


def probe(path: Path, time_limit: float = TIME_LIMIT, transcoded: Path | None = None) -> VideoInfo:
    """Decode a whole video, and return its properties or the reason why it cannot be used.

    Args:
        path: Local file.
        time_limit: Maximal decoding time in seconds.
        transcoded: Folder for copies of intact files that the reader refuses, one for the same
            bytes; None: such files cannot be used.

    Raises:
        UserError: A copy cannot be written.
    """
    try:
        return _probe(path, time_limit, transcoded)
    except UserError:  # not the file's fault: a copy cannot be written
        raise
    except Exception as error:
        # Any error of a library: one file must not stop the others.
        status = f"reading it fails ({type(error).__name__}: {summarise_error(error)})"
        return VideoInfo(0, 0, 0, 0.0, 0.0, _sha256(path), status)


def _probe(path: Path, time_limit: float, transcoded: Path | None) -> VideoInfo:
    """Do the work of `probe`; raise unexpected errors of libraries."""
    deadline, digest, declared = time.monotonic() + time_limit, "", 0.0
    try:
        with open_video(path) as (container, stream):
            digest = _sha256(path)
            seconds = declared_seconds(container, stream)
            # If time stamps may jump, FFmpeg's duration (the last minus the first one) is wrong.
            declared = 0.0 if may_jump(container) or seconds > MAX_STAMP_JUMP else seconds
            clock, decode_errors, times = new_clock(stream), DecodeErrors(), []
            convert = Converter(Display.from_container(container, stream), None, None, "rgb")
            frames = decode_frames(container, stream, decode_errors, time_limit)
            for time_shown, frame in time_frames(container, stream, frames, clock):
                # A video is readable only if its frames can be converted.
                convert.check(frame)
                if time_shown is not None:
                    times.append(time_shown)
                if clock.last > MAX_SECONDS:
                    raise UnreadableVideoError("its time stamps make no sense")
            if container.format.name in RAW_JPEG and clock.frames == 1:
                raise UnreadableVideoError(JPEG)
            # A start that does not decode must not count as a missing end.
            declared_start = float((stream.start_time or 0) * stream.time_base)
            missing = max(0.0, (clock.origin or 0.0) - declared_start)
        _check_start(clock.frames, clock.duration, missing, decode_errors)
        _check_complete(clock.frames, clock.duration, declared - missing, decode_errors)
    except UnreadableVideoError as error:
        digest = digest or _sha256(path)
        if isinstance(error, UnsupportedVideoError) and transcoded is not None:
            return _probe_copy(path, str(error), digest, declared, transcoded, deadline)
        return VideoInfo(0, 0, 0, 0.0, 0.0, digest, str(error))
    rate, (height, width) = clock.frames / clock.duration, convert.shape[:2]
    note = _describe_defects(times, clock.duration, missing)
    return VideoInfo(clock.frames, width, height, rate, clock.duration, digest, "ok", note=note)


def _probe_copy(
    path: Path, refusal: str, digest: str, declared: float, folder: Path, deadline: float
) -> VideoInfo:
    """Probe the transcoded copy of a video, after writing it if it does not exist.

    Args:
        path: Original video.
        refusal: Why the reader refuses the original.
        digest: SHA-256 of the original.
        declared: Duration of the original in seconds, as declared.
        folder: Folder of the copies.
        deadline: Time on the monotonic clock at which to give up.
    """
    copy_digest = hashlib.sha256(f"{digest} {TRANSCODING_OPTIONS}".encode()).hexdigest()
    copy = folder / f"{copy_digest[:32]}.mp4"
    try:
        if not copy.exists():
            transcode(path, copy, deadline - time.monotonic())
        info = probe(copy, deadline - time.monotonic())
        if info.status == "ok":
            # Compare with the original: what the ffmpeg program could not read is not in the copy.
            _check_complete(info.frames, info.duration, declared, DecodeErrors())
    except (UnreadableVideoError, OSError) as error:
        info = VideoInfo(0, 0, 0, 0.0, 0.0, "", f"{refusal}; {error}")
    return replace(info, sha256=digest, transcoded=copy if info.status == "ok" else None)


def probe_all(
    paths: Sequence[Path],
    workers: int,
    progress: Callable[[int], None] | None = None,
    time_limit: float = TIME_LIMIT,
    transcoded: Path | None = None,
) -> list[VideoInfo]:
    """Probe many files in worker processes, so that no file can crash the caller.

    A file that crashes its worker, or takes much longer than ``time_limit``, gets a status that
    says so.

    Args:
        paths: Local files.
        workers: Number of worker processes.
        progress: Function called after each file with the number of finished files.
        time_limit: Maximal decoding time of a video in seconds.
        transcoded: Folder for copies of intact files that the reader refuses; see :func:`probe`.

    Returns:
        Properties of the files, in the order of ``paths``.

    Raises:
        UserError: A copy cannot be written.
    """
    results: dict[int, VideoInfo] = {}
    pending = deque(range(len(paths)))
    pool = [_Worker() for _ in range(min(workers, len(paths)))]
    try:
        while len(results) < len(paths):
            for worker in pool:
                if worker.job is None and pending:
                    worker.start(pending.popleft(), paths, time_limit, transcoded)
            busy = [worker for worker in pool if worker.job is not None]
            ready = wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                job = worker.job
                result = worker.finish(worker.pipe in ready, paths)
                if result is not None:
                    results[job] = result
                    if progress is not None:
                        progress(len(results))
    finally:
        for worker in pool:
            worker.stop()
    return [results[index] for index in range(len(paths))]


class _Worker:
    """A process that probes one file at a time; it is replaced if a file crashes it."""

    def __init__(self) -> None:
        self.job: int | None = None
        self._limit = self._end = 0.0
        self._spawn()

    def _spawn(self) -> None:
        """Start the process and the pipe to it."""
        # Spawned, not forked: the caller may run threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, worker_pipe = context.Pipe()
        self._process = context.Process(target=_run_worker, args=(worker_pipe,), daemon=True)
        # Without the calling script's module, whose imports may take seconds.
        main_module, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            self._process.start()
        finally:
            sys.modules["__main__"] = main_module
        worker_pipe.close()
        self._ready = False

    def start(
        self, job: int, paths: Sequence[Path], time_limit: float, transcoded: Path | None
    ) -> None:
        """Start to probe `paths[job]`."""
        self.job = job
        # The worker checks the limit between packets; this one is for a call that never returns.
        self._limit = time_limit + _HANG_MARGIN_SECONDS
        self._end = time.monotonic() + self._limit
        self.pipe.send((paths[job], time_limit, transcoded))

    def finish(self, has_message: bool, paths: Sequence[Path]) -> VideoInfo | None:
        """Return the result of the job; None if it is still running."""
        if has_message:
            try:
                result = self.pipe.recv()
            except (EOFError, ConnectionResetError):
                self._process.join()
                result = f"decoding it crashes (exit {self._process.exitcode})"
                if not self._ready:
                    raise RuntimeError(
                        f"a worker process ends before it begins (exit {self._process.exitcode})"
                    ) from None
            if result is None:
                # The worker is ready; its start, slow on a busy machine, does not count.
                self._ready, self._end = True, time.monotonic() + self._limit
                return None
        elif self._ready and time.monotonic() > self._end:
            result = "decoding it hangs"
        else:
            return None
        if isinstance(result, UserError):
            raise result
        if isinstance(result, str):
            result = VideoInfo(0, 0, 0, 0.0, 0.0, _sha256(paths[self.job]), result)
            self.stop()
            self._spawn()
        self.job = None
        return result

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _run_worker(pipe: Connection) -> None:
    """Report readiness, then probe each file that arrives and send its properties."""
    pipe.send(None)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            result = probe(*job)
        except UserError as error:  # not the file's fault
            result = error
        pipe.send(result)


def _check_start(frames: int, duration: float, missing: float, decode_errors: DecodeErrors) -> None:
    """Refuse a video of which less than half decodes because its start is missing.

    Args:
        frames: Number of frames that decode.
        duration: Duration of these frames in seconds.
        missing: Seconds at the start that do not decode.
        decode_errors: Numbers of errors while the file was decoded.

    Raises:
        UnreadableVideoError: Less than half decodes.
    """
    total = frames + decode_errors.errors_at_start + decode_errors.errors
    if 0 < frames < total / 2:
        raise UnreadableVideoError(f"damaged: only {frames} of {total} packets decode")
    if frames > 0 and duration < missing:
        raise UnreadableVideoError(
            f"damaged: only {frames} frames decode, the last {duration:.1f} of its "
            f"{missing + duration:.1f} s"
        )


def _check_complete(
    frames: int, duration: float, declared: float, decode_errors: DecodeErrors
) -> None:
    """Refuse a video without frames, with too many errors, or with a missing end.

    Args:
        frames: Number of frames that decode.
        duration: Duration of these frames in seconds.
        declared: Duration in seconds that the container declares; 0: unknown.
        decode_errors: Numbers of errors while the file was decoded.

    Raises:
        UnreadableVideoError: One of these holds.
    """
    if frames == 0:
        raise UnreadableVideoError("no frame decodes")
    if decode_errors.errors > (1 - _MIN_DECODED_SHARE) * (frames + decode_errors.errors):
        total = frames + decode_errors.errors
        raise UnreadableVideoError(
            f"damaged: {decode_errors.errors} of {total} packets do not decode"
        )
    if decode_errors.cut_short and duration >= declared:
        raise UnreadableVideoError(f"cut short: reading fails after {duration:.1f} s")
    if decode_errors.cut_short or (
        duration < _MIN_DECODED_SHARE * declared and declared - duration > DURATION_TOLERANCE
    ):
        raise UnreadableVideoError(
            f"cut short: {duration:.1f} s of the {declared:.1f} s that it declares"
        )


def _describe_defects(times: Sequence[float], duration: float, missing: float) -> str:
    """Return a note about a usable video with a missing start or frozen frames; else empty.

    Args:
        times: Display times of the frames in seconds.
        duration: Duration of all frames in seconds.
        missing: Seconds at the start that do not decode.
    """
    notes = [f"its first {missing:.1f} s do not decode"] if missing > DURATION_TOLERANCE else []
    frame_seconds = np.diff(times, append=duration)
    order = np.argsort(-frame_seconds, kind="stable")
    max_frozen = max(1, int(_FROZEN_FRAME_SHARE * len(frame_seconds)))
    cumulative = frame_seconds[order[:max_frozen]].cumsum()
    enough = np.flatnonzero(cumulative > duration / 2 + DURATION_TOLERANCE)
    if len(frame_seconds) > 1 and len(enough):
        count = int(enough[0]) + 1
        frozen = f"frame {order[0]} is" if count == 1 else f"{count} of {len(times)} frames are"
        notes.append(f"{frozen} held for {cumulative[count - 1]:.1f} of its {duration:.1f} s")
    return "; ".join(notes)


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file; empty if it cannot be read."""
    try:
        # Reading a pipe would block.
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
