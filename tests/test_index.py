"""Every kind of data set is indexed as its layout says; what is wrong is told by name."""

import errno
import hashlib
import json
import math
import os
import re
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_videos import make, make_kind

from describe_run import notes
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.settings.videos import VideoSettings, VideoSource
from video_lstm.video import files as probing
from video_lstm.video.clips import read_clips
from video_lstm.video.decode import read_frames
from video_lstm.video.files import probe_files, read_files, summarise
from video_lstm.video.index import build_index, read_videos, write_videos
from video_lstm.video.layouts import find_videos
from video_lstm.video.probe import probe
from video_lstm.video.scan import fingerprints, shard_of, stat_files

NATIVE = VideoSettings(rate=None)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A good file: 50 frames of 25 a second."""
    return make_kind(tmp_path_factory.mktemp("video"), "b_frames.avi").read_bytes()


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """Files here are good enough to be probed without worker processes, slow to start."""
    monkeypatch.setattr(
        probing,
        "probe_all",
        lambda paths, *_, transcoded=None: [probe(path, transcoded=transcoded) for path in paths],
    )


def plant(root, files):
    """Write files, given as path -> content."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def source(root, kind="folders", **options):
    return VideoSource(kind=kind, root=str(root), **options)


def index(source, video=NATIVE, seed=0):
    """The table of a data set whose files are probed in one go."""
    files = probe_files(
        Path(source.root),
        source.kind != "unlabelled",
        video,
        follow_links=source.follow_links,
    )
    return build_index(source, files, seed)


def usable(table):
    return [video for video in table.videos if video.status == "ok"]


def groups(pattern="_(?P<group>[a-z]+)", **options):
    return {"by": "group", "pattern": pattern, **options}


# What lies where --------------------------------------------------------------------------------


