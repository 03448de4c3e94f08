"""Classes and splits of a data set: by folders, groups, lists, and of the official data sets."""

import re
import shutil
from collections import Counter

import pytest
from data_sets import NATIVE, groups, index, plant, source, usable
from video_files import make

from describe_run import list_notes
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.video.index import read_videos, write_videos
from video_lstm.video.layouts import find_videos

pytestmark = pytest.mark.usefixtures("probe_in_process")


def test_splits_are_drawn_over_usable_videos(tmp_path, video):
    names = [f"{c}/{c}_{p}.avi" for c in ("hop", "sit") for p in ("ann", "bob", "cid", "dee")]
    plant(tmp_path, dict.fromkeys(names, video))
    all_splits = [
        {"by": "fraction", "test_fraction": 0.5, "num_splits": 3},
        groups("_(?P<group>[a-z]+)", test_groups=2, num_splits=2),
        groups("_(?P<group>[a-z]+)", test_groups=[["ann"]]),
    ]

    def parts():
        tables = [index(source(tmp_path, splits=splits)) for splits in all_splits]
        return [{v.path: v.splits for v in usable(table)} for table in tables]

    before = parts()
    junk = {f"hop/{n}.jpg": "junk" for n in range(9)} | {"hop/Thumbs.db": "x", "sit/sit.srt": "1"}
    plant(tmp_path, junk | {"sit/sit_eve.avi": "broken", "hop/hop_zoe.avi": b""})
    assert parts() == before
    # Naming a group of broken videos is valid; a usable video without a group is an error.
    index(source(tmp_path, splits=groups("_(?P<group>[a-z]+)", test_groups=[["ann", "zoe"]])))
    plant(tmp_path, {"hop/nobody.avi": video})
    with pytest.raises(
        UserError, match="to find a group in every file's name, found none in 'hop/n"
    ):
        index(source(tmp_path, splits=all_splits[1]))


def test_identical_videos_are_noted(tmp_path, video):
    other = make(tmp_path / "other.avi", seconds=0.5, size="64x48") or (tmp_path / "other.avi")
    root = tmp_path / "root"
    plant(root, {f"{c}/{c}_{p}.avi": video + f"{c}{p}".encode() for c in ("hop", "sit")
                 for p in ("ann", "bob")})  # fmt: skip
    splits = groups("_(?P<group>[a-z]+)", test_groups=[["ann"], ["bob"]])
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
    provenance = artifacts.Provenance("test", {}, "")
    with artifacts.create(tmp_path / "root.h5", "videos", provenance) as file:
        write_videos(file, table)
    assert read_videos(tmp_path / "root.h5").notes == table.notes
    assert "&#x27;hop/hop_dee.avi&#x27;" in list_notes([tmp_path / "root.h5"])


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "Testing"),
        ("kinetics_train", "kinetics_val"),
        ("train_set", "validation2"),
        ("trainval", "test"),
        ("train.mini", "dev_split"),
        ("val", "test"),
        ("training", "held-out"),
        ("1_train", "2_test"),
    ],
)
def test_folders_of_a_split_are_not_classes(tmp_path, video, names):
    plant(tmp_path, {f"{part}/{c}/x.avi": video for part in names for c in ("hop", "sit")})
    with pytest.raises(UserError, match=rf"found the parts of a split .*{names[0]}"):
        index(source(tmp_path))
    # A single such name is a class like any other, and so are names that begin with one.
    root = tmp_path / "one"
    plant(root, {f"{c}/{n}.avi": video for c in ("train", "bus") for n in range(3)})
    assert index(source(root)).classes == ["bus", "train"]
    plant(root, {f"{c}/{n}.avi": video for c in ("valley", "test bench", "eval") for n in range(3)})
    with pytest.raises(UserError, match=r"parts of a split \(eval, train\)"):
        index(source(root))
    shutil.rmtree(root / "train")
    assert index(source(root)).classes == ["bus", "eval", "test bench", "valley"]
    exercises = {"strength training", "balance test", "jump test"}
    plant(tmp_path / "two", {f"{c}/{n}.avi": video for c in exercises for n in range(2)})
    assert index(source(tmp_path / "two")).classes == sorted(exercises)


def test_files_outside_the_classes_are_noted(tmp_path, video):
    plant(tmp_path, {f"{c}/{n}.avi": video + f"{c}{n}".encode() for c in ("hop", "sit")
                     for n in range(3)})  # fmt: skip
    plant(tmp_path, {"beside.avi": video, "readme.txt": "", ".git/x": "", "notes/n.txt": "text"})
    (tmp_path / "nothing").mkdir()
    assert index(source(tmp_path)).notes == [
        "1 files in no class's folder, left out: 'beside.avi'",
        "2 folders without videos, no classes: 'notes', 'nothing'",
    ]


def test_official_classes_without_folders_are_an_error(tmp_path, video):
    names = {part: f"v_Archery_g0{n}_c01.avi" for n, part in enumerate(("train", "test"))}
    plant(tmp_path, {f"set/Archery/{name}": video for name in names.values()})
    plant(tmp_path, {"classInd.txt": "Archery=1\nBowling=2\n"})
    lists = {f"{part}list0{n}.txt": names[part] for part in names for n in (1, 2, 3)}
    plant(tmp_path, lists)
    with pytest.raises(UserError, match=r"set: .*found none; .*missing: Archery=1, Bowling=2"):
        find_videos(source(tmp_path / "set", "ucf101", lists=str(tmp_path)), 0)


