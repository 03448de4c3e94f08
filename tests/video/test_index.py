"""The index of a data set: every file is listed, and every problem names its file."""

import errno
import hashlib
import json
import math
import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_sets import NATIVE, groups, index, plant, source, usable
from video_files import make

from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.settings.videos import VideoSettings, VideoSource
from video_lstm.video.clips import read_clips
from video_lstm.video.decode import read_frames
from video_lstm.video.file_scan import assign_shard, compute_fingerprints, stat_files
from video_lstm.video.files import read_files, summarise
from video_lstm.video.index import read_videos

pytestmark = pytest.mark.usefixtures("probe_in_process")


def test_an_unlabelled_tree(tmp_path, video):
    names = [
        "b.avi",
        "a b/it's.mp4",
        "a b/new\nline.avi",
        'deep/er/ünï "x".mkv',
        "-dash.avi",
        "no_ending",
    ]
    plant(tmp_path, dict.fromkeys(names, video))
    plant(tmp_path, {".hidden.avi": video, ".trash/x.avi": video, "notes.txt": "hello"})
    plant(tmp_path, {"broken.avi": video[: len(video) // 2]})
    plant(tmp_path, {"empty.mp4": b"", "text.avi": "no video"})
    table = index(source(tmp_path, "unlabelled"), NATIVE)
    paths = [v.path for v in table.videos]
    assert paths == sorted([*names, "broken.avi", "empty.mp4", "text.avi"])
    assert sorted(video.path for video in usable(table)) == sorted(names)
    good = usable(table)[0]
    assert (good.frames, good.width, good.height, good.label, good.splits) == (50, 160, 120, -1, ())
    assert (good.rate, good.duration) == (pytest.approx(25), pytest.approx(2))
    assert good.sha256 == hashlib.sha256(video).hexdigest()
    assert summarise(table.videos) == (
        "6 of 9 videos can be used (12 seconds); left out: 1 cut short ('broken.avi'); "
        "1 empty file ('empty.mp4'); 1 not a video that FFmpeg reads ('text.avi')"
    )


def test_nothing_outside_the_root_is_read(tmp_path, video):
    root = tmp_path / "root"
    plant(tmp_path, {"root/a.avi": video, "outside/b.avi": video, "root/real/c.avi": video})
    (root / "out.avi").symlink_to(tmp_path / "outside" / "b.avi")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "within.avi").symlink_to(root / "a.avi")
    (root / "gone.avi").symlink_to(root / "nowhere.avi")
    table = index(source(root, "unlabelled"), NATIVE)
    statuses = {v.path: v.status.split(" (")[0] for v in table.videos}
    assert statuses == {
        "a.avi": "ok",
        "real/c.avi": "ok",
        "within.avi": "ok",
        "out.avi": "a symbolic link out of the data set's folder, not followed without the setting "
        "follow_links",
        "out": "a symbolic link to a folder, not followed without the setting follow_links",
        "loop": "a symbolic link to a folder, not followed without the setting follow_links",
        "gone.avi": "a symbolic link that leads to no file",
    }
    assert next(v for v in table.videos if v.path == "out.avi").sha256 == ""
    # The summary names the setting too.
    assert summarise(table.videos).count("follow_links") == 2
    # With it, all links are followed except broken links and loops.
    table = index(source(root, "unlabelled", follow_links=True), NATIVE)
    statuses = {v.path: v.status.split(" (")[0] for v in table.videos}
    assert statuses == {
        **dict.fromkeys(["a.avi", "real/c.avi", "within.avi", "out.avi", "out/b.avi"], "ok"),
        "loop": "a symbolic link to a folder that it lies in, a loop",
        "gone.avi": "a symbolic link that leads to no file",
    }


def test_data_sets_of_links_are_read_with_follow_links(tmp_path, video):
    files = {f"full/{c}/{c}_{p}.avi": video for c in ("hop", "sit") for p in ("ann", "bob")}
    plant(tmp_path, files)
    subset, annex = tmp_path / "subset", tmp_path / "annex/set"
    subset.mkdir()
    for name in ("hop", "sit"):
        (subset / name).symlink_to(tmp_path / "full" / name)
    # Two links to each other's folder, and one to itself.
    for name, target in (("hop/x", "sit"), ("sit/y", "hop"), ("hop/z", "hop/z")):
        (tmp_path / "full" / name).symlink_to(tmp_path / "full" / target)
    for n, (name, content) in enumerate(files.items()):
        plant(tmp_path / "annex", {f".git/annex/objects/{n}/KEY": content})
        (annex / name).parent.mkdir(parents=True, exist_ok=True)
        (annex / name).symlink_to(tmp_path / f"annex/.git/annex/objects/{n}/KEY")
    for root in (subset, annex / "full"):
        with pytest.raises(UserError, match="follow_links"):
            index(source(root))
        table = index(source(root, follow_links=True))
        assert table.classes == ["hop", "sit"]
        assert {f"full/{v.path}" for v in usable(table)} >= set(files)
    # Content that git-annex fetches later changes the fingerprint.
    before = compute_fingerprints(root, 1, stat_files(root, follow_links=True))
    plant(tmp_path / "annex", {".git/annex/objects/0/KEY": video * 2})
    assert compute_fingerprints(root, 1, stat_files(root, follow_links=True)) != before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("folder", ["sit", "hop/deep/er", "."])
def test_a_folder_that_cannot_be_listed_is_named(tmp_path, video, monkeypatch, number, folder):
    plant(tmp_path, {f"{c}/{n}.avi": video for c in ("hop", "sit", "hop/deep/er") for n in "ab"})
    scandir = os.scandir

    def deny(path):
        if Path(path) == tmp_path / folder:
            raise OSError(number, os.strerror(number), str(path))
        return scandir(path)

    before = compute_fingerprints(tmp_path, 2)
    monkeypatch.setattr(os, "scandir", deny)
    expected = rf"{re.escape(str(tmp_path / folder))}: expected a folder .*{os.strerror(number)}"
    for kind in ("folders", "unlabelled"):
        with pytest.raises(UserError, match=expected):
            index(source(tmp_path, kind))
    assert compute_fingerprints(tmp_path, 2) != before
    # A folder that was never readable changes the fingerprint too.
    (tmp_path / "new").mkdir()
    before, folder = compute_fingerprints(tmp_path, 2), "new"
    assert compute_fingerprints(tmp_path, 2) != before


def test_a_root_that_is_not_a_readable_folder_is_an_error(tmp_path, video, monkeypatch):
    plant(tmp_path, {"a.avi": video})
    stat = os.stat

    def deny(path, *args, **options):
        if Path(path) == tmp_path / "closed/set":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", deny)
    for name, description in (
        ("a.avi", "a file"),
        ("closed/set", "none that can be read .Permission"),
    ):
        with pytest.raises(UserError, match=rf"{name}: expected the folder .* found {description}"):
            index(source(tmp_path / name))


def test_a_name_that_is_not_utf8_is_a_status(tmp_path, video):
    plant(tmp_path, {"a.avi": video})
    (tmp_path / os.fsdecode(b"bad\xff.avi")).write_bytes(video)
    table = index(source(tmp_path, "unlabelled"), NATIVE)
    assert {v.path: v.status for v in table.videos} == {
        "a.avi": "ok",
        "bad\\xff.avi": "its name is not valid UTF-8",
    }


def test_videos_that_are_too_short_are_left_out(tmp_path, video):
    make(tmp_path / "short.mp4", seconds=0.2)
    plant(tmp_path, {"long.avi": video})
    unlabelled = source(tmp_path, "unlabelled")
    # 5 frames of 25 a second are 2 at 10 a second, and 6 at 30.
    for rate, min_frames, is_ok in (
        (None, 5, True),
        (None, 6, False),
        (10, 2, True),
        (10, 3, False),
        (30, 6, True),
    ):
        table = index(unlabelled, VideoSettings(frame_rate=rate, min_frames=min_frames))
        short = table.videos[1]
        assert (short.status == "ok") == is_ok, (rate, min_frames, short)
        assert short.native_frames == 5
    assert short.frames == 6
    table = index(unlabelled, VideoSettings(frame_rate=10, min_frames=3))
    assert table.videos[1].status == "too short: 2 frames at 10 a second, at least 3 are needed"


# The artifact -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_scripts_write_the_table(tmp_path, video, run_script):
    root = tmp_path / "root"
    plant(root, {f"{a}/{a}_{p}.avi": video for a in ("run", "walk") for p in ("ann", "bob", "cid")})
    plant(root, {"run/run_bad.avi": "bad", "beside.avi": video})
    data_set = {
        "root": str(root),
        "splits": groups("_(?P<group>[a-z]+)", test_groups=[["ann"], ["bob", "bad"]]),
    }
    options = ["--root", root, "--labelled", True, "--video", '{"frame_rate": 10, "min_frames": 3}']
    probed = [tmp_path / f"{shard}.h5" for shard in (0, 1)]
    for shard, path in enumerate(probed):
        shard_options = ("--shard", shard, "--num-shards", 2, "--threads", 2, "--output", path)
        run_script("probe_videos", *options, *shard_options)
    assert all(len(read_files([path]).files) for path in probed)
    options = ["--source", json.dumps(data_set), "--probed", *probed]
    done = run_script("index_videos", *options, "--output", tmp_path / "a.h5")
    assert (
        "6 of 7 videos can be used (12 seconds, 2 classes); left out: 1 not a video" in done.stderr
    )
    run_script("index_videos", *options, "--output", tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    table = read_videos(tmp_path / "a.h5")
    assert table == index(VideoSource(**data_set), VideoSettings(frame_rate=10, min_frames=3))
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file.attrs["root"], file.attrs["rate"]) == (str(root), 10)
        assert file["splits"].dtype == np.int8
        assert file["splits"][()].tolist() == [
            [2, 1],
            [0, 0],
            [1, 2],
            [1, 1],
            [2, 1],
            [1, 2],
            [1, 1],
        ]
        assert file["frames"][()].tolist() == [20, 0, 20, 20, 20, 20, 20]
        assert file["native_frames"][()].tolist() == [50, 0, 50, 50, 50, 50, 50]
    for script, message, script_options in (
        ("probe_videos", "no: expected the folder of a data set's videos", ("--root", root / "no")),
        ("probe_videos", "--shard: expected 0 to 0 ", ("--root", root, "--shard", 1)),
        ("index_videos", "found 'run/run_ann.avi' as well", (*options[:3], probed[0])),
        ("index_videos", "expected files below", (*options, tmp_path / "other.h5")),
    ):
        run_script("probe_videos", "--root", tmp_path, "--output", tmp_path / "other.h5")
        done = run_script(script, *script_options, "--output", tmp_path / "c.h5", check=False)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert message in done.stderr
        assert not (tmp_path / "c.h5").exists()


def test_a_changed_file_changes_the_fingerprint_of_its_shard_only(tmp_path):
    plant(tmp_path, {f"a/{n}.avi": "x" for n in range(8)} | {"a/.hidden": "", "notes.txt": ""})
    before = compute_fingerprints(tmp_path, 4)
    assert compute_fingerprints(tmp_path, 4) == before and len(set(before)) == 4
    for path, content, is_video in (
        ("a/3.avi", "xx", True), ("b/new.avi", "x", True), ("a/.hidden", "x", False),
        ("notes.txt", "x", False),
    ):  # fmt: skip
        plant(tmp_path, {path: content})
        after = compute_fingerprints(tmp_path, 4)
        changed = [shard for shard in range(4) if after[shard] != before[shard]]
        assert changed == ([assign_shard(path, 4)] if is_video else []), path
        before = after
    (tmp_path / "a/5.avi").unlink()
    after = compute_fingerprints(tmp_path, 4)
    assert [a == b for a, b in zip(after, before, strict=True)].count(False) == 1
    assert compute_fingerprints(tmp_path / "nowhere", 2) == compute_fingerprints(
        tmp_path / "nothing", 2
    )


@pytest.mark.slow
def test_a_transcoded_video_is_read_from_its_copy(tmp_path, video, run_script):
    root, copies = tmp_path / "root", tmp_path / "copies"
    parts = [make(tmp_path / f"{size}.ts", seconds=1, size=size) for size in ("160x120", "96x80")]
    changing = b"".join(part.read_bytes() for part in parts)
    plant(root, {"a.avi": video, "b.ts": changing, "c.ts": b"no video"})
    plant(copies, {".left.mp4.1.part": b"half", "old.mp4": b"of a video that is gone"})
    options = ["--root", root, "--threads", 2]
    out = tmp_path / "probed.h5"
    assert (
        "1 frame size changes at frame 25"
        in run_script("probe_videos", *options, "--output", out).stderr
    )
    identity = artifacts.identity(out)
    options += ["--transcoded", copies, "--output", out]
    done = run_script("probe_videos", *options)
    assert "2 of 3 videos can be used (4 seconds); 1 of them transcoded ('b.ts')" in done.stderr
    data_set = json.dumps({"kind": "unlabelled", "root": str(root)})
    options_of_index = ("--transcoded", copies, "--output", tmp_path / "videos.h5")
    run_script("index_videos", "--source", data_set, "--probed", out, *options_of_index)
    table = read_files([out])
    copy = table.readable_path(table.files[1])
    assert (
        list(copies.iterdir()) == [copy] and table.readable_path(table.files[0]) == root / "a.avi"
    )
    assert table.files[1].sha256 == hashlib.sha256(changing).hexdigest()
    assert artifacts.identity(out) != identity
    before = out.read_bytes()
    run_script("probe_videos", *options)
    assert out.read_bytes() == before
    # Later stages read the frames of the copy.
    clips = tmp_path / "clips.h5"
    run_script("sample_clips", "--probed", out, "--output", clips)
    sampled = read_clips([clips])
    assert [clip.path for clip in sampled] == [root / "a.avi", copy]
    assert len(read_frames(copy, 0, sampled[1].frames, rate=30)) == 60


def test_weizmann(real_data):
    root = real_data("weizmann")
    splits = groups("^(?P<group>[a-z]+)_", test_groups=3, num_splits=3)
    table = index(source(root, splits=splits), VideoSettings(frame_rate=None), seed=1)
    assert (len(usable(table)), len(table.classes)) == (90, 10)
    assert {(v.width, v.height, round(v.rate, 3)) for v in table.videos} == {(180, 144, 25.0)}
    for split in range(3):
        people = {v.group for v in table.videos if v.splits[split] == 2}
        assert len(people) == 3
    assert math.isclose(
        sum(v.duration for v in table.videos), sum(v.frames for v in table.videos) / 25
    )
