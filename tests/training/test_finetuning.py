"""Tests of recognition: labelled subsets, blocks, use of test videos, pretrained encoders."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import finetune_classifier
from video_lstm import artifacts
from video_lstm.artifacts import Provenance, create, open_artifact, write_strings
from video_lstm.errors import UserError
from video_lstm.models.encoder_decoder import EncoderDecoder
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.labelled_clips import read_split
from video_lstm.sequences.labelled_subsets import draw_labelled_subset
from video_lstm.sequences.percepts import PerceptStore
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.settings.training import ClassifierSettings
from video_lstm.training import finetuning
from video_lstm.training.finetuning import (
    VideoClassifier,
    finetune,
    load_classifier,
    pretrained_classifier_builder,
    score_videos,
)
from video_lstm.training.pretrained import save_pretrained
from video_lstm.video.clips import ClipName, write_names

labels_of_videos = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)


@given(labels_of_videos, st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
def test_labelled_subsets_are_nested_and_balanced(labels, n, seed, draw):
    small = draw_labelled_subset(labels, n, seed, draw)
    large = draw_labelled_subset(labels, n + 3, seed, draw)
    assert set(small) <= set(large) <= set(draw_labelled_subset(labels, "all", seed, draw))
    class_counts = np.bincount(labels)
    np.testing.assert_array_equal(
        np.bincount(labels[small], minlength=len(class_counts)), np.minimum(class_counts, n)
    )


def test_draws_differ_and_are_reproducible():
    labels = np.repeat(np.arange(3), 20)
    draws = [tuple(draw_labelled_subset(labels, 2, 0, draw)) for draw in range(20)]
    assert len(set(draws)) > 15
    assert draws[7] == tuple(draw_labelled_subset(labels, 2, 0, 7))
    # An additional class does not change the videos drawn from the other classes.
    with_fourth_class = draw_labelled_subset(np.append(labels, [3, 3, 3]), 2, 0, 7)
    assert tuple(with_fourth_class[with_fourth_class < 60]) == draws[7]


@given(st.integers(2, 8), st.integers(1, 4), st.floats(0.05, 0.6), st.integers(0, 99))
def test_validation_holds_out_whole_groups(groups, per_group, fraction, seed):
    group = [f"g{number:02d}" for number in range(groups) for _ in range(2 * per_group)]
    labels = np.tile([0, 1], groups * per_group)
    is_validation = draw_validation_videos(labels, group, fraction, seed)
    pairs = set(zip(group, is_validation.tolist(), strict=True))
    validation_groups = {name for name, is_held_out in pairs if is_held_out}
    training_groups = {name for name, is_held_out in pairs if not is_held_out}
    assert validation_groups
    assert training_groups
    assert not validation_groups & training_groups
    assert set(labels[~is_validation]) == {0, 1}
    assert abs(is_validation.mean() - fraction) <= 1 / groups


def test_validation_leaves_training_videos_of_every_class():
    is_validation = draw_validation_videos(np.array([0, 1, 1, 1]), ["a", "a", "b", "c"], 0.9, 0)
    assert not is_validation[:2].any()
    with pytest.raises(UserError, match="none can be held out"):
        draw_validation_videos(np.array([0, 1]), ["", ""], 0.5, 0)


# A small data set ---------------------------------------------------------------------------

TEXTS = ("path", "classes", "group")
LENGTHS = (15, 16, 17, 24, 25)
CLASSES, TRAINING, DIM = 3, 6, 12


def data_set(folder, seed=0, labels=None, test_percepts=0.0):
    """Write percepts and the index of a data set with three classes and one clip per video.

    A class has six training videos and five test videos of 15 to 25 frames; percepts are normally
    distributed around a centre per class. `labels` replace those of the test videos, and
    `test_percepts` is added to their percepts.
    """
    folder.mkdir()
    generator = np.random.default_rng(seed)
    label = np.repeat(np.arange(CLASSES), TRAINING + len(LENGTHS)).astype(np.int32)
    split = np.tile([1] * TRAINING + [2] * len(LENGTHS), CLASSES).astype(np.int8)
    frames = np.tile([20] * TRAINING + list(LENGTHS), CLASSES).astype(np.int32)
    centres = generator.normal(size=(CLASSES, DIM))
    percepts = [
        centres[c] + generator.normal(size=(n, DIM)) + (test_percepts if s == 2 else 0)
        for c, n, s in zip(label, frames, split, strict=True)
    ]
    if labels is not None:
        label[split == 2] = labels
    provenance, count = Provenance("test", {}, "0"), len(label)
    with create(folder / "videos.h5", "videos", provenance) as file:
        for name in artifacts.SCHEMAS["videos"][1] - {"splits", "label", *TEXTS}:
            file[name] = np.zeros(count)
        file.attrs["rate"] = 10.0
        file["splits"], file["label"] = split[:, None], label
        # Clips are in another order than videos, so that mixed-up row numbers are noticed.
        names = [f"{number:02}.avi" for number in generator.permutation(count)]
        groups = [f"g{row % TRAINING}" for row in range(count)]
        for name, values in zip(TEXTS, (names, ["a", "b", "c"], groups), strict=True):
            write_strings(file, name, values)
    for shard, rows in enumerate(np.array_split(generator.permutation(count), 2)):
        clips = [percepts[row].astype(np.float16) for row in rows]
        with create(folder / f"percepts{shard}.h5", "percepts", provenance) as file:
            file["percepts"] = np.concatenate(clips)
            file.attrs["rate"] = 10.0
            write_names(file, [ClipName(names[row], 0) for row in rows])
            file["clip_offsets"] = np.cumsum([0, *map(len, clips)])
    return folder


SETTINGS = {
    "num_draws": 2,
    "dropout": 0.3,
    "softmax_init": "random",
    "training": {"steps": 40, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 5},
}


def finetuned(folder, variant="lstm_baseline", labels="all", options=(), **finetuning):
    """Run finetune_classifier on a data set; return the artifact's arrays and attributes."""
    output = folder / f"{variant}_{labels}_{len(finetuning)}{''.join(dict(options))}.h5"
    pretrained = folder / f"{variant}.h5"
    finetune_classifier.main(
        finetune_classifier.Arguments(
            videos=folder / "videos.h5",
            percepts=[folder / "percepts0.h5", folder / "percepts1.h5"],
            pretrained=pretrained if pretrained.exists() else None,
            output=output,
            dataset="small",
            variant=variant,
            labels=labels,
            hidden_size=8,
            finetuning=SETTINGS | finetuning,
            **({"stream": "rgb"} | dict(options)),
            checkpoints=folder / "checkpoints",
            device="cpu",
        )
    )
    assert not list((folder / "checkpoints").iterdir())
    with open_artifact(output, "finetuned") as file:
        arrays = {name: file[name][()] for name in ("scores", "label", "video", "accuracy")}
        return arrays | dict(file.attrs)