def test_class_folders_by_group(tmp_path, video):
    people = ["ann", "bob", "cid", "dee"]
    plant(tmp_path, {f"{a}/{a}_{p}.avi": video for a in ("run", "walk") for p in people})
    plant(tmp_path, {"readme.avi": video, "walk/deeper/walk_eve.avi": video})
    test = [["ann", "eve"], ["bob", "cid"]]
    table = index(
        source(tmp_path, splits=groups("_(?P<group>[a-z]+)[.]", test_groups=test)), NATIVE
    )
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
    parts = {e.path: p for e, p in zip(layout.entries, layout.assignments, strict=True)}
    assert [parts[f"hop/{n} x.avi"] for n in range(4)] == [(1,), (1,), (2,), (0,)]
    assert [parts[f"sit/{n} x.avi"] for n in range(4)] == [(1,), (1,), (0,), (2,)]


def test_ucf101_as_it_unpacks(tmp_path, video):
    # The archive spells the folder and files of one class differently from the lists.
    root, lists = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    spelled = {"Archery": "Archery", "HandstandPushups": "HandStandPushups"}
    names = {c: [f"v_{s}_g0{g}_c01.avi" for g in range(1, 7)] for c, s in spelled.items()}
    plant(root, {f"{c}/{n}": video for c, files in names.items() for n in files})
    plant(lists, {"classInd.txt": "1 Archery\r\n2 Bowling\r\n3 HandstandPushups\r\n"})
    for split in (1, 2, 3):
        test_groups = {2 * split - 1, 2 * split}
        lines = {"train": "", "test": ""}
        for label, name in ((1, "Archery"), (3, "HandstandPushups")):
            for g in range(1, 7):
                line = f"{name}/v_{name}_g0{g}_c01.avi"
                lines["test" if g in test_groups else "train"] += (
                    f"{line}\n" if g in test_groups else f"{line} {label}\n"
                )
        lines["test"] += "Bowling/v_Bowling_g01_c01.avi\n"
        plant(lists, {f"{part}list0{split}.txt": text for part, text in lines.items()})
    table = index(source(root, "ucf101"), NATIVE)
    assert table.classes == ["Archery", "HandstandPushups"]
    assert [n for n in table.notes if "only 2 of the 3 official classes" in n and "Bowling" in n]
    assert len(table.videos) == 12
    for row in table.videos:
        g = int(row.path[-9])
        assert row.group == f"{row.class_name}/g0{g}"
        assert row.splits == tuple(2 if g in (2 * s - 1, 2 * s) else 1 for s in (1, 2, 3))
    (root / "Archery" / "v_Archery_g03_c01.avi").unlink()
    notes = " ".join(index(source(root, "ucf101"), NATIVE).notes)
    for name in ("trainlist01", "testlist02", "trainlist03"):
        assert re.search(rf"{name}.txt: found 1 of .* 'Archery/v_Archery_g03_c01.avi", notes)


def test_hmdb51_as_it_unpacks(tmp_path, video):
    root, lists = tmp_path / "hmdb51_org", tmp_path / "testTrainMulti_7030_splits"
    films = ["#1_Film", "A & B [x]", "Dive", "Last_Film!"]
    for name in ("dive", "shake_hands"):
        files = [f"{film}_{name}_f_cm_np1_ri_bad_{n}.avi" for film in films for n in (0, 1)]
        plant(root, {f"{name}/{file}": video for file in files})
        for split in (1, 2, 3):
            parts = [(n + split) % 3 for n in range(len(files))]
            text = "".join(f"{f} {m} \n" for f, m in zip(files, parts, strict=True))
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
    # Empty files are enough, because they are not opened.
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
            part_counts = Counter(parts[split] for parts in layout.assignments)
            assert (part_counts[1], part_counts[2]) == (train, test)
        assert all(entry.group for entry in layout.entries)
        # In UCF-101 no film is in both training and test of a split.
        if kind == "ucf101":
            for split in range(3):
                pairs = zip(layout.entries, layout.assignments, strict=True)
                group_parts = {(entry.group, parts[split]) for entry, parts in pairs}
                assert len({group for group, _ in group_parts}) == len(group_parts)


# Errors -----------------------------------------------------------------------------------------


def test_errors_name_the_folder_or_setting(tmp_path, video):
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
    unknown = groups("_(?P<group>[a-z])", test_groups=[["x", "q"]])
    with pytest.raises(
        UserError, match=r"expected groups that the file names have \(x, y, z\), found q"
    ):
        index(source(root, splits=unknown), NATIVE)
    with pytest.raises(UserError, match=r"to find a group in every file's name.*'hop/0_x.avi'"):
        index(source(root, splits=groups("_(?P<group>[0-9])", test_groups=1)), NATIVE)
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
def test_a_class_without_training_or_test_videos_is_an_error(tmp_path, video, person, word):
    plant(tmp_path, {f"{a}/{p}.avi": video for a in ("hop", "sit") for p in ("ann", "bob")})
    plant(tmp_path, {f"sit/{person}.avi": video[:500]})
    splits = groups("(?P<group>[a-z]+)", test_groups=[["ann"]])
    with pytest.raises(
        UserError,
        match=rf"{word} videos of class 'sit' in split 1.*1 cannot be used \('sit/{person}.avi'",
    ):
        index(source(tmp_path, splits=splits), NATIVE)
