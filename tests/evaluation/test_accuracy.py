"""Accuracies: intervals, paired gains, published figures beside them, and late fusion."""

import numpy as np
import pandas as pd
import pytest

from video_lstm.artifacts import Provenance, create, identity, open_artifact, write_arrays
from video_lstm.errors import UserError
from video_lstm.evaluation.accuracy import (
    compute_confidence_interval,
    summarise_accuracy,
    tabulate_hours,
)
from video_lstm.evaluation.choices import tabulate_choices
from video_lstm.evaluation.classifier_scores import select_best_classifier
from video_lstm.evaluation.fusion import choose_weights, read_streams
from video_lstm.evaluation.published_results import compare_with_published, pivot_by_model
from video_lstm.evaluation.tables import collect_scores
from video_lstm.plots.curves import plot_accuracy, plot_unlabelled_hours

VALIDATED = "validation_accuracy"


def classified(path, scores, truth, measure="accuracy", inputs=None, **attributes):
    """An artifact as finetune_classifier writes it."""
    scores, truth = np.asarray(scores, np.float32), np.asarray(truth, np.int32)
    about = {"dataset": "ucf101", "split": 1, "stream": "rgb", "variant": "composite"}
    identities = {role: identity(file) for role, file in (inputs or {}).items()}
    with create(path, "finetuned", Provenance("test", {}, "0", identities)) as file:
        about |= {"labels": "all", "measure": measure, "softmax_init": "random"}
        file.attrs.update(about | attributes)
        write_arrays(file, "curves", {})
        file["scores"], file["label"] = scores, truth
        file["video"] = np.arange(len(truth), dtype=np.int32)
        file["accuracy"] = (scores.argmax(2) == truth).mean(1)
    return path


def right(*shares, videos=20):
    """Scores of two classes, all videos of the first: right for a share of them in every draw."""
    good = np.arange(videos)[None] < np.round(np.array(shares)[:, None] * videos)
    return np.stack([good, ~good], -1).astype(float)


@pytest.fixture
def scores(tmp_path):
    """Three draws of a baseline and of a composite that gains 10, 20 and 30 points."""
    zeros = np.zeros(20)
    return collect_scores(
        [
            classified(tmp_path / "a.h5", right(0.2, 0.4, 0.6), zeros, variant="lstm_baseline"),
            classified(tmp_path / "b.h5", right(0.3, 0.6, 0.9), zeros),
            classified(tmp_path / "c.h5", right(0.5), zeros, labels="10"),
        ],
        [],
    )


def test_the_interval_is_students():
    # n = 4, mean 2.5, deviation 1.29099; the 0.975 quantile of t with 3 degrees is 3.18245.
    assert compute_confidence_interval(np.array([1.0, 2, 3, 4])) == pytest.approx(
        (0.44574, 4.55426), abs=1e-4
    )
    assert np.isnan(compute_confidence_interval(np.array([1.0]))).all()


def test_gains_are_paired_draw_by_draw(scores):
    table = summarise_accuracy(scores).set_index(["labels", "variant"])
    assert list(table.index) == [
        ("10", "composite"),
        ("all", "lstm_baseline"),
        ("all", "composite"),
    ]
    gained = table.loc[("all", "composite")]
    assert (gained.n, gained["mean"], gained.gain) == (3, pytest.approx(60), pytest.approx(20))
    # Of 10, 20, 30: deviation 10, and the t of 2 degrees of freedom is 4.30265.
    half = 4.30265 * 10 / np.sqrt(3)
    assert gained[["gain_low", "gain_high"]].tolist() == pytest.approx(
        [20 - half, 20 + half], abs=1e-3
    )
    # No baseline on the same subset, no gain; and none of the baseline over itself.
    assert table.gain.isna().tolist() == [True, True, False]


def test_hours_of_video_stand_beside_the_baseline_on_the_same_draws(scores):
    baseline = scores[scores.variant == "lstm_baseline"]
    whole = scores[(scores.variant == "composite") & (scores.labels == "all")]
    half = whole.assign(value=whole.value - 5)
    table = tabulate_hours({2.0: whole, 0.5: half}, baseline)
    assert table.hours.tolist()[1:] == [0.5, 2.0] and np.isnan(table.hours[0])
    assert table.variant.tolist() == ["lstm_baseline", "composite", "composite"]
    assert table.gain.tolist()[1:] == pytest.approx([15, 20])
    axes = plot_unlabelled_hours(table).axes
    assert [axis.get_title() for axis in axes] == ["ucf101, rgb, labels per class: all"]


