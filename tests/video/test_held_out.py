"""Unlabelled clips contain no test videos of labelled sets, wherever the files are."""

import json
import os
import shutil
from pathlib import Path

import h5py
import pytest
from projects import copy, snakemake
from video_files import make

from describe_run import describe_left_out_test_videos
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.settings.videos import UNLABELLED, VideoSettings, VideoSource
from video_lstm.video.clips import read_clips, read_left_out
from video_lstm.video.file_scan import stat_files
from video_lstm.video.files import probe_files, write_files
from video_lstm.video.held_out import read_test_videos, remove_test_videos
from video_lstm.video.index import build_index, read_videos, write_videos
from video_lstm.video.overlap import may_share_videos

pytestmark = pytest.mark.usefixtures("probe_in_process")

PROVENANCE = artifacts.Provenance("test", {}, "")
SPLITS = {
    "by": "group",
    "pattern": "_(?P<group>[a-z]+)",
    "test_groups": [["ann"], ["bob"], ["cid"]],
}
PEOPLE = ("ann", "bob", "cid", "dee", "eve")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A labelled set of two classes by five people, and two other videos; all files differ."""
    folder = tmp_path_factory.mktemp("originals")
    for n, name in enumerate(
        [f"set/{c}/{c}_{p}.avi" for c in ("hop", "sit") for p in PEOPLE] + ["a.avi", "b.avi"]
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make(folder / name, f"-c:v libxvid -metadata title={n}", seconds=0.5, size="64x48")
    return folder


def same_root(folder):
    return "set", "set"


def root_contains_the_labelled(folder):
    return ".", "set"


def root_lies_in_the_labelled(folder):
    return "set/hop", "set"


def root_is_a_link(folder):
    (folder / "link").symlink_to(folder / "set")
    return "link", "set"


def labelled_root_is_a_link(folder):
    (folder / "set").rename(folder / "unlabelled")
    (folder / "set").symlink_to(folder / "unlabelled")
    return "unlabelled", "set"


def copies_under_other_names(folder):
    (folder / "unlabelled").mkdir()
    for n, path in enumerate(sorted((folder / "set").glob("*/*"))):
        shutil.copy(path, folder / f"unlabelled/{n}.mp4")
    shutil.copy(folder / "a.avi", folder / "unlabelled")
    return "unlabelled", "set"


def hard_links(folder):
    (folder / "unlabelled").mkdir()
    for path in (folder / "set").glob("*/*"):
        os.link(path, folder / "unlabelled" / path.name[::-1])
    return "unlabelled", "set"


@pytest.mark.parametrize(
    "arrange",
    [same_root, root_contains_the_labelled, root_lies_in_the_labelled, root_is_a_link,
     labelled_root_is_a_link, copies_under_other_names, hard_links],
)  # fmt: skip
def test_test_videos_are_in_no_clip(tmp_path, originals, run_script, arrange):
    data = tmp_path / "data"
    shutil.copytree(originals, data)
    unlabelled, root = (data / name for name in arrange(data))
    # The plan detects that the clips depend on the index.
    assert may_share_videos(unlabelled, stat_files(unlabelled), root, stat_files(root))
    files = probe_files(unlabelled, False, VideoSettings())
    probed, index, out = (tmp_path / name for name in ("probed.h5", "set.h5", "clips.h5"))
    with artifacts.create(probed, "probed", PROVENANCE) as file:
        write_files(file, files.root, files.rate, files.files)
    labelled = probe_files(root, True, VideoSettings())
    table = build_index(VideoSource(root=str(root), splits=SPLITS), labelled)
    with artifacts.create(index, "videos", PROVENANCE) as file:
        write_videos(file, table)
    # The first two splits are run; test videos of the third alone may be used.
    options = ["--probed", probed, "--output", out, "--clip-seconds", 1, "--hours", 1]
    options += ["--videos", index, "--use-splits", "set:1", "set:2"]
    done = run_script("sample_clips", *options)
    test_digests = {v.sha256 for v in read_videos(index).videos if 2 in v.splits[:2]}
    test_paths = {f.path for f in files.files if f.sha256 in test_digests}
    sampled = {clip.video for clip in read_clips([out])}
    assert test_paths and sampled == {f.path for f in files.files} - test_paths
    assert set(read_left_out(out)) == test_paths
    assert f"{len(test_paths)} videos left out: test videos of the labelled sets" in done.stderr
    (tmp_path / UNLABELLED).mkdir()
    page = describe_left_out_test_videos([out, out.rename(tmp_path / UNLABELLED / "0.h5")])
    assert f"{len(test_paths)} test videos of the labelled sets were left out" in page


def test_changed_test_videos_are_identified_by_path(tmp_path, originals):
    root = originals / "set"
    table = build_index(
        VideoSource(root=str(root), splits=SPLITS), probe_files(root, True, VideoSettings())
    )
    index = tmp_path / "set.h5"
    with artifacts.create(index, "videos", PROVENANCE) as file:
        write_videos(file, table)
        file["sha256"][:] = b"of other bytes"
    files = probe_files(originals, False, VideoSettings())
    remaining, left_out = remove_test_videos(files, read_test_videos([index], {}))
    assert [name[-7:-4] for name in left_out] == ["ann", "bob", "cid"] * 2
    assert len(remaining.usable) == 6
    with pytest.raises(UserError, match=r"set\.h5: expected split 4, found 3 splits"):
        read_test_videos([index], {"set": [1, 4]})
    # A transcoded copy has other bytes, and is identified by its path.
    copy = tmp_path / "copy.mp4"
    shutil.copy(originals / "a.avi", copy)
    with h5py.File(index, "a") as file:
        file["transcoded"][0] = str(copy)  # of hop_ann, tested in split 1
    shutil.copy(originals / "b.avi", tmp_path / "other.mp4")
    for number, expected in ((1, ["copy.mp4"]), (2, [])):
        files = probe_files(tmp_path, False, VideoSettings())
        assert (
            remove_test_videos(files, read_test_videos([index], {"set": [number]}))[1] == expected
        )
    alone = probe_files(root / "hop", False, VideoSettings())
    alone.files[:] = alone.files[:3]
    with pytest.raises(UserError, match=r"found only test videos .*\(3, first 'hop_ann.avi'"):
        remove_test_videos(alone, read_test_videos([index], {}))


def test_folders_without_a_common_video_share_none(tmp_path):
    contents = {"one/a": b"x" * 99, "two/b": b"y" * 99, "one/empty": b"", "two/empty": b""}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    one, two = tmp_path / "one", tmp_path / "two"
    assert not may_share_videos(one, stat_files(one), two, stat_files(two))
    (one / "link").symlink_to(two / "b")
    assert may_share_videos(one, stat_files(one), two, stat_files(two))


CONFIG = {
    "datasets": {"mine": {"root": "here/set", "splits": SPLITS, "use_splits": [1, 2]}},
    "unlabelled": {"root": "here", "clip_seconds": 1, "hours": 1},
}


def test_the_workflow_draws_again_if_the_test_videos_change(checkout, tmp_path, originals):
    folder = copy(checkout, tmp_path / "project")
    shutil.copytree(originals, folder / "here")
    config = json.loads(json.dumps(CONFIG))
    target, log = "results/clips/unlabelled/0.h5", "results/logs/sample_unlabelled_clips.log"

    def sample():
        Path(folder, "mine.yaml").write_text(json.dumps(config))
        output = snakemake(folder, target, config="mine.yaml").stdout
        return "sample_unlabelled_clips" in output, set(read_left_out(folder / target))

    names = {p: {f"set/{c}/{c}_{p}.avi" for c in ("hop", "sit")} for p in PEOPLE}
    assert sample() == (True, names["ann"] | names["bob"])
    assert "4 videos left out" in (folder / log).read_text()
    config["datasets"]["mine"]["use_splits"] = [2]
    assert sample() == (True, names["bob"])
    # Without common videos, the clips do not depend on the splits.
    shutil.move(folder / "here/set", folder / "apart")
    config["datasets"]["mine"]["root"] = "apart"
    assert sample() == (True, set())
    config["datasets"]["mine"]["splits"]["test_groups"] = [["dee"], ["eve"]]
    config["datasets"]["mine"]["use_splits"] = [1, 2]
    assert sample() == (False, set())
