"""Malicious input does no harm: no other file is read, fetched or run, and each is reported.

Damaged videos, names and links are in test_bad_files.py and test_index.py, code in pickles is in
test_percepts.py, damaged artifacts are in test_artifacts.py.
"""

import socket
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_files import X264, ffmpeg, make

from video_lstm import artifacts
from video_lstm.configuration import load_settings
from video_lstm.errors import UserError
from video_lstm.percepts.weights import read_weights
from video_lstm.settings.pipeline import Settings
from video_lstm.settings.videos import VideoSource
from video_lstm.video.clips import Clip, write_clips
from video_lstm.video.files import FileTable, VideoFile, read_files
from video_lstm.video.layouts import find_videos
from video_lstm.video.sampling import cut_shards, draw_random_clips
from video_lstm.video.splits import split_by_list


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Content of a small valid video."""
    return make(tmp_path_factory.mktemp("video") / "good.mp4", seconds=1).read_bytes()


@pytest.fixture
def listener():
    """A local port, and the addresses that connected to it."""
    server, connections = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                connection, address = server.accept()
            except OSError:
                return
            connections.append(address)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1], connections
    server.close()


def pointers(target):
    """Return playlists, scripts and manifests that refer to another file or address."""
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
        "key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:2,\n{target}\n',
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "unsafe": f"ffconcat version 1.0\noption safe 0\nfile '{target}'\n",
        "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        f"<Period><AdaptationSet><Representation><BaseURL>{target}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
        "avs": f'DirectShowSource("{target}")\n',
        "ism": f'<SmoothStreamingMedia MajorVersion="2"><c n="{target}"/></SmoothStreamingMedia>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
    }


def probe(run_script, root, out, *options):
    """Probe a folder of hostile files with the script; return the table and the log."""
    start = time.monotonic()
    done = run_script("probe_videos", "--root", root, "--threads", 2, "--output", out, *options)
    assert time.monotonic() - start < 120
    return {v.path: v for v in read_files([out]).files}, done.stderr


def test_files_that_refer_to_others_are_not_followed(tmp_path, video, listener, run_script):
    root, (port, connections) = tmp_path / "root", listener
    root.mkdir()
    (tmp_path / "secret.mp4").write_bytes(video)
    (root / "good.mp4").write_bytes(video)
    targets = {
        "file": str(tmp_path / "secret.mp4"),
        "up": "../secret.mp4",
        "url": f"http://127.0.0.1:{port}/x.mp4",
        "tcp": f"tcp://127.0.0.1:{port}",
        "nested": f"concat:{tmp_path / 'secret.mp4'}|{root / 'good.mp4'}",
    }
    planted = set()
    for word, target in targets.items():
        for kind, text in pointers(target).items():
            # With their own suffix, and with that of a video.
            for name in (f"{word}.{kind}", f"{word}_{kind}.mp4"):
                (root / name).write_text(text)
                planted.add(name)
    # The listener works: it would record a fetch.
    socket.create_connection(("127.0.0.1", port)).close()
    statuses, messages = probe(
        run_script, root, tmp_path / "a.h5", "--transcoded", tmp_path / "copies"
    )
    assert len(planted) == 100 and set(statuses) == planted | {"good.mp4"}
    assert {name for name, v in statuses.items() if v.status == "ok"} == {"good.mp4"}
    assert all(v.status for v in statuses.values())
    assert len(connections) == 1 and not list(tmp_path.glob("copies/*"))
    assert "1 of 101 videos can be used" in messages


def test_names_are_never_read_as_options_commands_or_patterns(tmp_path, run_script):
    parts = [make(tmp_path / f"{size}.ts", X264, 1, size) for size in ("160x120", "96x80")]
    changing = b"".join(part.read_bytes() for part in parts)
    # The reader refuses every file, so that its name is passed to the ffmpeg program.
    names = [
        "-y.ts",
        "$(touch owned)",
        "`touch owned`;.ts",
        "%03d.ts",
        "a\nb's \".ts",
        "concat:x|y",
    ]
    root = tmp_path / "$(touch owned) 'root'"
    root.mkdir()
    for number, name in enumerate(names):
        # Different bytes, so that each is transcoded.
        (root / name).write_bytes(changing + b"\0" * (number + 1))
    statuses, _ = probe(run_script, root, tmp_path / "a.h5", "--transcoded", tmp_path / "-copies")
    assert set(statuses) == set(names)
    assert {(v.status, v.frames) for v in statuses.values()} == {("ok", 60)}
    assert len(list((tmp_path / "-copies").iterdir())) == len(statuses)
    assert not list(Path.cwd().glob("owned*")) and not list(tmp_path.rglob("owned"))


def test_extreme_sizes_and_counts(tmp_path, video, run_script):
    root = tmp_path / "root"
    root.mkdir()
    for size in ("1x1", "2x2", "2x4096"):
        options = "-c:v ffv1 -pix_fmt yuv444p -vf scale=" + size.replace("x", ":")
        make(root / f"{size}.mkv", options, 1)
    (root / "good.mp4").write_bytes(video)
    (root / "mp4.avi").write_bytes(video)
    (root / "mp4.txt.mkv").write_bytes(video)
    header = b"YUV4MPEG2 W%d H%d F25:1 Ip C420jpeg\nFRAME\n"
    (root / "huge.y4m").write_bytes(header % (100000, 100000) + b"\0" * 1000)
    (root / "wide.y4m").write_bytes(header % (2**31 - 1, 1) + b"\0" * 1000)
    (root / "none.y4m").write_bytes(header % (0, 0) + b"\0" * 1000)
    (root / "hollow.mp4").write_bytes(video[:40])
    with (root / "sparse.mp4").open("wb") as file:
        file.truncate(64 << 20)
    ffmpeg("-i", root / "good.mp4", *["-map", "0:v"] * 1000, "-c", "copy", "-frames:v", 2,
           root / "streams.mov")  # fmt: skip
    statuses, _ = probe(run_script, root, tmp_path / "a.h5")
    usable = {name for name, v in statuses.items() if v.status == "ok"}
    assert usable == {"1x1.mkv", "2x2.mkv", "2x4096.mkv", "good.mp4", "mp4.avi", "mp4.txt.mkv"}
    assert (statuses["1x1.mkv"].width, statuses["1x1.mkv"].height, statuses["1x1.mkv"].frames) == (
        1,
        1,
        30,
    )


# Manipulated artifacts --------------------------------------------------------------------------


def clips(count):
    return [Clip(f"{n}.avi", 0, 1, n, None, Path(f"{n}.avi")) for n in range(count)]


def external_link(file, other):
    file["native_frames"] = h5py.ExternalLink(str(other), "native_frames")


def external_storage(file, other):
    file.create_dataset("native_frames", (5,), np.int32, external=[(str(other), 0, 20)])


def virtual_dataset(file, other):
    layout = h5py.VirtualLayout((5,), np.int32)
    layout[:] = h5py.VirtualSource(str(other), "native_frames", (5,))
    file.create_virtual_dataset("native_frames", layout)


def soft_link(file, other):
    file["native_frames"] = h5py.SoftLink("/frames")


def link_in_a_group(file, other):
    file["native_frames"] = np.arange(5, dtype=np.int32)
    file["more/inner"] = h5py.ExternalLink(str(other), "native_frames")


@pytest.mark.parametrize(
    "manipulate",
    [external_link, external_storage, virtual_dataset, soft_link, link_in_a_group],
)
def test_artifacts_that_reach_into_other_files_are_refused(tmp_path, manipulate):
    provenance = artifacts.Provenance("sample_clips", {}, "c0de")
    path, other = tmp_path / "clips.h5", tmp_path / "other.h5"
    for target in (path, other):
        with artifacts.create(target, "clips", provenance) as file:
            write_clips(file, clips(5), None)
    with h5py.File(path, "a") as file:
        del file["native_frames"]
        manipulate(file, other)
    message = (
        r"clips.h5: expected an artifact that contains all its data, found .*(native|more/inner)"
    )
    with pytest.raises(UserError, match=message) as error, artifacts.open_artifact(path, "clips"):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_artifacts_are_an_error_or_readable(tmp_path, seed):
    path, rng = tmp_path / "clips.h5", np.random.default_rng(seed)
    with artifacts.create(path, "clips", artifacts.Provenance("sample_clips", {}, "c")) as file:
        write_clips(file, clips(50), None)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    if seed % 3 == 0:
        content = content[: rng.integers(len(content))]
    else:
        content[rng.integers(len(content), size=20)] = rng.integers(256, size=20)
    path.write_bytes(content.tobytes())
    try:
        with artifacts.open_artifact(path, "clips") as file:
            assert set(file) >= artifacts.SCHEMAS["clips"][1]
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x02.", b"\xff" * 8 + b"{}", b"x" * 999])
def test_files_without_weights_are_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read_weights(tmp_path / name)


# Lists and configurations -----------------------------------------------------------------------


@pytest.mark.parametrize("line", ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4", "\0", "~"])
def test_a_list_cannot_name_files_outside_the_root(tmp_path, line):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x.mp4").write_bytes(b"")
    (tmp_path / "secret.mp4").write_bytes(b"")
    (tmp_path / "train.txt").write_text(f"{line}\n")
    (tmp_path / "test.txt").write_text("a/x.mp4\n")
    lists = {part: [str(tmp_path / f"{part}.txt")] for part in ("train", "test")}
    reason = "zero bytes" if line == "\0" else "1 of 1 missing"
    with pytest.raises(UserError, match=rf"train.txt: expected .* found {reason}"):
        find_videos(VideoSource(root=str(root), splits={"by": "list", **lists}), 0)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_an_error_that_names_it(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    train, test = folder / "bytes.txt", folder / "test.txt"
    train.write_bytes(content)
    test.write_text("a/y.mp4\n")
    try:
        assignments = split_by_list(["a/x.mp4", "a/y.mp4"], [train], [test])
        assert assignments[1] == (2,)
    except UserError as error:
        assert "bytes.txt" in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from([*Settings.model_fields, "x", ""]), json_values))
def test_any_configuration_is_read_or_an_error_that_names_it(config):
    try:
        load_settings(config, "mine.yaml")
    except UserError as error:
        assert str(error).startswith("mine.yaml: ")


# Sampling of clips ------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(1, 50))
def test_shards_cover_every_clip_once(counts, shards):
    ranges = cut_shards(counts, shards)
    assert len(ranges) == shards
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(len(counts)))


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=12),
    st.floats(0.1, 20),
    st.floats(0.001, 1),
    st.integers(0, 99),
)
def test_random_clips_lie_within_their_videos(lengths, seconds, hours, seed):
    files = [
        VideoFile(f"{n:02}", count, count, 8, 8, 10.0, count / 10, "ok", "")
        for n, count in enumerate(lengths)
    ]
    table = FileTable("unlabelled", 10.0, files)
    drawn = draw_random_clips(table, seconds, hours, seed)
    assert drawn == draw_random_clips(table, seconds, hours, seed)
    assert drawn == sorted(drawn, key=lambda clip: clip.name)
    clip_frames = int(seconds * 10 + 0.5)
    for clip in drawn:
        length = lengths[int(clip.video)]
        assert clip.first >= 0 and clip.first + clip.frames <= length
        assert clip.frames == min(clip_frames, length)
    total = sum(clip.frames for clip in drawn)
    assert total <= min(hours * 36000, sum(lengths)) + clip_frames