# Blocks and scores ---------------------------------------------------------------------------


class Probe(VideoClassifier):
    """Classifier of two classes whose probability of the first is a percept's first value."""

    def __init__(self):
        super().__init__(Standardize(np.zeros(2), np.ones(2)), torch.nn.Linear(1, 1))

    def forward(self, percepts, mask):
        probability = percepts[..., :1]
        return torch.cat([probability, 1 - probability], -1).log()


def test_scores_are_averaged_over_steps_and_blocks(tmp_path):
    lengths = (3, *LENGTHS, 300 * 8 + 16)
    generator = np.random.default_rng(0)
    clips = [generator.uniform(0.1, 0.9, (n, 2)).astype(np.float16) for n in lengths]
    with create(tmp_path / "p.h5", "percepts", Provenance("test", {}, "0")) as file:
        file["percepts"], file.attrs["rate"] = np.concatenate(clips), np.nan
        write_names(file, [ClipName(f"{n}.avi", 0) for n in range(len(clips))])
        file["clip_offsets"] = np.cumsum([0, *lengths])
    rows = np.array([6, 0, 3, 2, 5, 4, 1, 6])
    scores = score_videos(Probe(), PerceptStore([tmp_path / "p.h5"]), rows, 16, 8)
    starts = {3: [0], 15: [0], 16: [0], 17: [0], 24: [0, 8], 25: [0, 8]}
    for clip, video_scores in zip(rows, scores, strict=True):
        steps = clips[clip][:, 0].astype(np.float64)
        blocks = [steps[s : s + 16].mean() for s in starts.get(len(steps), range(0, 2401, 8))]
        np.testing.assert_allclose(video_scores, [np.mean(blocks), 1 - np.mean(blocks)], atol=1e-6)