def test_a_tree_without_labels(tmp_path, video):
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
    found = {v.path: v.status.split(" (")[0] for v in table.videos}
    assert found == {
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
    # What is said in short names the setting too.
    assert summarise(table.videos).count("follow_links") == 2
    # With it, all but what leads nowhere or back.
    table = index(source(root, "unlabelled", follow_links=True), NATIVE)
    found = {v.path: v.status.split(" (")[0] for v in table.videos}
    assert found == {
        **dict.fromkeys(["a.avi", "real/c.avi", "within.avi", "out.avi", "out/b.avi"], "ok"),
        "loop": "a symbolic link to a folder that it lies in, a loop",
        "gone.avi": "a symbolic link that leads to no file",
    }


def test_sets_made_of_links_are_read_where_links_are_followed(tmp_path, video):
    files = {f"full/{c}/{c}_{p}.avi": video for c in ("hop", "sit") for p in ("ann", "bob")}
    plant(tmp_path, files)
    subset, annex = tmp_path / "subset", tmp_path / "annex/set"
    subset.mkdir()
    for name in ("hop", "sit"):
        (subset / name).symlink_to(tmp_path / "full" / name)
    # Two that lead into each other, and one that leads to itself.
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
    # Content that git-annex fetches later is seen in the plan.
    before = fingerprints(root, 1, stat_files(root, follow_links=True))
    plant(tmp_path / "annex", {".git/annex/objects/0/KEY": video * 2})
    assert fingerprints(root, 1, stat_files(root, follow_links=True)) != before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("folder", ["sit", "hop/deep/er", "."])
def test_a_folder_that_cannot_be_listed_is_named(tmp_path, video, monkeypatch, number, folder):
    plant(tmp_path, {f"{c}/{n}.avi": video for c in ("hop", "sit", "hop/deep/er") for n in "ab"})
    scandir = os.scandir

    def deny(path):
        if Path(path) == tmp_path / folder:
            raise OSError(number, os.strerror(number), str(path))
        return scandir(path)

    before = fingerprints(tmp_path, 2)
    monkeypatch.setattr(os, "scandir", deny)
    expected = rf"{re.escape(str(tmp_path / folder))}: expected a folder .*{os.strerror(number)}"
    for kind in ("folders", "unlabelled"):
        with pytest.raises(UserError, match=expected):
            index(source(tmp_path, kind))
    assert fingerprints(tmp_path, 2) != before
    # Also one that could never be listed.
    (tmp_path / "new").mkdir()
    before, folder = fingerprints(tmp_path, 2), "new"
    assert fingerprints(tmp_path, 2) != before


def test_a_name_that_is_no_text_is_told_not_fatal(tmp_path, video):
    plant(tmp_path, {"a.avi": video})
    (tmp_path / os.fsdecode(b"bad\xff.avi")).write_bytes(video)
    table = index(source(tmp_path, "unlabelled"), NATIVE)
    assert {v.path: v.status for v in table.videos} == {
        "a.avi": "ok",
        "bad\\xff.avi": "its name is not valid UTF-8",
    }


def test_splits_are_drawn_over_what_can_be_used(tmp_path, video):
    names = [f"{c}/{c}_{p}.avi" for c in ("hop", "sit") for p in ("ann", "bob", "cid", "dee")]
    plant(tmp_path, dict.fromkeys(names, video))
    ways = [
        {"by": "fraction", "test": 0.5, "count": 3},
        groups("_(?P<group>[a-z]+)", test=2, count=2),
        groups("_(?P<group>[a-z]+)", test=[["ann"]]),
    ]

    def parts():
        tables = [index(source(tmp_path, splits=splits)) for splits in ways]
        return [{v.path: v.splits for v in usable(table)} for table in tables]

    before = parts()
    junk = {f"hop/{n}.jpg": "junk" for n in range(9)} | {"hop/Thumbs.db": "x", "sit/sit.srt": "1"}
    plant(tmp_path, junk | {"sit/sit_eve.avi": "broken", "hop/hop_zoe.avi": b""})
    assert parts() == before
    # A group of broken videos alone may be named; a video without a group still is no video's way.
    index(source(tmp_path, splits=groups("_(?P<group>[a-z]+)", test=[["ann", "zoe"]])))
    plant(tmp_path, {"hop/nobody.avi": video})
    with pytest.raises(
        UserError, match="to find a group in every file's name, found none in 'hop/n"
    ):
        index(source(tmp_path, splits=ways[1]))


def test_the_same_content_twice_is_told(tmp_path, video):
    other = make(tmp_path / "other.avi", seconds=0.5, size="64x48") or (tmp_path / "other.avi")
    root = tmp_path / "root"
    plant(root, {f"{c}/{c}_{p}.avi": video + f"{c}{p}".encode() for c in ("hop", "sit")
                 for p in ("ann", "bob")})  # fmt: skip
    splits = groups("_(?P<group>[a-z]+)", test=[["ann"], ["bob"]])
    assert index(source(root, splits=splits)).notes == []
    plant(
        root,
        {
            "hop/hop_cid.avi": video + b"hopann",
            "sit/sit_cid.avi": video + b"sitcid",
            "hop/hop_dee.avi": video + b"sitcid",
            "sit/sit_dee.avi": other.read_bytes(),
        },
    )
    table = index(source(root, splits=splits))
    assert table.notes == [
        "1 videos of the same content of split 1 are training and test videos at once: "
        "'hop/hop_cid.avi' = 'hop/hop_ann.avi'",
        "1 videos of the same content are of two classes: 'hop/hop_dee.avi' = 'sit/sit_cid.avi'",
    ]
    nothing = artifacts.Provenance("test", {}, "")
    with artifacts.create(tmp_path / "root.h5", "videos", nothing) as file:
        write_videos(file, table)
    assert read_videos(tmp_path / "root.h5").notes == table.notes
    assert "&#x27;hop/hop_dee.avi&#x27;" in notes([tmp_path / "root.h5"])


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "Testing"),
        ("kinetics_train", "kinetics_val"),
        ("train_set", "validation2"),
    ],
)
def test_parts_of_a_split_are_no_classes(tmp_path, video, names):
    plant(tmp_path, {f"{part}/{c}/x.avi": video for part in names for c in ("hop", "sit")})
    with pytest.raises(UserError, match=rf"found the parts of a split .*{names[0]}"):
        index(source(tmp_path))
    # One of them is a class like any other.
    one = tmp_path / "one"
    plant(one, {f"{c}/{n}.avi": video for c in ("train", "bus") for n in range(3)})
    assert index(source(one)).classes == ["bus", "train"]


