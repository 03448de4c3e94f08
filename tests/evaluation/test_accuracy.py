"""Tests of accuracies: intervals, paired gains, published results, choices and late fusion."""

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


def write_classifier(path, scores, targets, measure="accuracy", inputs=None, **attributes):
    """Write an artifact as finetune_classifier does."""
    scores, targets = np.asarray(scores, np.float32), np.asarray(targets, np.int32)
    defaults = {"dataset": "ucf101", "split": 1, "stream": "rgb", "variant": "composite"}
    identities = {role: identity(file) for role, file in (inputs or {}).items()}
    with create(path, "finetuned", Provenance("test", {}, "0", identities)) as file:
        defaults |= {"labels": "all", "measure": measure, "softmax_init": "random"}
        file.attrs.update(defaults | attributes)
        write_arrays(file, "curves", {})
        file["scores"], file["label"] = scores, targets
        file["video"] = np.arange(len(targets), dtype=np.int32)
        file["accuracy"] = (scores.argmax(2) == targets).mean(1)
    return path


def make_scores(*accuracies, videos=20):
    """Return scores of videos of the first of two classes, with one accuracy per draw."""
    is_correct = np.arange(videos)[None] < np.round(np.array(accuracies)[:, None] * videos)
    return np.stack([is_correct, ~is_correct], -1).astype(float)


@pytest.fixture
def scores(tmp_path):
    """Scores of three draws of a baseline and of a composite that gains 10, 20 and 30 points."""
    zeros = np.zeros(20)
    return collect_scores(
        [
            write_classifier(
                tmp_path / "a.h5", make_scores(0.2, 0.4, 0.6), zeros, variant="lstm_baseline"
            ),
            write_classifier(tmp_path / "b.h5", make_scores(0.3, 0.6, 0.9), zeros),
            write_classifier(tmp_path / "c.h5", make_scores(0.5), zeros, labels="10"),
        ],
        [],
    )


def test_confidence_interval_is_students_t():
    # n = 4, mean 2.5, deviation 1.29099; the 0.975 quantile of t with 3 degrees is 3.18245.
    assert compute_confidence_interval(np.array([1.0, 2, 3, 4])) == pytest.approx(
        (0.44574, 4.55426), abs=1e-4
    )
    assert np.isnan(compute_confidence_interval(np.array([1.0]))).all()


def test_gains_are_paired_by_draw(scores):
    table = summarise_accuracy(scores).set_index(["labels", "variant"])
    assert list(table.index) == [
        ("10", "composite"),
        ("all", "lstm_baseline"),
        ("all", "composite"),
    ]
    composite = table.loc[("all", "composite")]
    assert (composite.n, composite["mean"], composite.gain) == (
        3,
        pytest.approx(60),
        pytest.approx(20),
    )
    # Gains 10, 20, 30: deviation 10, and the t of 2 degrees of freedom is 4.30265.
    half_width = 4.30265 * 10 / np.sqrt(3)
    assert composite[["gain_low", "gain_high"]].tolist() == pytest.approx(
        [20 - half_width, 20 + half_width], abs=1e-3
    )
    # The baseline has no gain, nor has a subset without baseline.
    assert table.gain.isna().tolist() == [True, True, False]


def test_hours_are_compared_with_the_baseline_on_the_same_draws(scores):
    baseline = scores[scores.variant == "lstm_baseline"]
    two_hours = scores[(scores.variant == "composite") & (scores.labels == "all")]
    half_hour = two_hours.assign(value=two_hours.value - 5)
    table = tabulate_hours({2.0: two_hours, 0.5: half_hour}, baseline)
    assert table.hours.tolist()[1:] == [0.5, 2.0] and np.isnan(table.hours[0])
    assert table.variant.tolist() == ["lstm_baseline", "composite", "composite"]
    assert table.gain.tolist()[1:] == pytest.approx([15, 20])
    axes = plot_unlabelled_hours(table).axes
    assert [axis.get_title() for axis in axes] == ["ucf101, rgb, labels per class: all"]


