"""Probe a video file: decode all of it once to count its frames."""

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
"""Seconds that decoding one video may take."""

# Seconds after its time limit at which a worker is taken for hung.
_HANG_MARGIN_SECONDS = 60.0

# A video is noted when at most this share of its frames fills more than half of its duration.
_FROZEN_FRAME_SHARE = 0.05

# Share of a video that must decode: a few lost packets or seconds are noise, more is a broken file.
_MIN_DECODED_SHARE = 0.9


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds; the numbers are 0 where ``status`` is not ``ok``."""

    frames: int
    """Frames that :func:`video_lstm.video.decode.read_frames` yields, exactly."""
    width: int
    """Pixels, as displayed (after rotation)."""
    height: int
    rate: float
    """Average frames a second: frames / duration."""
    duration: float
    """Seconds, by the rule of :mod:`video_lstm.video.timing`."""
    sha256: str
    """SHA-256 of the file's bytes; empty if it cannot be read."""
    status: str
    """``ok``, or in plain words why the file is of no use."""
    transcoded: Path | None = None
    """Copy to read in place of the file, and that the numbers describe; None: the file itself."""
    note: str = ""
    """Warning on a usable video; empty: none."""


def probe(path: Path, time_limit: float = TIME_LIMIT, transcoded: Path | None = None) -> VideoInfo:
    """Decode a whole video and count. Never raises for what a file holds.

    Args:
        path: a local file.
        time_limit: seconds that decoding may take.
        transcoded: folder where a sound file that the reader refuses is encoded again, once for
            its bytes; None: refused it stays.

    Raises:
        UserError: a copy cannot be written.
    """
    try:
        return _probe(path, time_limit, transcoded)
    except UserError:  # not the file's fault: a copy cannot be written
        raise
    except Exception as error:
        # Whatever a library comes up with: one file does not end the work on the others.
        status = f"reading it fails ({type(error).__name__}: {summarise_error(error)})"
        return VideoInfo(0, 0, 0, 0.0, 0.0, _sha256(path), status)


def _probe(path: Path, time_limit: float, transcoded: Path | None) -> VideoInfo:
    end, digest, declared = time.monotonic() + time_limit, "", 0.0
    try:
        with open_video(path) as (container, stream):
            digest = _sha256(path)
            stated = declared_seconds(container, stream)
            # Where stamps may jump, FFmpeg takes the duration from the first and the last of them.
            declared = 0.0 if may_jump(container) or stated > MAX_STAMP_JUMP else stated
            clock, decode_errors, times = new_clock(stream), DecodeErrors(), []
            convert = Converter(Display.of(container, stream), None, None, "rgb")
            frames = decode_frames(container, stream, decode_errors, time_limit)
            for time_shown, frame in time_frames(container, stream, frames, clock):
                # Conversion is part of what makes a video readable.
                convert.check(frame)
                if time_shown is not None:
                    times.append(time_shown)
                if clock.last > MAX_SECONDS:
                    raise UnreadableVideoError("its time stamps make no sense")
            if container.format.name in RAW_JPEG and clock.frames == 1:
                raise UnreadableVideoError(JPEG)
            # What does not decode at the start is no sign that the end is missing.
            start = float((stream.start_time or 0) * stream.time_base)
            started = max(0.0, (clock.origin or 0.0) - start)
        _check_start(clock.frames, clock.duration, started, decode_errors)
        _check_complete(clock.frames, clock.duration, declared - started, decode_errors)
    except UnreadableVideoError as error:
        digest = digest or _sha256(path)
        if isinstance(error, UnsupportedVideoError) and transcoded is not None:
            return _transcoded(path, str(error), digest, declared, transcoded, end)
        return VideoInfo(0, 0, 0, 0.0, 0.0, digest, str(error))
    rate, (height, width) = clock.frames / clock.duration, convert.shape[:2]
    note = _note(times, clock.duration, started)
    return VideoInfo(clock.frames, width, height, rate, clock.duration, digest, "ok", note=note)


