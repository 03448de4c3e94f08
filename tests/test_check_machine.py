"""make doctor: what is missing is told before hours are spent, and nothing where nothing is."""

import re

import pytest
import yaml
from projects import ROOT

TINY = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())


@pytest.fixture
def doctor(run_script, tmp_path):
    def call(**changed):
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(TINY | changed))
        results = ("--results", tmp_path / "results")
        return run_script("check_machine", "--config", config, *results, check=False)

    return call


def test_a_configuration_that_can_run_lacks_nothing(doctor):
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is missing." in done.stdout
    # 3 actions, 5 videos each of 1.2 s at 15 frames a second.
    assert re.search(r"tiny +15 videos, 0.01 hours, 270 frames to use, yet to be", done.stdout)
    for stage in ("flow", "percepts", "pretrain digits", "finetune", "in all"):
        assert re.search(rf"^  {stage} +\d+:\d\d", done.stdout, re.M), stage


def test_movement_is_read_from_percepts_of_rgb(doctor):
    done = doctor(streams=["motion"])
    assert done.returncode == 0, done.stdout + done.stderr
    stages = re.findall(r"^  (\S.*?) +\d+:\d\d", done.stdout, re.M)
    assert {"percepts", "pretrain motion", "finetune"} <= set(stages)
    assert not {"flow", "flow convnet", "flow percepts", "pretrain rgb"} & set(stages)


def test_all_that_is_missing_is_told_at_once(doctor, tmp_path):
    (tmp_path / "flat").mkdir()
    done = doctor(
        datasets={
            "mine": {"root": str(tmp_path / "nowhere")},
            "flat": {"root": f"{tmp_path}/flat"},
        },
        percepts={"network": "vgg16", "weights": str(tmp_path / "vgg16.pth")},
        mnist={"source": str(tmp_path / "digits")},
        patches={"num_train_sequences": 10**10},
    )
    assert done.returncode == 1
    missing = done.stdout[done.stdout.index("Missing") :]
    for message in (
        f"mine: {tmp_path}/nowhere: expected the folder of a data set's videos",
        "flat: expected a folder for each class, with videos",
        "percepts.weights: expected a file of weights, found none at",
        "train-images-idx3-ubyte",
        "GB of free disk, found",
    ):
        assert message.removeprefix("flat: ") in missing, (message, missing)


def test_a_configuration_that_is_not_there_is_one_line(run_script, tmp_path):
    done = run_script("check_machine", "--config", tmp_path / "none.yaml", check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "expected a configuration file" in done.stderr


def test_a_configuration_that_is_no_yaml_is_told_in_a_line(run_script, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("datasets: {mine")
    done = run_script("check_machine", "--config", config, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "expected YAML" in done.stderr
