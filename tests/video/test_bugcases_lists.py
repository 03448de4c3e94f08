"""Lists of many formats are read, or refused with a message of one line."""

import re
import unicodedata
from pathlib import Path

import pytest
from projects import ROOT

from video_lstm.errors import UserError
from video_lstm.settings.videos import VideoSource
from video_lstm.video.layouts import find_videos
from video_lstm.video.splits import split_by_list
from video_lstm.video.video_lists import FileNames, find_listed

BUGCASES = ROOT.parent / "shared" / "bugcases"
FILES = [f"{c}/{n} x.mp4" for c in ("hop", "sit") for n in range(4)] + [
    "sit/café, 1.avi",
    "hop/0.mp4",
]


@pytest.mark.parametrize(
    "line",
    [
        "hop/0 x.mp4", "./hop/0 x.mp4", "hop//0 x.mp4", "hop/0 x.mp4 2", "hop/0 x.mp4 120 2",
        "hop/0 x.mp4\t120\thop", "hop/0 x.mp4,1", '"hop/0 x.mp4",120,1', "'hop/0 x.mp4' 1",
        '"hop/0 x.mp4"', "1,hop/0 x.mp4", "1 hop/0 x.mp4", "hop/0 x.mp4;hop", "hop\\0 x.mp4 1",
        "root/hop/0 x.mp4", "data/root/hop/0 x.mp4", "/home/me/root/hop/0 x.mp4 1",
        "/home/sit/root/hop/0 x.mp4", "C:\\videos\\root\\hop\\0 x.mp4", "hop/0 x.avi",
        "hop/0 x", "hop/0 x 3", "HOP/0 X.MP4", "hop/hop/0 x.mp4", "0 x.mp4,hop", "hop,0 x.mp4",
        "0 x.mp4 hop", "hop/0%20x.mp4", "file:///root/hop/0%20x.mp4 1", "hop/0 x.mp4|3",
        "3|hop|0 x.mp4",
    ],
)  # fmt: skip
def test_a_line_matches_its_file(line):
    assert FileNames(FILES, ["hop", "sit"], FILES).find(line) == "hop/0 x.mp4"


@pytest.mark.parametrize(
    "line",
    ["hop/9 x.mp4", "hop/9 x.mp4 1", "hop/0 y.mp4 1", "sit/0.mp4", "hop/0 x/y.mp4",
     "hop/sit/0 x.mp4", "../0 x.mp4", "hop", "0", "1", "", "hop/", "9.mp4,3", "hop/0.1"],
)  # fmt: skip
def test_a_missing_file_matches_no_other_file(line):
    files = [*FILES, "hop/3.mp4", "hop/1.mp4"]
    match = FileNames(files, ["hop", "sit"], files).find(line)
    assert match is None or (line, match) in {("0", "hop/0.mp4"), ("1", "hop/1.mp4")}


def test_other_spellings_and_ambiguous_names(tmp_path):
    decomposed = unicodedata.normalize("NFD", "sit/café, 1.avi")
    for path, line in ((decomposed, "sit/café, 1.avi 3"), ("sit/café, 1.avi", decomposed)):
        assert FileNames([path], ["sit"], [path]).find(line) == path
    nested = ["UCF-101/hop/hop/a.avi", "UCF-101/sit/sit/a.avi"]
    assert FileNames(nested, ["Hop", "Sit"], nested).find("Hop/a.avi 1") == nested[0]
    both = ["hop/a.mp4", "hop/a.mkv", "hop/a.jpg", "sit/a.mp4"]
    assert FileNames(both, ["hop", "sit"], ["hop/a.mkv", "sit/a.mp4"]).find("hop/a") == "hop/a.mkv"
    for line in ("hop/a", "a.mp4"):
        with pytest.raises(UserError, match=rf"list: line '{line}': expected one file"):
            find_listed(Path("list"), [line], FileNames(both, ["hop", "sit"], both))


@pytest.fixture
def read(tmp_path):
    """Return a function from the content of a training list to training paths and notes."""

    def call(train, files=FILES):
        (tmp_path / "train.txt").write_bytes(train)
        (tmp_path / "test.txt").write_text("hop/1 x.mp4\nsit/1 x.mp4\n")
        notes = []
        assignments = split_by_list(
            files, [tmp_path / "train.txt"], [tmp_path / "test.txt"], files, notes
        )
        chosen = [path for path, parts in zip(files, assignments, strict=True) if parts == (1,)]
        return chosen, [note.removeprefix(f"{tmp_path}/train.txt: ") for note in notes]

    return call


