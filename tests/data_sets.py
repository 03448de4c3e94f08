"""Make small data sets and their indices."""

from pathlib import Path

from video_lstm.settings.videos import VideoSettings, VideoSource
from video_lstm.video.files import probe_files
from video_lstm.video.index import build_index

NATIVE = VideoSettings(frame_rate=None)


def plant(root, files):
    """Write files below a root from a mapping of paths to contents."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def source(root, kind="folders", **options):
    """Return the settings of a data set."""
    return VideoSource(kind=kind, root=str(root), **options)


def index(source, video=NATIVE, seed=0):
    """Probe the files of a data set and build its index."""
    files = probe_files(
        Path(source.root),
        source.kind != "unlabelled",
        video,
        follow_links=source.follow_links,
    )
    return build_index(source, files, seed)


def usable(table):
    """Return the usable videos of an index."""
    return [video for video in table.videos if video.status == "ok"]


def groups(pattern="_(?P<group>[a-z]+)", **options):
    """Return the settings of splits by group."""
    return {"by": "group", "pattern": pattern, **options}