def test_class_folders_by_group(tmp_path, video):
    people = ["ann", "bob", "cid", "dee"]
    plant(tmp_path, {f"{a}/{a}_{p}.avi": video for a in ("run", "walk") for p in people})
    plant(tmp_path, {"readme.avi": video, "walk/deeper/walk_eve.avi": video})
    test = [["ann", "eve"], ["bob", "cid"]]
    table = index(source(tmp_path, splits=groups("_(?P<group>[a-z]+)[.]", test=test)), NATIVE)
    assert table.classes == ["run", "walk"]
    assert len(table.videos) == 9
    for row in table.videos:
        assert row.class_name == row.path.split("/")[0] == table.classes[row.label]
        assert row.group == row.path.removesuffix(".avi").rsplit("_")[-1]
        assert row.splits == tuple(2 if row.group in names else 1 for names in test)


def test_lists_of_paths(tmp_path, video):
    root = tmp_path / "root"
    plant(root, {f"{a}/{n} x.avi": video for a in ("hop", "sit") for n in range(4)})
    plant(
        tmp_path,
        {
            "train.txt": "hop/0 x.avi\n./hop/1 x.avi 1\n\nsit/0 x.avi 2\r\nsit/1 x.avi\n",
            "test.txt": "hop/2 x.avi\nsit/3 x.avi\n",
        },
    )
    lists = {"train": [str(tmp_path / "train.txt")], "test": [str(tmp_path / "test.txt")]}
    layout = find_videos(source(root, splits={"by": "list", **lists}), 0)
    marks = {e.path: m for e, m in zip(layout.entries, layout.marks, strict=True)}
    assert [marks[f"hop/{n} x.avi"] for n in range(4)] == [(1,), (1,), (2,), (0,)]
    assert [marks[f"sit/{n} x.avi"] for n in range(4)] == [(1,), (1,), (0,), (2,)]


def test_ucf101_as_it_unpacks(tmp_path, video):
    # The archive's folder and files of one class are spelled otherwise than the lists do.
    root, lists = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    spelled = {"Archery": "Archery", "HandstandPushups": "HandStandPushups"}
    names = {c: [f"v_{s}_g0{g}_c01.avi" for g in range(1, 7)] for c, s in spelled.items()}
    plant(root, {f"{c}/{n}": video for c, files in names.items() for n in files})
    plant(lists, {"classInd.txt": "1 Archery\r\n2 Bowling\r\n3 HandstandPushups\r\n"})
    for split in (1, 2, 3):
        tested = {2 * split - 1, 2 * split}
        sides = {"train": "", "test": ""}
        for label, name in ((1, "Archery"), (3, "HandstandPushups")):
            for g in range(1, 7):
                line = f"{name}/v_{name}_g0{g}_c01.avi"
                sides["test" if g in tested else "train"] += (
                    f"{line}\n" if g in tested else f"{line} {label}\n"
                )
        sides["test"] += "Bowling/v_Bowling_g01_c01.avi\n"
        plant(lists, {f"{side}list0{split}.txt": text for side, text in sides.items()})
    table = index(source(root, "ucf101"), NATIVE)
    assert table.classes == ["Archery", "HandstandPushups"]
    assert [n for n in table.notes if "only 2 of the 3 official classes" in n and "Bowling" in n]
    assert len(table.videos) == 12
    for row in table.videos:
        g = int(row.path[-9])
        assert row.group == f"{row.class_name}/g0{g}"
        assert row.splits == tuple(2 if g in (2 * s - 1, 2 * s) else 1 for s in (1, 2, 3))
    (root / "Archery" / "v_Archery_g03_c01.avi").unlink()
    told = " ".join(index(source(root, "ucf101"), NATIVE).notes)
    for name in ("trainlist01", "testlist02", "trainlist03"):
        assert re.search(rf"{name}.txt: found 1 of .* 'Archery/v_Archery_g03_c01.avi", told)