@pytest.mark.parametrize("variant", ["single_frame", "lstm_baseline"])
def test_scores_belong_to_the_right_videos(tmp_path, variant):
    artifact = finetuned(data_set(tmp_path / "data"), variant)
    assert artifact["scores"].shape == (2, 15, 3)
    np.testing.assert_allclose(artifact["scores"].sum(2), 1, atol=1e-6)
    # The centres are far apart, so that a trained classifier makes few errors.
    assert artifact["accuracy"].mean() > 0.8
    is_correct = artifact["scores"].argmax(2) == artifact["label"]
    np.testing.assert_array_equal(artifact["accuracy"], is_correct.mean(1))
    per_class = TRAINING + len(LENGTHS)
    assert sorted(artifact["video"]) == [r for r in range(33) if r % per_class >= TRAINING]
    np.testing.assert_array_equal(artifact["label"], artifact["video"] // per_class)
    attributes = [
        artifact[name] for name in ("dataset", "stream", "split", "variant", "labels", "measure")
    ]
    assert attributes == ["small", "rgb", 1, variant, "all", "accuracy"]


def test_missing_or_duplicate_shard_is_an_error(tmp_path):
    folder = data_set(tmp_path / "data")
    with pytest.raises(
        UserError, match="expected shards with all of its videos, found no clip of 10"
    ):
        read_split(folder / "videos.h5", 1, PerceptStore([folder / "percepts0.h5"]).names)
    shutil.copy(folder / "percepts0.h5", folder / "copy.h5")
    shards = [folder / f"{name}.h5" for name in ("percepts0", "percepts1", "copy")]
    with pytest.raises(UserError, match=r"videos\.h5: expected each of its videos in one shard"):
        read_split(folder / "videos.h5", 1, PerceptStore(shards).names)


def test_scores_depend_on_the_subset_and_draws_are_independent(tmp_path):
    folder = data_set(tmp_path / "data")
    first, all_of_them = finetuned(folder, labels=1), finetuned(folder)
    assert not np.array_equal(first["scores"], all_of_them["scores"])
    # A draw does not depend on the number of draws.
    single_draw = finetuned(folder, labels=1, num_draws=1)
    np.testing.assert_array_equal(single_draw["scores"], first["scores"][:1])
    assert not np.array_equal(first["scores"][0], first["scores"][1])


# Use of test videos --------------------------------------------------------------------------


def test_scores_do_not_depend_on_test_labels(tmp_path):
    plain = finetuned(data_set(tmp_path / "plain"))
    changed = finetuned(data_set(tmp_path / "changed", labels=np.zeros(15, np.int32)))
    np.testing.assert_array_equal(changed["scores"], plain["scores"])
    assert changed["accuracy"].mean() < 0.5 < plain["accuracy"].mean()


@pytest.mark.parametrize("variant", ["single_frame", "lstm_baseline", "composite"])
def test_weights_do_not_depend_on_test_videos(tmp_path, variant):
    weights = []
    for name, shift in (("plain", 0.0), ("shifted", 5.0)):
        folder = data_set(tmp_path / name, test_percepts=shift)
        if variant == "composite":
            pretrain(folder)
        state = {}

        def score(model, *arguments, state=state):
            state |= {key: value.clone() for key, value in model.state_dict().items()}
            return score_videos(model, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finetune_classifier, "score_videos", score)
            weights.append((state, finetuned(folder, variant, num_draws=1)["scores"]))
    (first, scores), (second, shifted_scores) = weights
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not np.array_equal(scores, shifted_scores)


def test_validation_videos_replace_the_test_videos(tmp_path):
    folder = data_set(tmp_path / "data")
    artifact = finetuned(folder, options={"validation_fraction": 0.34})
    assert artifact["measure"] == "validation_accuracy"
    per_class = TRAINING + len(LENGTHS)
    assert all(row % per_class < TRAINING for row in artifact["video"])
    groups = {row % TRAINING for row in artifact["video"]}
    assert len(groups) == 2
    # All training videos of these two groups.
    assert len(artifact["video"]) == sum(
        row % TRAINING in groups for row in range(33) if row % per_class < TRAINING
    )


def test_settings_with_the_best_validation_accuracy_are_used(tmp_path):
    folder = data_set(tmp_path / "data")
    choices = []
    for number, training in enumerate(({"learning_rate": 1e-9}, {}, {"learning_rate": 1e-9})):
        finetuned(
            folder, options={"validation_fraction": 0.34}, training=SETTINGS["training"] | training
        )
        choices.append(folder / f"choice{number}.h5")
        (folder / "lstm_baseline_all_1validation_fraction.h5").rename(choices[-1])
    worst = SETTINGS["training"] | {"learning_rate": 1e-9}
    chosen = finetuned(folder, options={"validated": choices}, training=worst)
    plain = finetuned(folder)
    np.testing.assert_array_equal(chosen["scores"], plain["scores"])
    assert chosen["finetuning"] == plain["finetuning"]
    with pytest.raises(UserError, match="expected scores of validation videos"):
        finetuned(folder, options={"validated": [folder / "lstm_baseline_all_0.h5"]})


# Pretrained encoders ------------------------------------------------------------------------


def pretrain(folder, variant="composite", dim=DIM, layers=2):
    """Write an artifact of schema `pretrained` with random weights."""
    arguments = {
        "variant": variant, "frame_size": dim, "hidden_size": 8, "num_layers": layers,
        "input_frames": 16, "future_frames": 13, "output": "linear",
    }  # fmt: skip
    model = EncoderDecoder(**arguments, generator=torch.Generator().manual_seed(3))
    standardize = Standardize(np.full(dim, 0.5), np.full(dim, 2.0))
    with create(folder / f"{variant}.h5", "pretrained", Provenance("pretrain", {}, "0")) as file:
        save_pretrained(
            file, model, source="percepts", arguments=arguments, standardize=standardize,
            stream="rgb", percepts={}, curves={},
        )  # fmt: skip
    return model, standardize


BRIEF = {"training": {"steps": 3, "batch_size": 4}}


def test_softmax_is_initialised_by_logistic_regression(tmp_path):
    folder = data_set(tmp_path / "data")
    model, standardize = pretrain(folder)
    store = PerceptStore([folder / "percepts0.h5", folder / "percepts1.h5"])
    train, _, _ = read_split(folder / "videos.h5", 1, store.names)
    labelled = train[np.arange(0, len(train), 2)]
    no_training = {"steps": 1, "learning_rate": 1e-12, "batch_size": 4}
    settings = ClassifierSettings(block_stride=4, training=no_training, logistic_regression_c=0.5)
    build = pretrained_classifier_builder(
        folder / "composite.h5", "composite", "rgb", DIM, CLASSES, settings
    )
    initialised, _ = finetune(
        build, store, labelled.clips, labelled.labels, train.clips, settings,
        seed=0, draw=0, device=torch.device("cpu"),
    )  # fmt: skip
    features = []
    for clip in train.clips:  # 20 frames: two blocks of 16, four apart
        frames = torch.from_numpy(np.array(store.clip(clip))).float()
        blocks = standardize(torch.stack([frames[:16], frames[4:]], 1))
        features.append(model.encoder(blocks)[0].mean((0, 1)).detach().double().numpy())
    scaler = StandardScaler().fit(features)
    reference = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000)
    reference.fit(scaler.transform(features)[::2], labelled.labels)
    softmax = initialised.classifier.softmax
    logits = np.array(features) @ softmax.weight.detach().double().numpy().T
    logits += softmax.bias.detach().double().numpy()
    expected = reference.decision_function(scaler.transform(features))
    centred = [values - values.mean(1, keepdims=True) for values in (logits, expected)]
    np.testing.assert_allclose(*centred, atol=2e-3)