def test_amounts_of_video_that_are_the_same_are_one(tmp_path, run_script):
    """Classifiers on 2 and on 3 hours, where there are no more than 2, and on half an hour."""
    paths = {"pretrained": [], "finetuned": []}
    for asked, hours, share in ((0.5, 0.5, 0.6), (2, 2, 0.7), (3, 2, 0.7)):
        encoder, classifier = tmp_path / f"encoder{asked}.h5", tmp_path / f"classifier{asked}.h5"
        with create(encoder, "pretrained", Provenance("test", {"hours": asked}, "0")) as file:
            file.attrs.update(model="{}", unlabelled_hours=hours)
            write_arrays(file, "weights", {})
            write_arrays(file, "curves", {})
        classified(classifier, right(share, share), np.zeros(20), inputs={"pretrained": encoder})
        paths["pretrained"].append(encoder)
        paths["finetuned"].append(classifier)
    baseline = tmp_path / "baseline.h5"
    classified(baseline, right(0.5, 0.5), np.zeros(20), variant="lstm_baseline")
    options = [word for role, files in paths.items() for word in (f"--{role}", *files)]
    output = tmp_path / "hours.csv"
    run_script("compare_hours", *options, "--baseline", baseline, "--output", output)
    table = pd.read_csv(output)
    assert table["hours"].tolist()[1:] == [0.5, 2.0]
    assert table["n"].tolist() == [2, 2, 2]
    assert table["gain"].tolist()[1:] == pytest.approx([10, 20])


def test_published_figures_stand_beside_what_they_are_about(scores):
    table = compare_with_published(scores, "table3")
    published = table.set_index(["corpus", "stream", "labels", "variant"]).published
    assert published["ucf101", "rgb", "all", "composite"] == 75.8
    assert published["ucf101", "rgb", "10", "composite"] == 67.0  # the small set
    assert set(table.corpus) == {"ucf101"}  # nothing of data sets that were not run
    assert set(table.verified) == {"no"}
    printed = pivot_by_model(table).set_index("variant")
    assert printed.loc["composite", "ucf101_rgb_all_mean"] == pytest.approx(60)
    assert printed.loc["autoencoder", "ucf101_rgb_all_published"] == 75.1
    assert np.isnan(printed.loc["autoencoder", "ucf101_rgb_all_mean"])


def test_published_figures_are_told_once_and_in_full():
    from video_lstm.evaluation.published_results import _PUBLISHED

    table = pd.read_csv(_PUBLISHED, dtype=str, keep_default_na=False)
    assert not table.duplicated(["table", "model", "corpus", "stream", "labels"]).any()
    assert set(table.verified) == {"yes", "no"}
    assert (table.drop(columns="labels") != "").all().all()


def test_fusion_weighs_by_validation_and_keeps_the_labels_of_both(tmp_path, run_script):
    """Flow is right on the even videos, RGB on the odd ones and, barely, wrong on the even."""
    truth = np.arange(10) % 2
    sure, unsure = np.array([0.9, 0.1]), np.array([0.45, 0.55])
    flow = np.stack([sure if label == 0 else unsure[::-1] for label in truth])[None]
    rgb = np.stack([unsure if label == 0 else sure[::-1] for label in truth])[None]
    options = []
    for role, measure in (("finetuned", "accuracy"), ("validated", "validation_accuracy")):
        options.append(f"--{role}")
        for stream, scored in (("rgb", rgb), ("flow1", flow)):
            path = tmp_path / f"{stream}_{role}.h5"
            options.append(classified(path, scored, truth, measure, stream=stream))
    run_script("fuse_streams", *options, "--output", tmp_path / "fused.h5")
    with open_artifact(tmp_path / "fused.h5", "finetuned") as file:
        assert file.attrs["weights"].tolist() == [0.5, 0.5]
        assert (file.attrs["stream"], file.attrs["softmax_init"]) == ("rgb+flow1", "random")
        assert file["accuracy"][()] == [1.0]
        np.testing.assert_allclose(file["scores"][()], (rgb + flow) / 2, atol=1e-6)
    fused = collect_scores([tmp_path / "fused.h5"], [])
    assert fused.stream.tolist() == ["rgb+flow1"]