def test_hmdb51_as_it_unpacks(tmp_path, video):
    root, lists = tmp_path / "hmdb51_org", tmp_path / "testTrainMulti_7030_splits"
    films = ["#1_Film", "A & B [x]", "Dive", "Last_Film!"]
    for name in ("dive", "shake_hands"):
        files = [f"{film}_{name}_f_cm_np1_ri_bad_{n}.avi" for film in films for n in (0, 1)]
        plant(root, {f"{name}/{file}": video for file in files})
        for split in (1, 2, 3):
            marks = [(n + split) % 3 for n in range(len(files))]
            text = "".join(f"{f} {m} \n" for f, m in zip(files, marks, strict=True))
            plant(lists, {f"{name}_test_split{split}.txt": text})
    table = index(source(root, "hmdb51"), NATIVE)
    assert table.classes == ["dive", "shake_hands"]
    assert Counter(v.group for v in table.videos) == dict.fromkeys(films, 4)
    by_path = {v.path: v for v in table.videos}
    for n, film in enumerate(film for film in films for _ in (0, 1)):
        row = by_path[f"dive/{film}_dive_f_cm_np1_ri_bad_{n % 2}.avi"]
        assert row.splits == tuple((n + split) % 3 for split in (1, 2, 3))


def test_the_official_lists_have_the_official_counts(real_data, tmp_path):
    lists = real_data("splits")
    # The files need only be there, the index of files does not open them.
    ucf = [
        line.split()[0]
        for part in ("train", "test")
        for line in (lists / "ucf101" / f"{part}list01.txt").read_text().splitlines()
    ]
    plant(tmp_path, {f"UCF-101/{path}": b"" for path in ucf})
    for path in (lists / "hmdb51").glob("*_test_split1.txt"):
        name = path.name.removesuffix("_test_split1.txt")
        files = [line.split()[0] for line in path.read_text().splitlines()]
        plant(tmp_path, {f"hmdb51_org/{name}/{file}": b"" for file in files})
    official = {
        ("ucf101", "UCF-101"): (101, 13320, [(9537, 3783), (9586, 3734), (9624, 3696)]),
        ("hmdb51", "hmdb51_org"): (51, 6766, [(3570, 1530)] * 3),
    }
    for (kind, folder), (classes, videos, counts) in official.items():
        layout = find_videos(source(tmp_path / folder, kind, lists=str(lists / kind)), 0)
        assert (len(layout.classes), len(layout.entries), layout.notes) == (classes, videos, [])
        for split, (train, test) in enumerate(counts):
            found = Counter(marks[split] for marks in layout.marks)
            assert (found[1], found[2]) == (train, test)
        assert all(entry.group for entry in layout.entries)
        # No film is on both sides of a split of UCF-101.
        if kind == "ucf101":
            for split in range(3):
                pairs = zip(layout.entries, layout.marks, strict=True)
                sides = {(entry.group, marks[split]) for entry, marks in pairs}
                assert len({group for group, _ in sides}) == len(sides)


# Errors that name what is wrong -----------------------------------------------------------------


