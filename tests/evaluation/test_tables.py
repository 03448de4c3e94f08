"""Tests of tables: known answers, reproducible files, and HTML."""

import numpy as np
import pandas as pd
import pytest

from video_lstm.artifacts import Provenance, create, write_arrays
from video_lstm.errors import UserError
from video_lstm.evaluation.html_tables import find_best_rows, render_table_html
from video_lstm.evaluation.tables import collect_scores, make_table2, read_scores, write_csv


def write_classifier(path, accuracy, measure="accuracy", **attributes):
    """Write an artifact with accuracies as finetune_classifier does."""
    with create(path, "finetuned", Provenance("finetune", attributes, "0")) as file:
        file.attrs.update({"measure": measure} | attributes)
        write_arrays(file, "curves", {})
        file["scores"] = np.zeros((len(accuracy), 3, 2), np.float32)
        file["video"] = file["label"] = np.zeros(3, np.int32)
        file["accuracy"] = np.array(accuracy, np.float64)
    return path


def write_predictions(path, variant, corpus, **errors):
    """Write an artifact with errors as measure_predictions does."""
    with create(path, "predictions", Provenance("measure_predictions", {}, "0")) as file:
        file.attrs.update({"variant": variant, "corpus": corpus})
        write_arrays(file, "errors", {name: np.array(value) for name, value in errors.items()})
        write_arrays(file, "samples", {})
    return path


def identify(variant, labels, dataset="weizmann", stream="rgb", split=1):
    """Return the attributes that identify a classifier."""
    return {"dataset": dataset, "stream": stream, "split": split, "variant": variant,
            "labels": str(labels), "softmax_init": "random"}  # fmt: skip


@pytest.fixture
def artifacts(tmp_path):
    """Classifiers of two splits and several draws, and errors on two corpora."""
    classifiers = {
        "a": ([0.5, 0.7], "accuracy", identify("lstm_baseline", "all")),
        "b": ([0.3, 0.5], "accuracy", identify("lstm_baseline", "all", split=2)),
        "c": ([0.4], "accuracy", identify("composite", 10)),
        "d": ([0.2], "accuracy", identify("composite", 1, stream="flow1")),
        "e": ([0.9], "validation_accuracy", identify("composite", 1)),
    }
    return {
        "finetuned": [
            write_classifier(tmp_path / f"{name}.h5", accuracy, measure, **attributes)
            for name, (accuracy, measure, attributes) in classifiers.items()
        ],
        "predictions": [
            write_predictions(
                tmp_path / "p.h5",
                "composite",
                "mnist",
                future_cross_entropy=[300.0, 400.0],
                reconstruction_cross_entropy=[1.0],
                mean_frame_future_cross_entropy=[500.0, 700.0],
            ),
            write_predictions(
                tmp_path / "q.h5",
                "future_predictor",
                "patches",
                future_squared_error=[210.0, 220.0, 230.0],
            ),
        ],
    }


def test_table2_known_answer(artifacts):
    table = make_table2(collect_scores(**artifacts)).set_index("variant")
    assert list(table.index) == [
        *("lstm_baseline", "future_predictor", "composite", "copy_last_frame", "mean_frame")
    ]
    assert list(table.columns) == [
        "mnist_cross_entropy", "patches_squared_error",
        "weizmann_rgb_10_mean", "weizmann_rgb_10_std",
        "weizmann_rgb_all_mean", "weizmann_rgb_all_std",
        "weizmann_flow1_1_mean", "weizmann_flow1_1_std",
    ]  # fmt: skip
    assert table.loc["lstm_baseline", "weizmann_rgb_all_mean"] == pytest.approx(50.0)
    assert table.loc["lstm_baseline", "weizmann_rgb_all_std"] == pytest.approx(
        np.std([50, 70, 30, 50], ddof=1)
    )
    assert table.loc["composite", "mnist_cross_entropy"] == 350.0
    assert table.loc["future_predictor", "patches_squared_error"] == 220.0
    assert table.loc["composite", "weizmann_rgb_10_mean"] == pytest.approx(40.0)
    assert table.loc["mean_frame", "mnist_cross_entropy"] == 600.0
    assert table.count().sum() == 7  # nothing else: a single draw has no deviation


def test_tables_do_not_depend_on_the_order_of_files(artifacts, run_script, tmp_path):
    tables = []
    for order in (slice(None), slice(None, None, -1)):
        scores, table = tmp_path / "scores.csv", tmp_path / "table2.csv"
        run_script(
            "collect_scores",
            *("--finetuned", *artifacts["finetuned"][order]),
            *("--predictions", *artifacts["predictions"][order]),
            *("--output", scores),
        )
        run_script("make_table2", "--scores", scores, "--output", table)
        tables.append((scores.read_bytes(), table.read_bytes()))
    assert tables[0] == tables[1]
    lines = tables[0][0].decode().splitlines()
    assert lines[0] == "measure,value,unit,corpus,split,stream,variant,labels,draw,softmax_init"
    assert "accuracy,70.000000,percent,weizmann,1,rgb,lstm_baseline,all,1,random" in lines
    assert "future_cross_entropy,350.000000,nats/frame,mnist,,,composite,,," in lines
    rows = tables[0][1].decode().splitlines()
    assert rows[1].startswith("lstm_baseline,,,,,50.0000,16.3299,")


def test_scores_are_read_as_they_were_written(artifacts, tmp_path):
    scores = collect_scores(**artifacts)
    write_csv(scores, tmp_path / "scores.csv", decimals=6)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), scores)


def test_duplicate_numbers_are_refused(artifacts, tmp_path):
    duplicate = write_classifier(tmp_path / "again.h5", [0.4], **identify("composite", 10))
    with pytest.raises(UserError, match=r"c\.h5.*found"):
        collect_scores([*artifacts["finetuned"], duplicate], [])


def test_underscores_of_models_but_not_of_files_become_spaces():
    table = pd.DataFrame({"variant": ["lstm_baseline"], "such as": ["a_walk <1>.avi"]})
    text = render_table_html(table)
    assert ">lstm baseline<" in text and ">a_walk &lt;1&gt;.avi<" in text


def test_best_rows_are_among_comparable_ones():
    rows = [("a", "rgb", "1", 30.0, 2.0), ("a", "rgb", "1", 40.0, 5.0),
            ("a", "flow1", "1", 20.0, 1.0), ("a", "flow1", "1", 20.0, 3.0),
            ("a", "rgb", "all", 90.0, np.nan)]  # fmt: skip
    gains = pd.DataFrame(rows, columns=["corpus", "stream", "labels", "mean", "gain"])
    assert find_best_rows(gains, "mean") == {1} and find_best_rows(gains, "gain") == {1, 3}
    # Without gains, streams are compared, as in table 4.
    assert find_best_rows(gains.drop(columns="gain"), "mean") == {4}
    table2 = pd.DataFrame({"mnist_cross_entropy": [3.0, np.nan, 2.0], "tiny_rgb_1_mean": [1, 2, 2]})
    assert find_best_rows(table2, "mnist_cross_entropy") == {2}
    assert find_best_rows(table2, "tiny_rgb_1_mean") == {1, 2}
    assert find_best_rows(table2, "variant") == set()