def test_motion_stream_is_standardised_by_its_input_frames():
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, DIM)) * rng.uniform(1, 3, DIM) + 5 for n in (7, 20, 3)]
    motion = Standardize.fit(clips, motion_window=(7, 4))
    scale = np.concatenate(clips).std(0)
    windows = [clip[start : start + 7] for clip in clips for start in range(0, len(clip), 7)]
    deviations = np.concatenate([(w - w[:4].mean(0)) / scale for w in windows])
    np.testing.assert_allclose(motion.motion_scale, np.sqrt((deviations**2).mean(0)), rtol=1e-5)
    frames = torch.from_numpy(rng.normal(size=(7, 2, DIM))).float()
    expected = (frames - motion.mean) / motion.scale
    expected = (expected - expected[:4].mean(0)) / motion.motion_scale
    torch.testing.assert_close(motion(frames, input_frames=4), expected)
    # Neither future frames nor padding are part of the mean.
    future = frames.clone()
    future[4:] += 9
    torch.testing.assert_close(motion(future, input_frames=4)[:4], expected[:4])
    mask = torch.ones(7, 2, dtype=bool)
    mask[5:, 1] = False
    padded = motion(frames, mask=mask)
    torch.testing.assert_close(padded[:, 0], motion(frames)[:, 0])
    torch.testing.assert_close(padded[:5, 1], motion(frames[:5])[:, 1])
    # A constant added to all frames changes nothing.
    torch.testing.assert_close(motion(frames + 3), motion(frames), atol=1e-5, rtol=1e-5)