def test_errors_say_which(tmp_path, video):
    with pytest.raises(UserError, match=r"nowhere: expected the folder of a data set's videos"):
        index(source(tmp_path / "nowhere"), NATIVE)
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"bare: expected a folder for each class"):
        index(source(tmp_path / "bare"), NATIVE)
    plant(tmp_path / "alone", {"a/x.avi": video, "a/y.avi": video})
    with pytest.raises(UserError, match=r"alone: expected two classes or more .* found 'a' alone"):
        index(source(tmp_path / "alone"), NATIVE)
    plant(tmp_path / "junk", {"a/x.avi": "junk", "b/y.avi": b""})
    with pytest.raises(UserError, match=r"junk: expected videos that can be used, 0 of 2 .*empty"):
        index(source(tmp_path / "junk"), NATIVE)
    root = tmp_path / "root"
    plant(root, {f"{a}/{n}_{p}.avi": video for a in ("hop", "sit") for n, p in enumerate("xyz")})
    unknown = groups("_(?P<group>[a-z])", test=[["x", "q"]])
    with pytest.raises(
        UserError, match=r"expected groups that the file names have \(x, y, z\), found q"
    ):
        index(source(root, splits=unknown), NATIVE)
    with pytest.raises(UserError, match=r"to find a group in every file's name.*'hop/0_x.avi'"):
        index(source(root, splits=groups("_(?P<group>[0-9])", test=1)), NATIVE)
    with pytest.raises(UserError, match="official lists of ucf101"):
        index(source(root, "ucf101"), NATIVE)
    plant(
        tmp_path, {"train.txt": "hop/0_x.avi\nhop/9.avi\nsit/7.avi\n", "test.txt": "hop/0_x.avi\n"}
    )
    train, test = str(tmp_path / "train.txt"), str(tmp_path / "test.txt")
    with pytest.raises(
        UserError, match=r"train.txt: .*found 2 of 3 missing: 'hop/9.avi', 'sit/7.avi'"
    ):
        index(source(root, splits={"by": "list", "train": [train], "test": [test]}), NATIVE)
    with pytest.raises(UserError, match=r"expected no video of test.txt, found 'hop/0_x.avi'"):
        index(source(root, splits={"by": "list", "train": [test], "test": [test]}), NATIVE)
    with pytest.raises(UserError, match=r"absent.txt: expected a list of videos, found no file"):
        absent = str(tmp_path / "absent.txt")
        index(source(root, splits={"by": "list", "train": [absent], "test": [test]}), NATIVE)


@pytest.mark.parametrize(("person", "word"), [("ann", "test"), ("bob", "training")])
def test_a_class_that_loses_a_side_is_named(tmp_path, video, person, word):
    plant(tmp_path, {f"{a}/{p}.avi": video for a in ("hop", "sit") for p in ("ann", "bob")})
    plant(tmp_path, {f"sit/{person}.avi": video[:500]})
    splits = groups("(?P<group>[a-z]+)", test=[["ann"]])
    with pytest.raises(
        UserError,
        match=rf"{word} videos of class 'sit' in split 1.*1 cannot be used \('sit/{person}.avi'",
    ):
        index(source(tmp_path, splits=splits), NATIVE)


def test_videos_that_are_too_short_are_left_out(tmp_path, video):
    make(tmp_path / "short.mp4", seconds=0.2)
    plant(tmp_path, {"long.avi": video})
    pile = source(tmp_path, "unlabelled")
    # 5 frames of 25 a second are 2 at 10 a second, and 6 at 30.
    for rate, least, ok in (
        (None, 5, True),
        (None, 6, False),
        (10, 2, True),
        (10, 3, False),
        (30, 6, True),
    ):
        table = index(pile, VideoSettings(rate=rate, min_frames=least))
        short = table.videos[1]
        assert (short.status == "ok") == ok, (rate, least, short)
        assert short.native_frames == 5
    assert short.frames == 6
    table = index(pile, VideoSettings(rate=10, min_frames=3))
    assert table.videos[1].status == "too short: 2 frames at 10 a second, at least 3 are needed"


# The artifact -----------------------------------------------------------------------------------


