"""Make artifacts of flow."""

from video_lstm import artifacts
from video_lstm.flow import storage
from video_lstm.flow.storage import PartialFlow
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video.clips import ClipName, write_rate

PROVENANCE = artifacts.Provenance("extract_flow", {}, "code")


def write_flow(path, clips, settings=None, first_row=0):
    """Write an artifact of clips, each (pairs, 2, H, W) float32 in pixels."""
    settings = settings or FlowSettings()
    partial = PartialFlow(path.with_suffix(".partial"), "identity")
    for flow in clips:
        partial.append(storage.encode(flow, settings))
        partial.end_clip()
    height, width = clips[0].shape[2:]
    with artifacts.create(path, "flow", PROVENANCE) as file:
        partial.finish(file, [ClipName(f"{first_row + n:02}.avi", 0) for n in range(len(clips))])
        file.attrs.update(height=height, width=width, bound=settings.bound, codec=settings.codec)
        write_rate(file, 10.0)
    partial.close(remove=True)
    return path