def test_classifier_of_the_motion_stream_is_loaded_as_saved(tmp_path):
    folder = data_set(tmp_path / "data")
    finetuned(folder, options={"stream": "motion"}, num_draws=1)
    (path,) = folder.glob("lstm_baseline_all*")
    trained = load_classifier(path)
    assert (trained.stream, trained.percepts["rate"]) == ("motion", 10.0)
    assert trained.model.standardize.motion_scale is not None
    store = PerceptStore([folder / "percepts0.h5", folder / "percepts1.h5"])
    _, test, _ = read_split(folder / "videos.h5", 1, store.names)
    with open_artifact(path, "finetuned") as file:
        scores = file["scores"][0]
    loaded_scores = score_videos(trained.model, store, test.clips, trained.frames, trained.stride)
    np.testing.assert_allclose(loaded_scores, scores, atol=1e-6)


def test_frozen_encoder_equals_the_pretrained_one(tmp_path):
    folder = data_set(tmp_path / "data")
    model, standardize = pretrain(folder)
    path, settings = folder / "composite.h5", ClassifierSettings(encoder_lr_scale=0, **BRIEF)
    build = pretrained_classifier_builder(path, "composite", "rgb", DIM, CLASSES, settings)
    store = PerceptStore([folder / "percepts0.h5", folder / "percepts1.h5"])
    train, _, _ = read_split(folder / "videos.h5", 1, store.names)
    data = (store, train.clips, train.labels, train.clips)
    draw = {"seed": 0, "draw": 0, "device": torch.device("cpu")}
    trained, _ = finetune(build, *data, settings, **draw)
    percepts = torch.randn(16, 2, DIM)
    hidden, _ = model.encoder(standardize(percepts))
    torch.testing.assert_close(trained(percepts), trained.classifier.softmax(hidden))
    # With a learning rate all layers of the encoder change.
    settings = settings.model_copy(update={"encoder_lr_scale": 1.0})
    build = pretrained_classifier_builder(path, "composite", "rgb", DIM, CLASSES, settings)
    unfrozen, _ = finetune(build, *data, settings, **draw)
    for (name, before), after in zip(
        model.encoder.named_parameters(), unfrozen.classifier.encoder.parameters(), strict=True
    ):
        assert not torch.equal(before, after), name


def test_learning_rate_scale_of_the_encoder(tmp_path, monkeypatch):
    """Compared with plain SGD with a separate learning rate for the encoder."""
    folder, lr_scale, rate = data_set(tmp_path / "data"), 0.25, 0.05
    pretrain(folder)
    training = {"steps": 4, "batch_size": 4, "optimizer": "sgd", "momentum": 0, "weight_decay": 0,
                "schedule": "constant", "warmup_steps": 0, "learning_rate": rate,
                "max_grad_norm": None}  # fmt: skip
    settings = ClassifierSettings(
        encoder_lr_scale=lr_scale, dropout=0, softmax_init="random", training=training
    )
    path = folder / "composite.h5"
    build = pretrained_classifier_builder(path, "composite", "rgb", DIM, CLASSES, settings)
    store = PerceptStore([folder / "percepts0.h5", folder / "percepts1.h5"])
    train, _, _ = read_split(folder / "videos.h5", 1, store.names)
    data = (store, train.clips, train.labels, train.clips, settings)
    draw = {"seed": 0, "draw": 0, "device": torch.device("cpu")}
    ours, _ = finetune(build, *data, **draw)

    def train_with_sgd(model, loss, settings, **options):
        classifier = model.classifier
        groups = [{"params": classifier.encoder.parameters(), "lr": lr_scale * rate}]
        groups += [{"params": classifier.softmax.parameters(), "lr": rate}]
        optimizer = torch.optim.SGD(groups)
        for step in range(settings.steps):
            optimizer.zero_grad()
            loss(step).backward()
            optimizer.step()
        return {}

    monkeypatch.setattr(finetuning, "train", train_with_sgd)
    theirs, _ = finetune(build, *data, **draw)
    before = build(torch.Generator()).classifier.encoder.state_dict()
    for name, value in theirs.classifier.encoder.state_dict().items():
        assert not torch.equal(value, before[name]), name
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_mismatched_pretraining_is_an_error(tmp_path):
    folder = data_set(tmp_path / "data")
    with pytest.raises(UserError, match="expected a file for composite"):
        finetuned(folder, "composite")
    pretrain(folder, dim=DIM + 1)
    with pytest.raises(UserError, match="expected composite trained on rgb percepts of 12 values"):
        finetuned(folder, "composite")
    pretrain(folder, "autoencoder")
    (folder / "autoencoder.h5").rename(folder / "composite.h5")
    with pytest.raises(UserError, match="found autoencoder"):
        finetuned(folder, "composite")