def test_the_scripts_write_the_table(tmp_path, video, run_script):
    root = tmp_path / "root"
    plant(root, {f"{a}/{a}_{p}.avi": video for a in ("run", "walk") for p in ("ann", "bob", "cid")})
    plant(root, {"run/run_bad.avi": "bad", "beside.avi": video})
    how = {
        "root": str(root),
        "splits": groups("_(?P<group>[a-z]+)", test=[["ann"], ["bob", "bad"]]),
    }
    options = ["--root", root, "--labelled", True, "--video", '{"rate": 10, "min_frames": 3}']
    probed = [tmp_path / f"{shard}.h5" for shard in (0, 1)]
    for shard, path in enumerate(probed):
        own = ("--shard", shard, "--shards", 2, "--threads", 2, "--output", path)
        run_script("probe_videos", *options, *own)
    assert all(len(read_files([path]).files) for path in probed)
    options = ["--source", json.dumps(how), "--probed", *probed]
    done = run_script("index_videos", *options, "--output", tmp_path / "a.h5")
    assert (
        "6 of 7 videos can be used (12 seconds, 2 classes); left out: 1 not a video" in done.stderr
    )
    run_script("index_videos", *options, "--output", tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    table = read_videos(tmp_path / "a.h5")
    assert table == index(VideoSource(**how), VideoSettings(rate=10, min_frames=3))
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
    for script, told, others in (
        ("probe_videos", "no: expected the folder of a data set's videos", ("--root", root / "no")),
        ("probe_videos", "--shard: expected 0 to 0 ", ("--root", root, "--shard", 1)),
        ("index_videos", "found 'run/run_ann.avi' beside them", (*options[:3], probed[0])),
        ("index_videos", "expected files below", (*options, tmp_path / "other.h5")),
    ):
        run_script("probe_videos", "--root", tmp_path, "--output", tmp_path / "other.h5")
        done = run_script(script, *others, "--output", tmp_path / "c.h5", check=False)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert told in done.stderr
        assert not (tmp_path / "c.h5").exists()


def test_a_shard_has_another_fingerprint_when_one_of_its_files_has(tmp_path):
    plant(tmp_path, {f"a/{n}.avi": "x" for n in range(8)} | {"a/.hidden": "", "notes.txt": ""})
    before = fingerprints(tmp_path, 4)
    assert fingerprints(tmp_path, 4) == before and len(set(before)) == 4
    for path, content, told in (
        ("a/3.avi", "xx", True), ("b/new.avi", "x", True), ("a/.hidden", "x", False),
        ("notes.txt", "x", False),
    ):  # fmt: skip
        plant(tmp_path, {path: content})
        after = fingerprints(tmp_path, 4)
        changed = [shard for shard in range(4) if after[shard] != before[shard]]
        assert changed == ([shard_of(path, 4)] if told else []), path
        before = after
    (tmp_path / "a/5.avi").unlink()
    after = fingerprints(tmp_path, 4)
    assert [a == b for a, b in zip(after, before, strict=True)].count(False) == 1
    assert fingerprints(tmp_path / "nowhere", 2) == fingerprints(tmp_path / "nothing", 2)


def test_a_transcoded_video_is_one_like_any_other(tmp_path, video, run_script):
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
    how = json.dumps({"kind": "unlabelled", "root": str(root)})
    rest = ("--transcoded", copies, "--output", tmp_path / "videos.h5")
    run_script("index_videos", "--source", how, "--probed", out, *rest)
    table = read_files([out])
    copy = table.place(table.files[1])
    assert list(copies.iterdir()) == [copy] and table.place(table.files[0]) == root / "a.avi"
    assert table.files[1].sha256 == hashlib.sha256(changing).hexdigest()
    assert artifacts.identity(out) != identity
    before = out.read_bytes()
    run_script("probe_videos", *options)
    assert out.read_bytes() == before
    # A stage that reads frames reads those of the copy.
    clips = tmp_path / "clips.h5"
    run_script("sample_clips", "--probed", out, "--output", clips)
    read = read_clips([clips])
    assert [clip.path for clip in read] == [root / "a.avi", copy]
    assert len(read_frames(copy, 0, read[1].frames, rate=30)) == 60


def test_weizmann(real_data):
    root = real_data("weizmann")
    splits = groups("^(?P<group>[a-z]+)_", test=3, count=3)
    table = index(source(root, splits=splits), VideoSettings(rate=None), seed=1)
    assert (len(usable(table)), len(table.classes)) == (90, 10)
    assert {(v.width, v.height, round(v.rate, 3)) for v in table.videos} == {(180, 144, 25.0)}
    for split in range(3):
        people = {v.group for v in table.videos if v.splits[split] == 2}
        assert len(people) == 3
    assert math.isclose(
        sum(v.duration for v in table.videos), sum(v.frames for v in table.videos) / 25
    )
