"""The true workflow at its smallest: from rendered video files to results/table2.csv.

One clean run serves all the tests; what they change, they change in a copy.
"""

import os
import signal
import subprocess
import sys
import time

import h5py
import pandas as pd
import pytest
from projects import CONFIG, copy, copy_code, planned, snakemake

ROWS = ["single_frame", "lstm_baseline", "conditional_future_predictor", "composite"]
YARDSTICKS = ["copy_last_frame", "mean_frame"]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """The project's files, without anything made."""
    return copy_code(tmp_path_factory.mktemp("checkout") / "project")


@pytest.fixture(scope="session")
def finished(checkout, tmp_path_factory):
    """The project after one run."""
    folder = copy(checkout, tmp_path_factory.mktemp("finished") / "project")
    snakemake(folder, "tables")
    return folder


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished project, to change."""
    return copy(finished, tmp_path / "project")


def test_the_table_has_its_rows_columns_and_sane_numbers(finished):
    table = pd.read_csv(finished / "results/table2.csv").set_index("variant")
    assert list(table.index) == ROWS + YARDSTICKS
    accuracies = [f"tiny_{s}_{n}_{m}" for s in ("rgb", "flow1") for n in ("1", "all")
                  for m in ("mean", "std")]  # fmt: skip
    assert list(table.columns) == ["mnist_cross_entropy", "patches_squared_error", *accuracies]
    assert table.loc[ROWS, accuracies].notna().all().all()
    assert table.loc[YARDSTICKS, accuracies].isna().all().all()
    assert table.loc[ROWS, accuracies].stack().between(0, 100).all()
    errors = table[["mnist_cross_entropy", "patches_squared_error"]]
    assert errors.loc[ROWS[:2]].isna().all().all()
    assert (errors.loc[ROWS[2:]] > 0).all().all()


def test_the_table_is_the_scores_averaged(finished):
    scores = pd.read_csv(finished / "results/scores.csv", dtype={"labels": str})
    table = pd.read_csv(finished / "results/table2.csv").set_index("variant")
    chosen = scores.query("measure == 'accuracy' and variant == 'composite' and stream == 'rgb'")
    accuracy = chosen[chosen.labels == "1"].value
    assert len(accuracy) == 2  # draws
    assert table.loc["composite", "tiny_rgb_1_mean"] == pytest.approx(accuracy.mean(), abs=0.06)


def test_tables_1_3_and_4_are_made_of_the_same_classifiers(finished):
    tables = {n: pd.read_csv(finished / f"results/table{n}.csv") for n in (1, 2, 3, 4)}
    tables = {n: table.set_index("variant") for n, table in tables.items()}
    assert list(tables[1].index) == ["single_frame", "lstm_baseline", "composite"]
    assert list(tables[3].index) == ROWS[1:]
    for n, cell in ((1, "flow1_all"), (1, "rgb_all"), (3, "rgb_1"), (3, "rgb_all")):
        ours = tables[n][f"tiny_{cell}_mean"]
        assert ours.equals(tables[2].loc[ours.index, f"tiny_{cell}_mean"]), (n, cell)
    assert list(tables[4].stream) == ["rgb", "flow1", "rgb+flow1"]
    assert tables[4]["mean"].between(0, 100).all()


def test_a_second_run_does_nothing_and_says_so(finished):
    assert "Nothing to be done" in snakemake(finished, "results/table2.csv").stdout


def test_no_temporary_file_and_no_checkpoint_is_left(finished):
    left = [
        path
        for path in (finished / "results").rglob("*")
        if path.name.endswith(".tmp") or path.suffix == ".ckpt" or ".ckpt." in path.name
    ]
    assert not left


def test_every_artifact_tells_where_it_comes_from(finished):
    artifacts = [p for p in (finished / "results").rglob("*.h5") if "checkpoints" not in p.parts]
    assert len(artifacts) > 30
    identities = {}
    for path in artifacts:
        with h5py.File(path) as file:
            told = dict(file.attrs)
        assert {"schema", "stage", "settings", "code", "inputs", "versions", "identity"} <= set(
            told
        )
        assert str(finished) not in str(told)
        identities.setdefault(told["identity"], path)
    assert len(identities) == len(artifacts)


def test_killed_and_started_again_ends_with_the_same_tables(finished, checkout, tmp_path):
    folder = copy(checkout, tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "results/table2.csv", "--cores", "2"]
    command += ["--configfile", CONFIG]
    for wait_for in ("results/percepts", "results/finetune"):
        with subprocess.Popen(
            command, cwd=folder, stdout=-3, stderr=-3, start_new_session=True
        ) as run:
            deadline = time.monotonic() + 300
            while not any((folder / wait_for).rglob("*.h5")):
                assert run.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            os.killpg(run.pid, signal.SIGKILL)
    snakemake(folder, "results/table2.csv")
    for name in ("scores.csv", "table2.csv"):
        assert (folder / "results" / name).read_bytes() == (
            finished / "results" / name
        ).read_bytes()


def test_a_second_run_at_the_same_time_says_who_is_working(project):
    command = [sys.executable, "-m", "snakemake", "results/table2.csv", "--cores", "1"]
    command += ["--forcerun", "pretrain_mnist", "--configfile", CONFIG]
    with subprocess.Popen(
        command, cwd=project, stdout=-3, stderr=-3, start_new_session=True
    ) as run:
        lock = project / ".snakemake/run.lock"
        while not (lock.exists() and lock.read_text() == str(run.pid)):
            assert run.poll() is None
            time.sleep(0.1)
        second = snakemake(project, "--forcerun", "make_table2", "results/table2.csv", check=False)
        os.killpg(run.pid, signal.SIGKILL)
    assert second.returncode != 0
    assert f"another run (process {run.pid}) is working in" in second.stdout


FINETUNE = {"finetune_classifier": 16, "collect_scores": 1, "make_table2": 1}
PIXELS = {"predict_frames": 2, "collect_scores": 1, "make_table2": 1}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("finetuning={dropout: 0.1}", FINETUNE),
        ("finetuning={labels: [1, 2, all]}", FINETUNE | {"finetune_classifier": 8}),
        (
            "pretraining={mnist: {forget_bias: 1.0}}",
            PIXELS | {"pretrain_mnist": 2},
        ),
        (
            "pretraining={variants: [composite, conditional_future_predictor, autoencoder]}",
            {"pretrain_percepts": 2, "pretrain_mnist": 1, "pretrain_patches": 1,
             "predict_frames": 2, "finetune_classifier": 4, "collect_scores": 1, "make_table2": 1},
        ),
        (
            "patches={test_videos: 0.5}",
            PIXELS | {"cut_patches": 1, "pretrain_patches": 2},
        ),
        (
            "flow_convnet={fc6: 9}",
            {"train_flow_convnet": 1, "extract_flow_percepts": 3, "pretrain_percepts": 2,
             "finetune_classifier": 8, "collect_scores": 1, "make_table2": 1},
        ),
    ],
)  # fmt: skip
def test_a_changed_setting_makes_only_what_depends_on_it(finished, setting, expected):
    assert planned(finished, "--config", setting) == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("evaluation/tables.py", {"collect_scores": 1, "make_table2": 1}),
        ("models/classifier.py", FINETUNE),
        (
            "models/lstm.py",
            {"pretrain_percepts": 4, "pretrain_mnist": 2, "pretrain_patches": 2,
             "predict_frames": 4} | FINETUNE,
        ),
        (
            "flow/methods.py",
            {"extract_flow": 3, "train_flow_convnet": 1, "extract_flow_percepts": 3,
             "pretrain_percepts": 2, "finetune_classifier": 8, "collect_scores": 1,
             "make_table2": 1},
        ),
    ],
)  # fmt: skip
def test_a_changed_module_makes_only_what_imports_it(project, module, expected):
    path = project / "workflow_scripts/video_lstm" / module
    path.write_text(path.read_text() + "\nCHANGED = True\n")
    assert planned(project) == expected
    path.write_text(path.read_text().replace("CHANGED = True", "# only a comment"))
    assert planned(project) == {}


def test_a_wrong_setting_and_a_wrong_path_are_told_before_anything_runs(checkout):
    done = snakemake(checkout, "-n", "--config", "flow={metod: dis}", check=False)
    assert done.returncode != 0
    assert "unknown setting 'flow.metod'; did you mean 'method'?" in done.stdout
    assert "Traceback" not in done.stdout
    done = snakemake(checkout, "-n", "--config", "unlabelled={root: nowhere}", check=False)
    assert done.returncode != 0
    assert "unlabelled.root: expected a folder of videos, found nothing at nowhere" in done.stdout


@pytest.mark.parametrize("stage", ["clips", "flow", "percepts", "pretrain", "finetune", "tables"])
def test_the_stages_have_names(finished, stage):
    assert "Nothing to be done" in snakemake(finished, stage, "-n").stdout


def test_the_comparisons_and_figures_are_made_apart_from_the_table(project):
    wanted = ["results/convlstm.csv", "results/frame_errors.csv"]
    wanted += [f"results/figures/{name}.svg" for name in ("samples_mnist_1", "curves_patches")]
    wanted += [f"results/figures/{name}_mnist_composite.png" for name in ("features", "activity")]
    snakemake(project, *wanted)
    table = pd.read_csv(project / "results/convlstm.csv").set_index("model")
    assert list(table.index) == [
        "convlstm",
        "lstm_equal_parameters",
        "lstm_equal_time",
        *YARDSTICKS,
    ]
    same, longer = table.loc["lstm_equal_parameters"], table.loc["lstm_equal_time"]
    assert same["parameters"] == longer["parameters"] and same["steps"] == 4
    errors = pd.read_csv(project / "results/frame_errors.csv")
    assert set(errors["test"]) == {"mnist", "mnist_1", "mnist_3", "patches"}
    assert set(errors["model"]) == {*ROWS[2:], *YARDSTICKS}
    assert planned(project) == {}


@pytest.mark.parametrize("stage", ["capacity", "convlstm", "figures"])
def test_what_is_apart_from_the_table_has_names_too(finished, stage):
    assert f"{stage} " in snakemake(finished, stage, "-n").stdout


def test_the_workflow_passes_snakemakes_own_lint(checkout):
    done = snakemake(checkout, "--lint", config=None, check=False)
    assert "in a good condition" in done.stdout, done.stdout