def test_comments_are_skipped_and_kinetics_names_are_built_from_columns(read):
    assert read(b"# a list\n#\nhop/0 x.mp4\nsit/0 x.mp4\n") == (["hop/0 x.mp4", "sit/0 x.mp4"], [])
    files = [*FILES, "hop/-b_c_000001_000011.mp4", "sit/d,e_001230_001240.mkv"]
    lines = (
        'label,youtube_id,time_start,time_end,split\nhop,-b_c,1,11,train\nsit,"d,e",1230,1240,x\n'
    )
    assert read(lines.encode(), files) == (files[-2:], [])


@pytest.mark.parametrize("line", ["hop/0 x.mp4 sit", "hop/0 x.mp4,sit,3", "Sit\thop/0 x.mp4"])
def test_a_line_with_another_class_is_noted(read, line):
    paths, notes = read(f"{line}\nsit/0 x.mp4 sit\nsit/2 x.mp4 1\nhop/3 x.mp4\n".encode())
    assert len(paths) == 4 and notes == [
        "1 lines name another class than that of the file's folder, which counts: "
        f"'{line}'"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b"", "a name on every line, found none"),
        (b" \n\n", "a name on every line, found none"),
        ("hop/0 x.mp4\n".encode("utf-16-le"), "zero bytes"),
        ("hop/0 x.mp4\n".encode("utf-32"), "zero bytes"),
        (b"hop/0 x.mp4\nsit/caf\xe9.avi\n", r"other bytes in line 2 ('sit/caf\xe9.avi')"),
        (b"\x1f\x8b\x08\0packed", "other bytes in line 1"),
        (b'[{"id": "1", "label": "hop"}]', """'[{"id": "1", "label": "hop"}]'; looked for"""),
        (b"<!DOCTYPE html>\n<html>", "'<!DOCTYPE html>'"),
    ],
)
def test_an_invalid_list_is_an_error_of_one_line(read, content, description):
    with pytest.raises(UserError) as error:
        read(content)
    message = str(error.value)
    assert "train.txt: expected " in message and description in message
    assert message.isprintable()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_list_with_a_header_and_absent_files(tmp_path, encoding):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("video_path,frames\nhop/0 x.mp4,9\nsit/7.avi,9\nsit/0 x.mp4,9\n", encoding)
    test.write_text("hop/1 x.mp4\r\nsit/café, 1.avi\r\n", encoding)
    notes = []
    parts = dict(zip(FILES, split_by_list(FILES, [train], [test], FILES, notes), strict=True))
    assert [path for path in FILES if parts[path] == (1,)] == ["hop/0 x.mp4", "sit/0 x.mp4"]
    assert [path for path in FILES if parts[path] == (2,)] == ["hop/1 x.mp4", "sit/café, 1.avi"]
    assert notes == [f"{train}: found 1 of 4 missing: 'sit/7.avi,9'; left out"]
    train.write_text("label,youtube_id\nhop,abc\nsit,def\n", encoding)
    with pytest.raises(UserError, match=r"train.csv: expected every file .* 'hop,abc', 'sit,def'"):
        split_by_list(FILES, [train], [test], FILES)


def test_hmdb51_unpacked_and_transcoded(tmp_path):
    root, lists = tmp_path / "hmdb51", tmp_path / "lists"
    lists.mkdir()
    for name in ("dive", "wave"):
        folder = root / name / name
        folder.mkdir(parents=True)
        for n in range(3):
            (folder / f"#{n} Film_{name}_f.mp4").touch()
        for split in (1, 2, 3):
            lines = "".join(f'"#{n} Film_{name}_f.avi", {n}\r\n' for n in range(3))
            (lists / f"{name}_test_split{split}.txt").write_text(lines, "utf-8-sig")
    layout = find_videos(VideoSource(kind="hmdb51", root=str(root), lists=str(lists)), 0)
    assert layout.classes == ["dive", "wave"] and layout.notes == []
    assert layout.assignments == [(n,) * 3 for n in (0, 1, 2)] * 2
    assert {entry.group for entry in layout.entries} == {f"#{n} Film" for n in range(3)}


def test_a_list_with_a_byte_order_mark(tmp_path):
    source = BUGCASES / "lists" / "train_with_bom.txt"
    if not source.exists():
        pytest.skip("../shared/bugcases is not there")
    names = [re.sub(r"\s+\d+$", "", line) for line in source.read_text("utf-8-sig").splitlines()]
    (tmp_path / "test.txt").write_text("zzz/test.avi\n")
    paths, notes = [*filter(None, names), "zzz/test.avi"], []
    assignments = split_by_list(paths, [source], [tmp_path / "test.txt"], paths, notes)
    assert assignments == [(1,)] * (len(paths) - 1) + [(2,)] and notes == []
