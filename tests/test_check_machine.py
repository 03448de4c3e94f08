"""make doctor: it lists what is missing, and takes the number of jobs from Snakemake's plan."""

import re
from pathlib import Path

import pytest
import yaml
from projects import CONFIG, ROOT, planned

from video_lstm.doctor.workflow_plan import plan_workflow

pytestmark = pytest.mark.slow

ENCODER_DECODERS = ("mnist", "patches", "rgb", "flow1")
TINY = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())


@pytest.fixture
def doctor(run_script, tmp_path):
    def call(**changed):
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(TINY | changed))
        results = ("--results", tmp_path / "results")
        return run_script("check_machine", "--config", config, *results, check=False)

    return call


def test_nothing_is_missing_for_a_configuration_that_can_run(doctor):
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is missing." in done.stdout
    # 3 actions, 5 videos each of 1.2 s at 15 frames a second.
    assert re.search(
        r"tiny +15 videos, 0.01 hours, 270 frames to use, not rendered yet", done.stdout
    )
    for stage in ("flow", "percepts", "pretrain mnist", "finetune", "starting jobs", "in all"):
        assert re.search(rf"^  {stage} +\d+:\d\d", done.stdout, re.M), stage


def test_stream_motion_uses_rgb_percepts(doctor):
    done = doctor(streams=["motion"])
    assert done.returncode == 0, done.stdout + done.stderr
    stages = re.findall(r"^  (\S.*?) +\d+:\d\d", done.stdout, re.M)
    assert {"percepts", "pretrain motion", "finetune"} <= set(stages)
    assert not {"flow", "flow convnet", "flow percepts", "pretrain rgb"} & set(stages)


def test_all_that_is_missing_is_listed_together(doctor, tmp_path):
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
        "Snakemake cannot plan the run (datasets.mine.root: expected a folder of videos, found",
    ):
        assert message.removeprefix("flat: ") in missing, (message, missing)
    assert "jobs                   unknown" in done.stdout
    assert "without training, flow percepts and the start of jobs" in done.stdout
    stages = re.findall(r"^  (\S.*?) +\d+:\d\d", done.stdout, re.M)
    assert not {"finetune", "pretrain mnist", "flow convnet", "starting jobs"} & set(stages)


def test_jobs_are_those_of_the_plan(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    jobs = planned(checkout)
    workflow = plan_workflow(Path(CONFIG))
    assert {rule: len(paths) for rule, paths in workflow.outputs.items()} == jobs
    # 2 variants; streams rgb and flow1; 1 split; labels 1 and all.
    assert workflow.num_flow_convnets("flow1") == 1 and workflow.num_flow_convnets("flow10") == 0
    trainings = {name: len(workflow.encoder_decoders(name)) for name in ENCODER_DECODERS}
    assert trainings == dict.fromkeys(ENCODER_DECODERS, 2)
    assert sum(trainings.values()) == jobs["pretrain"]
    assert sorted(workflow.flow_percept_datasets("flow1")) == ["tiny", "unlabelled"]
    classifiers = [classifier for s in ("rgb", "flow1") for classifier in workflow.classifiers(s)]
    assert len(classifiers) == jobs["finetune_classifier"]
    assert ("composite", "all", None) in classifiers and ("single_frame", 1, None) in classifiers


def test_a_missing_configuration_is_one_line(run_script, tmp_path):
    done = run_script("check_machine", "--config", tmp_path / "none.yaml", check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "expected a configuration file" in done.stderr


def test_a_configuration_that_is_not_yaml_is_one_line(run_script, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("datasets: {mine")
    done = run_script("check_machine", "--config", config, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "expected YAML" in done.stderr
