"""The complete workflow at its smallest size, from rendered videos to results/table2.csv.

All tests share one clean run; tests that change files change a copy.
"""

import h5py
import pandas as pd
import pytest
from faults import leftovers
from projects import copy, counts, planned, snakemake

from video_lstm.training.model_matching import matching_steps
from video_lstm.training.training_summary import read_training_summary

ROWS = ["single_frame", "lstm_baseline", "conditional_future_predictor", "composite"]
TRIVIAL_BASELINES = ["copy_last_frame", "mean_frame"]


def test_the_table_has_its_rows_columns_and_sane_numbers(finished):
    table = pd.read_csv(finished / "results/table2.csv").set_index("variant")
    assert list(table.index) == ROWS + TRIVIAL_BASELINES
    accuracies = [f"tiny_{s}_{n}_{m}" for s in ("rgb", "flow1") for n in ("1", "all")
                  for m in ("mean", "std")]  # fmt: skip
    assert list(table.columns) == ["mnist_cross_entropy", "patches_squared_error", *accuracies]
    assert table.loc[ROWS, accuracies].notna().all().all()
    assert table.loc[TRIVIAL_BASELINES, accuracies].isna().all().all()
    assert table.loc[ROWS, accuracies].stack().between(0, 100).all()
    errors = table[["mnist_cross_entropy", "patches_squared_error"]]
    assert errors.loc[ROWS[:2]].isna().all().all()
    assert (errors.loc[ROWS[2:]] > 0).all().all()


def test_the_table_has_the_means_of_the_scores(finished):
    scores = pd.read_csv(finished / "results/scores.csv", dtype={"labels": str})
    table = pd.read_csv(finished / "results/table2.csv").set_index("variant")
    chosen = scores.query("measure == 'accuracy' and variant == 'composite' and stream == 'rgb'")
    accuracy = chosen[chosen.labels == "1"].value
    assert len(accuracy) == 2  # draws
    assert table.loc["composite", "tiny_rgb_1_mean"] == pytest.approx(accuracy.mean(), abs=0.06)


def test_tables_1_3_and_4_use_the_same_classifiers(finished):
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
    assert not leftovers(finished)


def test_every_artifact_has_its_provenance(finished):
    artifacts = [p for p in (finished / "results").rglob("*.h5") if "checkpoints" not in p.parts]
    assert len(artifacts) > 30
    identities = {}
    for path in artifacts:
        with h5py.File(path) as file:
            attributes = dict(file.attrs)
        assert {"schema", "stage", "settings", "code", "inputs", "versions", "identity"} <= set(
            attributes
        )
        assert str(finished) not in str(attributes)
        identities.setdefault(attributes["identity"], path)
    assert len(identities) == len(artifacts)


def test_wrong_settings_and_paths_are_reported_before_anything_runs(checkout):
    done = snakemake(checkout, "-n", "--config", "flow={metod: dis}", check=False)
    assert done.returncode != 0
    assert "unknown setting 'flow.metod'; did you mean 'method'?" in done.stdout
    assert "Traceback" not in done.stdout
    done = snakemake(checkout, "-n", "--config", "unlabelled={root: nowhere}", check=False)
    assert done.returncode != 0
    assert "unlabelled.root: expected a folder of videos, found nothing at nowhere" in done.stdout
    done = snakemake(checkout, "-n", "--config", "percepts={weights: no.pth}", check=False)
    assert "percepts.weights: expected a file of weights, found none at no.pth" in done.stdout


def test_the_message_of_a_failed_job_is_printed_last(checkout, tmp_path):
    folder = copy(checkout, tmp_path / "project")
    video = folder / "videos/a.mp4"
    video.parent.mkdir()
    video.write_bytes(b"no class folder")
    mine = "datasets={mine: {root: videos, splits: {by: fraction}}}"
    target = "results/videos/mine.h5"
    done = snakemake(folder, target, "--config", mine, check=False)
    end = "\n".join(done.stdout.splitlines()[-6:])
    assert "results/logs/index_videos/mine.log: videos: expected a folder for each class" in end
    assert "Traceback" not in done.stdout


def test_stages_are_targets(finished):
    stages = ("clips", "flow", "percepts", "encoders", "classifiers", "tables")
    assert "Nothing to be done" in snakemake(finished, *stages, "-n").stdout
    separate = (
        "capacity",
        "choices",
        "convlstm",
        "fusion",
        "figures",
        "representations",
        "unlabelled_hours",
    )
    planned = counts(snakemake(finished, *separate, "-n").stdout)
    assert all(planned[stage] == 1 for stage in separate)


def test_comparisons_and_figures_have_their_own_targets(project):
    targets = ["results/convlstm.csv", "results/frame_errors.csv", "results/fusion.csv"]
    targets += [f"results/figures/{name}.svg" for name in ("samples_mnist_1", "curves_patches")]
    targets += [f"results/figures/{name}_mnist_composite.png" for name in ("features", "activity")]
    snakemake(project, *targets)
    table = pd.read_csv(project / "results/convlstm.csv").set_index("model")
    assert list(table.index) == [
        "convlstm",
        "lstm_equal_parameters",
        "lstm_equal_time",
        *TRIVIAL_BASELINES,
    ]
    assert table.loc["lstm_equal_parameters", "steps"] == 4
    composite = project / "results/pretrain/mnist/pixels/composite.h5"
    assert list(table.loc["lstm_equal_time", ["parameters", "steps"]]) == [
        read_training_summary(composite).parameters,
        matching_steps(project / "results/convlstm/convlstm.h5", composite),
    ]
    errors = pd.read_csv(project / "results/frame_errors.csv")
    assert set(errors["test"]) == {"mnist", "mnist_1", "mnist_3", "patches"}
    assert set(errors["model"]) == {*ROWS[2:], *TRIVIAL_BASELINES}
    fusion = pd.read_csv(project / "results/fusion.csv", dtype={"labels": str})
    assert [*zip(fusion["stream"], fusion["labels"], fusion["variant"], strict=True)] == [
        ("rgb+flow1", labels, variant)
        for labels in ("1", "all")
        for variant in ("lstm_baseline", "composite")
    ]
    assert planned(project) == {}


def test_the_workflow_passes_snakemake_lint(checkout):
    done = snakemake(checkout, "--lint", config=None, check=False)
    assert "in a good condition" in done.stdout, done.stdout