def test_a_stream_that_is_worth_nothing_gets_no_weight(tmp_path):
    truth = np.arange(10) % 2
    good = np.stack([1 - truth, truth], -1)[None] * 0.2 + 0.4
    noise = np.stack([truth, 1 - truth], -1)[None] * 1.0
    # A third stream that is right where the first is not sure, on one video.
    rare = np.full_like(good, 0.5)
    rare[0, 0] = [1, 0]
    good[0, 0] = [0.4, 0.6]
    paths = [
        classified(tmp_path / f"{name}.h5", scored, truth, "validation_accuracy", stream=name)
        for name, scored in (("rgb", good), ("flow1", noise), ("motion", rare))
    ]
    rgb, flow = choose_weights(["rgb", "flow1"], paths)
    assert rgb > 0.8 and rgb + flow == 1
    weights = choose_weights(["rgb", "flow1", "motion"], paths)
    assert weights.sum() == pytest.approx(1) and weights[2] > 0.1 >= weights[1]


def test_of_equally_accurate_weights_the_lowest_cross_entropy_counts(tmp_path):
    truth = np.arange(10) % 2
    sides = np.stack([1 - truth, truth], -1)[None] - 0.5
    paths = [
        classified(
            tmp_path / f"{name}.h5", 0.5 + sure * sides, truth, "validation_accuracy", stream=name
        )
        for name, sure in (("rgb", 0.9), ("flow1", 0.1), ("motion", 0.9))
    ]
    assert choose_weights(["rgb", "flow1"], paths).tolist() == [1, 0]
    assert choose_weights(["rgb", "motion"], paths).tolist() == [0.5, 0.5]


def test_nothing_is_chosen_by_test_videos(tmp_path):
    scored = right(0.5)
    tested = classified(tmp_path / "test.h5", scored, np.zeros(20))
    with pytest.raises(UserError, match=r"test\.h5: expected scores of validation videos"):
        choose_weights(["rgb"], [tested])
    with pytest.raises(UserError, match=r"test\.h5: expected scores of validation videos"):
        tabulate_choices([tested])
    with pytest.raises(UserError, match=r"--validated: expected scores .* found none of motion"):
        choose_weights(["rgb", "motion"], [tested])


def test_choices_stand_side_by_side_and_the_best_of_each_classifier_is_marked(tmp_path, run_script):
    validated = []
    for variant, shares in (("lstm_baseline", (0.5, 0.7, 0.7)), ("composite", (0.8, 0.6, 0.4))):
        for choice, share in enumerate(shares):
            path, settings = tmp_path / f"{variant}{choice}.h5", f'{{"dropout": 0.{choice}}}'
            scores = right(share - 0.1, share + 0.1)
            about = {"variant": variant, "finetuning": settings}
            validated.append(classified(path, scores, np.zeros(20), VALIDATED, **about))
    run_script("compare_choices", "--validated", *validated, "--output", tmp_path / "choices.csv")
    table = pd.read_csv(tmp_path / "choices.csv", dtype={"labels": str})
    assert table["variant"].tolist() == ["lstm_baseline"] * 3 + ["composite"] * 3
    assert table["choice"].tolist() == [0, 1, 2] * 2
    assert table["mean"].tolist() == pytest.approx([50, 70, 70, 80, 60, 40])
    assert table["std"].tolist() == pytest.approx([10 * 2**0.5] * 6, abs=1e-3)
    assert table["chosen"].tolist() == [False, True, False, True, False, False]
    assert table["settings"].iloc[4] == '{"dropout": 0.1}'
    best = [select_best_classifier(validated[:3]), select_best_classifier(validated[3:])]
    assert [validated[row] for row in np.flatnonzero(table["chosen"])] == best


def test_what_does_not_belong_together_is_not_fused(tmp_path):
    one = classified(tmp_path / "a.h5", right(0.5), np.zeros(20), "validation_accuracy")
    two = classified(tmp_path / "b.h5", right(0.5), np.zeros(20), "validation_accuracy", split=2)
    with pytest.raises(UserError, match=r"b\.h5: expected scores of \('ucf101', '1'"):
        read_streams([one, two])


def test_the_figure_shows_every_model_and_the_gains_below(scores):
    axes = plot_accuracy(summarise_accuracy(scores)).axes
    assert [axis.get_title() for axis in axes] == ["ucf101, rgb", ""]
    upper, lower = (axis.get_legend_handles_labels()[1] for axis in axes)
    assert (upper, lower) == (["lstm baseline", "composite"], ["composite"])
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["10", "all"]
