"""The built wheel, in an environment that has the required packages but not the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pandas as pd
import pytest
from projects import ROOT, copy_code

from video_lstm.code import code_hashes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_installed(tmp_path_factory):
    """Install the wheel; return a function that runs a program of the environment elsewhere."""
    folder = tmp_path_factory.mktemp("installation")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*build, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    # The other packages come from the environment of the tests.
    [packages] = (folder / "env").glob("lib/*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    environment = os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    def run(*command, status=0):
        done = subprocess.run(
            list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


def test_a_video_is_classified(run_installed, finished, tmp_path):
    video = min((finished / "results/demo/labelled").rglob("*.mp4"))
    classifier = finished / "results/finetune/tiny/split1/rgb/composite/all.h5"
    run_installed(
        "video-lstm", "classify", "--videos", video, "--classifier", classifier,
        "--output", tmp_path / "classes.csv", "--cache", finished / "results/checkpoints",
    )  # fmt: skip
    [row] = pd.read_csv(tmp_path / "classes.csv").to_dict("records")
    assert row["class"] in {"walk", "wave1", "sit"} and row["video"] == str(video)


def test_the_workflow_comes_along_with_the_same_code(run_installed, checkout):
    snakefile = run_installed("video-lstm", "snakefile").strip()
    output = run_installed(
        "python", "-m", "snakemake", "--snakefile", snakefile, "--cores", "1", "-n",
        "results/table2.csv", "--configfile", checkout / "tests/tiny.yaml",
    )  # fmt: skip
    assert "make_table2" in output
    hashes = run_installed(
        "python", "-c", "from video_lstm.code import code_hashes; from video_lstm import layout;"
        "print(code_hashes(layout.SCRIPTS / 'pretrain.py'))",
    )  # fmt: skip
    assert hashes.strip() == str(code_hashes(ROOT / "workflow_scripts/pretrain.py"))


def test_rules_that_snakemake_reads_from_git_use_the_installed_library(run_installed, tmp_path):
    """As a workflow that snakedeploy has written, with the configuration that it copies."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    repository, deployed = copy_code(tmp_path / "repository"), tmp_path / "deployed"
    git = ["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@b.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Rules"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    shutil.copytree(ROOT / "config", deployed / "config")
    (deployed / "Snakefile").write_text(
        f"""
configfile: "config/config.yaml"

module video_lstm:
    snakefile: gitfile({str(repository)!r}, path="workflow/Snakefile", ref={commit!r})
    config: config

use rule * from video_lstm
"""
    )
    output = run_installed(
        "python", "-m", "snakemake", "--directory", deployed, "--snakefile",
        deployed / "Snakefile", "--cores", "1", "-n",
    )  # fmt: skip
    assert "make_paper_table" in output


def test_doctor_checks_the_machine(run_installed, checkout):
    output = run_installed("video-lstm", "doctor", "--config", checkout / "tests/tiny.yaml")
    assert "Nothing is missing." in output


def test_a_wrong_subcommand_is_named_with_the_right_one(run_installed):
    message = run_installed("video-lstm", "clasify", status=2)
    assert message == (
        "video-lstm: expected a subcommand, found 'clasify'; did you mean 'classify'?\n"
    )
    listing = run_installed("video-lstm", "--help")
    assert (
        "  classify                  Classify new videos with a fine-tuned classifier." in listing
    )
    usage = run_installed("video-lstm", "classify", status=2)
    assert usage.startswith("usage: video-lstm classify --videos")
