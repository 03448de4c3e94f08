"""Paths that Snakemake would read otherwise than they are: the work goes on, or a line says why."""

import shutil

import pytest
import yaml
from projects import CONFIG, ROOT, copy, snakemake

TINY = yaml.safe_load((ROOT / CONFIG).read_text())
PLACE = "in {braces} and blanks"


def test_a_checkout_and_videos_may_lie_in_braces(checkout, tmp_path):
    """The checkout, the folder of the run, the configuration and the roots."""
    project = copy(checkout, tmp_path / PLACE / "project")
    everything = ("tables", "pages", "capacity", "convlstm")
    assert snakemake(project, "-n", *everything).stdout.count("Reason: ") > 100
    snakemake(project, "results/clips/tiny/0.h5")
    videos = tmp_path / "{videos}"
    shutil.copytree(project / "results/demo", videos)
    elsewhere = tmp_path / "{elsewhere}"
    elsewhere.mkdir()
    changed = {key: value for key, value in TINY.items() if key != "demo"}
    changed["datasets"] = {"tiny": TINY["datasets"]["tiny"] | {"root": f"{videos}/labelled"}}
    changed["unlabelled"] = TINY["unlabelled"] | {"root": f"{videos}/unlabelled"}
    config = elsewhere / "{my}.yaml"
    config.write_text(yaml.safe_dump(changed))
    snakefile = ("--snakefile", str(project / "Snakefile"))
    snakemake(elsewhere, "results/clips/tiny/0.h5", *snakefile, config=str(config))
    snakemake(elsewhere, "-n", *everything, *snakefile, config=str(config))


@pytest.mark.parametrize(
    ("root", "message"),
    [("~/videos", "found nothing at ~/videos ("), ("$HOME/videos", "$ stand for themselves: /"),
     ("Makefile", "found a file at Makefile (")],
)  # fmt: skip
def test_a_root_that_is_no_folder_is_told_with_its_setting(checkout, tmp_path, root, message):
    project = copy(checkout, tmp_path / "project")
    config = TINY | {"datasets": {"tiny": TINY["datasets"]["tiny"] | {"root": root}}}
    (project / "mine.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(project, "-n", "tables", check=False, config="mine.yaml")
    assert done.returncode == 1
    assert "datasets.tiny.root: expected a folder of videos" in done.stdout
    assert message in done.stdout and ("stand for themselves" in done.stdout) == (root[0] in "~$")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"splits": {"by": "list", "train": ["a.txt"], "test": ["b.txt"]}},
         "datasets.tiny.splits: expected a list of videos, found no file at b.txt (from /"),
        ({"splits": {"by": "list", "train": ["rules"], "test": ["a.txt"]}},
         "datasets.tiny.splits: expected a list of videos, found no file at rules (from /"),
    ],
)  # fmt: skip
def test_lists_that_are_not_there_are_told_before_anything_runs(
    checkout, tmp_path, changed, message
):
    project = copy(checkout, tmp_path / "project")
    (project / "a.txt").write_text("walk/x.mp4")
    config = TINY | {"datasets": {"tiny": {"root": "results/demo/labelled"} | changed}}
    (project / "mine.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(project, "-n", "tables", check=False, config="mine.yaml")
    assert done.returncode == 1 and message in done.stdout, done.stdout


FOLDER = {"kind": "hmdb51", "root": "results/demo/labelled", "lists": PLACE}
LISTS = {"by": "list", "train": [f"{PLACE}/train.txt"], "test": [f"{PLACE}/test.txt"]}
NAMED = {
    "percepts.weights": {"percepts": {"network": "vgg16", "weights": f"{PLACE}/weights.pth"}},
    "mnist.test_file": {"mnist": {"test_file": f"{PLACE}/sequences.npy"}},
    "mnist.source": {"mnist": {"source": PLACE}},
    "datasets.tiny.splits": {"datasets": {"tiny": TINY["datasets"]["tiny"] | {"splits": LISTS}}},
    "datasets.tiny.lists": {"datasets": {"tiny": FOLDER}},
}
FILES = ["weights.pth", "sequences.npy", "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"]
FILES += ["train.txt", "test.txt", "a_test_split1.txt"]


@pytest.mark.parametrize("key", NAMED)
def test_files_in_braces_are_told_with_their_setting(checkout, tmp_path, key):
    project = copy(checkout, tmp_path / "project")
    (project / PLACE).mkdir()
    for name in FILES:
        (project / PLACE / name).write_text("")
    config = project / "mine.yaml"
    config.write_text(yaml.safe_dump(TINY | NAMED[key]))
    done = snakemake(project, "-n", "tables", check=False, config="mine.yaml")
    assert done.returncode == 1
    message = f"{key}: expected a path without a name in braces"
    assert message in done.stdout and PLACE in done.stdout, done.stdout