def test_amounts_beyond_the_available_video_are_merged(tmp_path, run_script):
    """Pretrain on 0.5, 2 and 3 hours, of which only 2 are available."""
    paths = {"pretrained": [], "finetuned": []}
    for setting, hours, accuracy in ((0.5, 0.5, 0.6), (2, 2, 0.7), (3, 2, 0.7)):
        encoder, classifier = (
            tmp_path / f"encoder{setting}.h5",
            tmp_path / f"classifier{setting}.h5",
        )
        with create(encoder, "pretrained", Provenance("test", {"hours": setting}, "0")) as file:
            file.attrs.update(model="{}", unlabelled_hours=hours)
            write_arrays(file, "weights", {})
            write_arrays(file, "curves", {})
        write_classifier(
            classifier,
            make_scores(accuracy, accuracy),
            np.zeros(20),
            inputs={"pretrained": encoder},
        )
        paths["pretrained"].append(encoder)
        paths["finetuned"].append(classifier)
    baseline = tmp_path / "baseline.h5"
    write_classifier(baseline, make_scores(0.5, 0.5), np.zeros(20), variant="lstm_baseline")
    options = [word for role, files in paths.items() for word in (f"--{role}", *files)]
    output = tmp_path / "hours.csv"
    run_script("compare_hours", *options, "--baseline", baseline, "--output", output)
    table = pd.read_csv(output)
    assert table["hours"].tolist()[1:] == [0.5, 2.0]
    assert table["n"].tolist() == [2, 2, 2]
    assert table["gain"].tolist()[1:] == pytest.approx([10, 20])


def test_published_numbers_are_joined_to_measured_ones(scores):
    table = compare_with_published(scores, "table3")
    published = table.set_index(["corpus", "stream", "labels", "variant"]).published
    assert published["ucf101", "rgb", "all", "composite"] == 75.8
    assert published["ucf101", "rgb", "10", "composite"] == 67.0  # the small data set
    assert set(table.corpus) == {"ucf101"}  # only measured data sets
    assert set(table.verified) == {"no"}
    by_model = pivot_by_model(table).set_index("variant")
    assert by_model.loc["composite", "ucf101_rgb_all_mean"] == pytest.approx(60)
    assert by_model.loc["autoencoder", "ucf101_rgb_all_published"] == 75.1
    assert np.isnan(by_model.loc["autoencoder", "ucf101_rgb_all_mean"])


def test_published_numbers_are_unique_and_complete():
    from video_lstm.evaluation.published_results import _PUBLISHED

    table = pd.read_csv(_PUBLISHED, dtype=str, keep_default_na=False)
    assert not table.duplicated(["table", "model", "corpus", "stream", "labels"]).any()
    assert set(table.verified) == {"yes", "no"}
    assert (table.drop(columns="labels") != "").all().all()


def test_fusion_weights_are_chosen_on_validation_videos(tmp_path, run_script):
    """Flow is correct on even videos, RGB on odd ones; both are narrowly wrong on the others."""
    labels = np.arange(10) % 2
    confident, wrong = np.array([0.9, 0.1]), np.array([0.45, 0.55])
    flow = np.stack([confident if label == 0 else wrong[::-1] for label in labels])[None]
    rgb = np.stack([wrong if label == 0 else confident[::-1] for label in labels])[None]
    options = []
    for role, measure in (("finetuned", "accuracy"), ("validated", "validation_accuracy")):
        options.append(f"--{role}")
        for stream, stream_scores in (("rgb", rgb), ("flow1", flow)):
            path = tmp_path / f"{stream}_{role}.h5"
            options.append(write_classifier(path, stream_scores, labels, measure, stream=stream))
    run_script("fuse_streams", *options, "--output", tmp_path / "fused.h5")
    with open_artifact(tmp_path / "fused.h5", "finetuned") as file:
        assert file.attrs["weights"].tolist() == [0.5, 0.5]
        assert (file.attrs["stream"], file.attrs["softmax_init"]) == ("rgb+flow1", "random")
        assert file["accuracy"][()] == [1.0]
        np.testing.assert_allclose(file["scores"][()], (rgb + flow) / 2, atol=1e-6)
    fused = collect_scores([tmp_path / "fused.h5"], [])
    assert fused.stream.tolist() == ["rgb+flow1"]