def _transcoded(
    path: Path, refusal: str, digest: str, declared: float, folder: Path, end: float
) -> VideoInfo:
    """Probe of the copy of a video in the folder, which is made where it is not there yet."""
    recipe = hashlib.sha256(f"{digest} {TRANSCODING_OPTIONS}".encode()).hexdigest()
    copy = folder / f"{recipe[:32]}.mp4"
    try:
        if not copy.exists():
            transcode(path, copy, end - time.monotonic())
        info = probe(copy, end - time.monotonic())
        if info.status == "ok":
            # Of the original: what the program could not read is not in the copy.
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
    """Probe many files, each in a worker process, so that no file can take the caller down.

    A file that kills its worker, or holds it for much longer than ``time_limit``, is reported as
    such and the others go on.

    Args:
        paths: local files.
        workers: processes at work at a time.
        progress: called with the number of files done, after each.
        time_limit: seconds that decoding one video may take.
        transcoded: as for :func:`probe`.

    Returns:
        One :class:`VideoInfo` a path, in the order of ``paths``.

    Raises:
        UserError: a copy cannot be written.
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
    """A process that probes one file after another; replaced when a file kills it."""

    def __init__(self) -> None:
        self.job: int | None = None
        self._limit = self._end = 0.0
        self._spawn()

    def _spawn(self) -> None:
        # Spawned, not forked: the caller may run threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, worker_pipe = context.Pipe()
        self._process = context.Process(target=_run_worker, args=(worker_pipe,), daemon=True)
        # It needs nothing of the calling script, whose imports may take seconds.
        caller, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            self._process.start()
        finally:
            sys.modules["__main__"] = caller
        worker_pipe.close()
        self._ready = False

    def start(
        self, job: int, paths: Sequence[Path], time_limit: float, transcoded: Path | None
    ) -> None:
        self.job = job
        # The worker minds the limit itself between packets; this is for a call that never returns.
        self._limit = time_limit + _HANG_MARGIN_SECONDS
        self._end = time.monotonic() + self._limit
        self.pipe.send((paths[job], time_limit, transcoded))

    def finish(self, has_message: bool, paths: Sequence[Path]) -> VideoInfo | None:
        """The result of the job where there is one by now."""
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
                # Its own start, slow on a busy machine, is not held against its first file.
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
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _run_worker(pipe: Connection) -> None:
    """Run a probe worker: report readiness, then answer each path with its probe."""
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
    """Refuse a video of which less than half decodes, since its start does not.

    Args:
        frames: number of frames that decode.
        duration: seconds that they last.
        missing: seconds at the start that do not decode.
        decode_errors: Errors counted while the file was decoded.
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


def _note(times: Sequence[float], duration: float, missing: float) -> str:
    """What a person should know of a video that can be used.

    Args:
        times: when each frame is shown, in seconds.
        duration: seconds that all last together.
        missing: seconds at the start that do not decode.
    """
    notes = [f"its first {missing:.1f} s do not decode"] if missing > DURATION_TOLERANCE else []
    holds = np.diff(times, append=duration)
    order = np.argsort(-holds, kind="stable")
    few = max(1, int(_FROZEN_FRAME_SHARE * len(holds)))
    cumulative = holds[order[:few]].cumsum()
    most = np.flatnonzero(cumulative > duration / 2 + DURATION_TOLERANCE)
    if len(holds) > 1 and len(most):
        count = int(most[0]) + 1
        which = f"frame {order[0]} is" if count == 1 else f"{count} of {len(times)} frames are"
        notes.append(f"{which} held for {cumulative[count - 1]:.1f} of its {duration:.1f} s")
    return "; ".join(notes)


def _sha256(path: Path) -> str:
    """Hash of a regular file's bytes; empty where there is none to be read."""
    try:
        # A pipe would be waited for.
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
