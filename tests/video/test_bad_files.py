"""Tests of bad files: broken ones are reported, and refused but intact ones transcoded."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from video_files import X264, ffmpeg, make, make_kind, program_frames

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.flow import extract as flow_extraction
from video_lstm.flow.extract import extract_flow
from video_lstm.flow.storage import PartialFlow
from video_lstm.percepts import extract as frame_extraction
from video_lstm.percepts import new_videos
from video_lstm.percepts.extract import Backend
from video_lstm.percepts.new_videos import find_readable_videos
from video_lstm.percepts.partial_rows import PartialRows
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.settings.percepts import FlowSettings
from video_lstm.video import probe as probing
from video_lstm.video.decode import iter_frames, read_frames
from video_lstm.video.ffmpeg_program import transcode
from video_lstm.video.probe import probe, probe_all
from video_lstm.video.sampling import probe_full_clip
from video_lstm.video.source import UnreadableVideoError


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


def test_status_says_why_a_file_is_not_a_video(tmp_path, videos):
    good = make_kind(videos, "plain.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.avi").write_text("not a video\n" * 100)
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:2,\n{good}\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:2,\n{good}\n#EXT-X-ENDLIST\n")
    (tmp_path / "script.avi").write_text(f"ffconcat version 1.0\nfile '{good}'\n")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", tmp_path / "sound.mp4")
    ffmpeg("-i", good, "-frames:v", 1, tmp_path / "still.png")
    ffmpeg("-i", good, *["-map", "0:v"] * 80, "-c", "copy", tmp_path / "streams.mkv")
    ffmpeg("-display_rotation", 30, "-i", good, "-c", "copy", tmp_path / "slanted.mp4")
    expected = {
        "empty.mp4": "empty file",
        "text.avi": "not a video",
        "list.m3u8": "not a video",
        "list.mp4": "not a video",
        "script.avi": "not a video",
        "folder.mp4": "not a regular file",
        "pipe.mp4": "not a regular file",
        "sound.mp4": "no video stream",
        "still.png": "a PNG picture, no video",
        "streams.mkv": "",
        "slanted.mp4": "turned by an angle",
        "absent.mp4": "cannot be opened",
    }
    for name, status in expected.items():
        info = probe(tmp_path / name)
        assert info.status.startswith(status), (name, info.status)
        assert info.frames == 0 and info.status != "ok"
        if name != "streams.mkv":  # it has a frame before it fails
            with pytest.raises(UserError):
                read_frames(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    [
        *("-i.mp4", "a b.mp4", 'it\'s "x".mp4', "new\nline.mp4", "%03d.mp4", "ünï.mp4"),
        *("concat:a|b.mp4", "http:x.mp4", "no ending"),
    ],
)
def test_special_characters_in_names_have_no_effect(tmp_path, videos, monkeypatch, name):
    path = tmp_path / name
    path.write_bytes(make_kind(videos, "plain.mp4").read_bytes())
    assert probe(path).status == "ok"
    monkeypatch.chdir(tmp_path)
    assert len(read_frames(Path(name), 3, 2)) == 2


def test_cut_files_are_recognised(tmp_path, videos):
    for name in ("plain.mp4", "b_frames.avi", "xvid.avi", "odd_size.mkv"):
        content = make_kind(videos, name).read_bytes()
        for share in (0.02, 0.3, 0.7):
            path = tmp_path / f"{share}_{name}"
            path.write_bytes(content[: int(share * len(content))])
            assert probe(path).status != "ok", path.name


@pytest.mark.parametrize("codec", ["wmv2", "mjpeg"])
def test_cut_asf_files_are_recognised(tmp_path, codec):
    path = make(tmp_path / "video.wmv", f"-c:v {codec}")
    content = path.read_bytes()
    assert probe(path).status == "ok"
    path.write_bytes(content + bytes(len(content) // 5))
    assert probe(path).status == "ok"
    for share in (0.3, 0.5, 0.8):
        path.write_bytes(content[: int(share * len(content))])
        assert probe(path).status.startswith("cut short: ")
        assert probe(path).status.endswith(" of the 2.0 s that it declares")


@pytest.fixture
def changing(tmp_path):
    """Write a video whose frame size changes after one second."""
    parts = [make(tmp_path / f"{size}.ts", X264, 1, size) for size in ("160x120", "96x80")]
    path = tmp_path / "changing it's.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_intact_video_that_the_reader_refuses_is_transcoded_once(tmp_path, changing, videos):
    refused = probe(changing)
    assert refused.status == "frame size changes at frame 25: 160x120 to 96x80"
    copies = tmp_path / "copies"
    info = probe(changing, transcoded=copies)
    assert (info.status, info.frames, info.width, info.height) == ("ok", 50, 160, 120)
    assert info.sha256 == refused.sha256
    assert list(copies.iterdir()) == [info.transcoded]
    actual = read_frames(info.transcoded, frames=50)
    assert abs(actual.astype(int) - program_frames(changing, 120, 160)).mean() < 3
    copy_status = info.transcoded.stat()
    assert probe(changing, transcoded=copies) == info
    assert info.transcoded.stat() == copy_status
    # Other bytes get another copy; readable videos get none.
    changing.write_bytes(changing.read_bytes() * 2)
    repeated = probe(changing, transcoded=copies)
    assert (repeated.status, repeated.frames) == ("ok", 100)
    assert repeated.transcoded != info.transcoded
    assert probe(make_kind(videos, "plain.mp4"), transcoded=copies).transcoded is None
    slanted = tmp_path / "slanted.mp4"
    plain = make_kind(videos, "plain.mp4")
    ffmpeg("-display_rotation", 30, "-i", plain, "-c", "copy", slanted)
    assert (probe(slanted, transcoded=copies).frames, len(list(copies.iterdir()))) == (50, 3)


def test_broken_files_are_not_transcoded(tmp_path, changing, videos):
    slanted, plain = tmp_path / "slanted.mp4", make_kind(videos, "plain.mp4")
    copy = ("-c", "copy", "-movflags", "faststart")
    ffmpeg("-display_rotation", 30, "-i", plain, *copy, slanted)
    content = slanted.read_bytes()
    files = {
        # Refused at the first frame, before the missing end is noticed.
        "slanted_and_cut.mp4": content[: int(0.6 * len(content))],
        "cut.mp4": plain.read_bytes()[:9000],
        "list.ts": f"ffconcat version 1.0\nfile '{changing}'\n".encode(),
        "empty.ts": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        info = probe(tmp_path / name, transcoded=tmp_path / "copies")
        assert info.status != "ok" and info.transcoded is None, (name, info)
    slow = probe(changing, time_limit=0.05, transcoded=tmp_path / "copies")
    assert "takes more than" in slow.status
    with pytest.raises(UnreadableVideoError, match="the ffmpeg program fails on it"):
        transcode(tmp_path / "list.ts", tmp_path / "copies" / "never.mp4", 60)
    assert not list((tmp_path / "copies").glob(".*"))


def test_declared_sizes_beyond_the_limit_are_not_decoded(tmp_path, videos):
    content = make(tmp_path / "small.avi", "-c:v mjpeg -pix_fmt yuvj420p").read_bytes()
    size = (160).to_bytes(4, "little") + (120).to_bytes(4, "little")
    huge = (60000).to_bytes(4, "little") + (60000).to_bytes(4, "little")
    assert content.count(size)
    (tmp_path / "huge.avi").write_bytes(content.replace(size, huge))
    # Its pictures are small: either the header is refused, or the size is that of the pictures.
    info = probe(tmp_path / "huge.avi")
    assert "beyond the limit" in info.status or info.height == 120


def test_damaged_files_neither_crash_nor_hang(tmp_path, videos):
    rng = random.Random(4)
    paths = []
    for number in range(240):
        name = rng.choice(
            [
                *("plain.mp4", "xvid.avi", "mpeg.mpg", "vp9.webm"),
                *("ten_bits.mp4", "b_frames.avi", "variable.mkv"),
            ]
        )
        content = bytearray(make_kind(videos, name).read_bytes())
        if number % 3 == 0:
            content = content[: rng.randrange(1, len(content))]
        for _ in range(rng.choice([1, 10, 100]) if number % 3 else 0):
            offset = rng.randrange(len(content) if number % 3 == 1 else 2000)
            content[offset] = rng.randrange(256)
        paths.append(tmp_path / f"{number}_{name}")
        paths[-1].write_bytes(content)
    start = time.monotonic()
    for path, info in zip(paths, probe_all(paths, 2), strict=True):
        assert "crash" not in info.status and "hang" not in info.status, path
        if info.status == "ok":
            # What the probe counted can be read.
            assert len(read_frames(path, 0, info.frames, size=(16, 16), gray=True)) == info.frames
    assert time.monotonic() - start < 300


def run_faulty_worker(pipe):
    """Run a probe worker that some files crash or hang."""
    pipe.send(None)
    while True:
        path, *_ = pipe.recv()
        if "crashes" in path.name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hangs" in path.name:
            time.sleep(1000)
        pipe.send(probe(path))


@pytest.mark.slow
def test_files_that_crash_or_hang_a_worker_are_reported(tmp_path, videos, monkeypatch):
    good = make_kind(videos, "plain.mp4")
    names = ["a.mp4", "crashes.mp4", "b.mp4", "hangs.mp4", "crashes2.mp4", "c.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(good.read_bytes())
    monkeypatch.setattr(probing, "_run_worker", run_faulty_worker)
    monkeypatch.setattr(probing, "_HANG_MARGIN_SECONDS", 1.0)
    done = []
    infos = probe_all([tmp_path / name for name in names], 2, done.append, time_limit=2.0)
    assert [info.status for info in infos] == [
        "ok",
        "decoding it crashes (exit -11)",
        "ok",
        "decoding it hangs",
        "decoding it crashes (exit -11)",
        "ok",
    ]
    assert done == [1, 2, 3, 4, 5, 6]
    assert len({info.sha256 for info in infos}) == 1


@pytest.mark.slow
def test_new_videos_are_probed_in_worker_processes(tmp_path, videos, monkeypatch):
    good = make_kind(videos, "plain.mp4")
    crashing = shutil.copy(good, tmp_path / "crashes.mp4")
    monkeypatch.setattr(probing, "_run_worker", run_faulty_worker)
    clips, reasons = find_readable_videos([good, crashing, good], None, tmp_path)
    assert [clip.frames for clip in clips] == [50, 50]
    assert reasons == ["", "decoding it crashes (exit -11)", ""]
    with pytest.raises(
        UserError, match=r"crashes.mp4: .* none that can be read.*: decoding it crashes"
    ):
        find_readable_videos([crashing], None, tmp_path)
    with pytest.raises(UnreadableVideoError, match="decoding it crashes"):
        probe_full_clip(crashing, None, tmp_path)


ALTERED = UnreadableVideoError("expected frames 0 to 49, found 3 of them")


@pytest.mark.usefixtures("probe_in_process")
@pytest.mark.parametrize("error", [ALTERED, ValueError("31 is no type"), OSError(5, "I/O error")])
@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_new_video_that_fails_after_probing_leaves_the_others(
    tmp_path, videos, monkeypatch, error, stream
):
    """Its frames cannot be read when their percepts are extracted."""
    good = make_kind(videos, "plain.mp4")
    bad = Path(shutil.copy(good, tmp_path / "bad.mp4"))

    def iterate(path, *args, **options):
        if path == bad:
            raise error
        yield from iter_frames(path, *args, **options)

    def read(path, *args, **options):
        return np.stack(list(iterate(path, *args, **options)))

    monkeypatch.setattr(frame_extraction, "read_frames", read)
    monkeypatch.setattr(flow_extraction, "iter_frames", iterate)
    mean = Backend(3, lambda frames: frames.mean((1, 2)).astype(np.float16))
    monkeypatch.setattr(new_videos, "open_backend", lambda *_: mean)
    monkeypatch.setattr(new_videos, "weights_path", lambda _: None)
    if stream == "flow":  # the flow of each frame pair stands for a percept

        def flow_percepts(clips, extraction, folder):
            partial = PartialFlow(folder / "partial", "flow")
            extract_flow(clips, FlowSettings(height=24, width=32), extraction.device, partial, 2)
            lengths = [len(images) for images in partial.lengths]
            rows = PartialRows(folder, "rows", [sum(lengths)], 3)
            rows.append(np.zeros((sum(lengths), 3), np.float16))
            return [clip.name for clip in clips], lengths, rows, 3

        monkeypatch.setattr(new_videos, "_flow_percepts", flow_percepts)
    percept_extraction = new_videos.PerceptExtraction(
        {"percepts": {}} | ({"convnet": ""} if stream == "flow" else {}), Path("model"),
        None, None, None,
        torch.device("cpu"), 2, tmp_path, artifacts.Provenance("test", {}, ""),
    )  # fmt: skip
    path, reasons = new_videos.extract_new_percepts(
        [bad, good, tmp_path / "none"], percept_extraction, tmp_path
    )
    assert str(error).split(", ")[-1].split("] ")[-1] in reasons[0] and reasons[1] == ""
    assert reasons[2].startswith("cannot be opened")
    store = PerceptStore([path])
    assert [name.video for name in store.names] == [str(good)]
    assert store.length(0) == (50 if stream == "rgb" else 49)
    with pytest.raises(UserError, match="none that can be read"):
        new_videos.extract_new_percepts([bad], percept_extraction, tmp_path / "alone")


def test_decoding_respects_its_time_limit(videos):
    assert probe(make_kind(videos, "plain.mp4"), time_limit=-1).status.startswith("decoding takes")