def test_useless_stream_gets_no_weight(tmp_path):
    labels = np.arange(10) % 2
    good = np.stack([1 - labels, labels], -1)[None] * 0.2 + 0.4
    wrong = np.stack([labels, 1 - labels], -1)[None] * 1.0
    # A third stream is correct on the one video where the first is wrong.
    rare = np.full_like(good, 0.5)
    rare[0, 0] = [1, 0]
    good[0, 0] = [0.4, 0.6]
    paths = [
        write_classifier(tmp_path / f"{name}.h5", scores, labels, VALIDATED, stream=name)
        for name, scores in (("rgb", good), ("flow1", wrong), ("motion", rare))
    ]
    rgb, flow = choose_weights(["rgb", "flow1"], paths)
    assert rgb > 0.8 and rgb + flow == 1
    weights = choose_weights(["rgb", "flow1", "motion"], paths)
    assert weights.sum() == pytest.approx(1) and weights[2] > 0.1 >= weights[1]


def test_ties_of_weights_are_broken_by_cross_entropy(tmp_path):
    labels = np.arange(10) % 2
    signs = np.stack([1 - labels, labels], -1)[None] - 0.5
    paths = [
        write_classifier(
            tmp_path / f"{name}.h5", 0.5 + confidence * signs, labels, VALIDATED, stream=name
        )
        for name, confidence in (("rgb", 0.9), ("flow1", 0.1), ("motion", 0.9))
    ]
    assert choose_weights(["rgb", "flow1"], paths).tolist() == [1, 0]
    assert choose_weights(["rgb", "motion"], paths).tolist() == [0.5, 0.5]


def test_choices_refuse_scores_of_test_videos(tmp_path):
    tested = write_classifier(tmp_path / "test.h5", make_scores(0.5), np.zeros(20))
    with pytest.raises(UserError, match=r"test\.h5: expected scores of validation videos"):
        choose_weights(["rgb"], [tested])
    with pytest.raises(UserError, match=r"test\.h5: expected scores of validation videos"):
        tabulate_choices([tested])
    with pytest.raises(UserError, match=r"--validated: expected scores .* found none of motion"):
        choose_weights(["rgb", "motion"], [tested])


def test_best_choice_of_each_classifier_is_marked(tmp_path, run_script):
    validated = []
    for variant, accuracies in (("lstm_baseline", (0.5, 0.7, 0.7)), ("composite", (0.8, 0.6, 0.4))):
        for choice, accuracy in enumerate(accuracies):
            path, settings = tmp_path / f"{variant}{choice}.h5", f'{{"dropout": 0.{choice}}}'
            scores = make_scores(accuracy - 0.1, accuracy + 0.1)
            attributes = {"variant": variant, "finetuning": settings}
            validated.append(write_classifier(path, scores, np.zeros(20), VALIDATED, **attributes))
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


def test_fused_streams_have_the_draws_of_the_stream_with_the_fewest(tmp_path):
    scores = np.random.default_rng(0).random((3, 20, 2))
    paths = [
        write_classifier(tmp_path / f"{draws}.h5", scores[:draws], np.zeros(20), VALIDATED)
        for draws in (3, 2)
    ]
    for stream in read_streams(paths):
        np.testing.assert_array_equal(stream.scores, scores[:2].astype(np.float32))
        assert len(stream.accuracy) == 2


def test_streams_of_different_splits_are_not_fused(tmp_path):
    one = write_classifier(tmp_path / "a.h5", make_scores(0.5), np.zeros(20), VALIDATED)
    two = write_classifier(tmp_path / "b.h5", make_scores(0.5), np.zeros(20), VALIDATED, split=2)
    with pytest.raises(UserError, match=r"b\.h5: expected scores of \('ucf101', '1'"):
        read_streams([one, two])


def test_accuracy_figure_shows_all_models_and_gains_of_pretraining(scores):
    single_frame = scores[scores["variant"] == "composite"].assign(variant="single_frame")
    axes = plot_accuracy(summarise_accuracy(pd.concat([scores, single_frame]))).axes
    assert [axis.get_title() for axis in axes] == ["ucf101, rgb", ""]
    upper, lower = (axis.get_legend_handles_labels()[1] for axis in axes)
    assert (upper, lower) == (["single frame", "lstm baseline", "composite"], ["composite"])
    assert [tick.get_text() for tick in axes[0].get_xticklabels()] == ["10", "all"]
