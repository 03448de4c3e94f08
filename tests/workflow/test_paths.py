"""Paths that Snakemake would read as wildcards: they work, or a message says why not."""

import shutil

import pytest
import yaml
from projects import CONFIG, ROOT, copy, snakemake

TINY = yaml.safe_load((ROOT / CONFIG).read_text())
FOLDER_NAME = "in {braces} and blanks"


def test_checkout_and_videos_may_have_braces_in_their_path(checkout, tmp_path):
    """Braces in the paths of the checkout, the run, the configuration and the roots."""
    project = copy(checkout, tmp_path / FOLDER_NAME / "project")
    targets = ("tables", "pages", "capacity", "convlstm")
    assert snakemake(project, "-n", *targets).stdout.count("Reason: ") > 100
    snakemake(project, "results/clips/tiny/0.h5")
    videos = tmp_path / "{videos}"
    shutil.copytree(project / "results/demo", videos)
    run_folder = tmp_path / "{elsewhere}"
    run_folder.mkdir()
    changed = {key: value for key, value in TINY.items() if key != "demo"}
    changed["datasets"] = {"tiny": TINY["datasets"]["tiny"] | {"root": f"{videos}/labelled"}}
    changed["unlabelled"] = TINY["unlabelled"] | {"root": f"{videos}/unlabelled"}
    config = run_folder / "{my}.yaml"
    config.write_text(yaml.safe_dump(changed))
    snakefile = ("--snakefile", str(project / "Snakefile"))
    snakemake(run_folder, "results/clips/tiny/0.h5", *snakefile, config=str(config))
    snakemake(run_folder, "-n", *targets, *snakefile, config=str(config))


@pytest.mark.parametrize(
    ("root", "message"),
    [("~/videos", "found nothing at ~/videos ("), ("$HOME/videos", "$ stand for themselves: /"),
     ("Makefile", "found a file at Makefile (")],
)  # fmt: skip
def test_a_root_that_is_not_a_folder_is_named_with_its_setting(checkout, tmp_path, root, message):
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
def test_missing_lists_are_an_error_before_anything_runs(checkout, tmp_path, changed, message):
    project = copy(checkout, tmp_path / "project")
    (project / "a.txt").write_text("walk/x.mp4")
    config = TINY | {"datasets": {"tiny": {"root": "results/demo/labelled"} | changed}}
    (project / "mine.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(project, "-n", "tables", check=False, config="mine.yaml")
    assert done.returncode == 1 and message in done.stdout, done.stdout


OFFICIAL = {"kind": "hmdb51", "root": "results/demo/labelled", "lists": FOLDER_NAME}
LISTS = {"by": "list", "train": [f"{FOLDER_NAME}/train.txt"], "test": [f"{FOLDER_NAME}/test.txt"]}
SETTINGS = {
    "percepts.weights": {"percepts": {"network": "vgg16", "weights": f"{FOLDER_NAME}/weights.pth"}},
    "mnist.test_file": {"mnist": {"test_file": f"{FOLDER_NAME}/sequences.npy"}},
    "mnist.source": {"mnist": {"source": FOLDER_NAME}},
    "datasets.tiny.splits": {"datasets": {"tiny": TINY["datasets"]["tiny"] | {"splits": LISTS}}},
    "datasets.tiny.lists": {"datasets": {"tiny": OFFICIAL}},
}
FILES = ["weights.pth", "sequences.npy", "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"]
FILES += ["train.txt", "test.txt", "a_test_split1.txt"]


@pytest.mark.parametrize("key", SETTINGS)
def test_files_with_braces_are_named_with_their_setting(checkout, tmp_path, key):
    project = copy(checkout, tmp_path / "project")
    (project / FOLDER_NAME).mkdir()
    for name in FILES:
        (project / FOLDER_NAME / name).write_text("")
    config = project / "mine.yaml"
    config.write_text(yaml.safe_dump(TINY | SETTINGS[key]))
    done = snakemake(project, "-n", "tables", check=False, config="mine.yaml")
    assert done.returncode == 1
    message = f"{key}: expected a path without a name in braces"
    assert message in done.stdout and FOLDER_NAME in done.stdout, done.stdout
