"""What extraction reads: consecutive frames of a video, a clip or a part of one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_lstm.errors import UserError
from video_lstm.video.clips import cut_shards, read_clips
from video_lstm.video.index import OK, read_videos
from video_lstm.video.probe import probe
from video_lstm.video.source import UnreadableVideoError
from video_lstm.video.timing import target_frames


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of a video: a clip, or a part of one.

    Attributes:
        path: the video.
        first: number of the first frame, at the rate.
        frames: how many.
        rate: frames per second that are picked by time stamp; None for the video's own frames.
        native_frames: frames of the whole file.
    """

    path: Path
    first: int
    frames: int
    rate: float | None
    native_frames: int


def read_shard(
    videos: Path, clips: Path, shard: int = 0, shards: int = 1
) -> tuple[np.ndarray, list[Piece]]:
    """The clips of one shard.

    Args:
        videos: artifact of schema `videos`.
        clips: artifact of schema `clips`, made from it.
        shard: which one, from 0.
        shards: how many there are; they are cut to even work.

    Returns:
        Their rows in the clips artifact, int32, and the clips.

    Raises:
        UserError: artifacts that are not there or not what they should be, or no such shard.
    """
    if not 0 <= shard < shards:
        raise UserError(f"--shard: expected 0 to {shards - 1} (--shards {shards}), found {shard}")
    table, (rows, rate) = read_videos(videos), read_clips(clips)
    start, stop = cut_shards([clip.frames for clip in rows], shards)[shard]
    return np.arange(start, stop, dtype=np.int32), [
        Piece(
            path=table.file(clip.video),
            first=clip.first,
            frames=clip.frames,
            rate=rate,
            native_frames=table.videos[clip.video].native_frames,
        )
        for clip in rows[start:stop]
    ]


def whole_video(path: Path, rate: float | None, transcoded: Path) -> Piece:
    """All frames of a video that is in no index.

    Args:
        path: the file.
        rate: frames per second that are picked; None for the video's own frames.
        transcoded: folder for a copy of a sound video that the reader refuses.

    Raises:
        UnreadableVideoError: it cannot be read, with the reason.
    """
    info = probe(path, transcoded=transcoded)
    if info.status != OK:
        raise UnreadableVideoError(info.status)
    frames = target_frames(info.frames, info.duration, rate)
    return Piece(info.transcoded or path, 0, frames, rate, info.frames)
