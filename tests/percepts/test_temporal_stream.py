"""Tests of the temporal-stream convnet: shapes, mirrored flow, batches, training, percepts."""

import json
from itertools import pairwise

import h5py
import numpy as np
import pytest
import torch
from flow_files import PROVENANCE, write_flow

import extract_flow_percepts
import train_flow_convnet
from video_lstm import artifacts
from video_lstm.errors import UserError
from video_lstm.flow.storage import FlowStore
from video_lstm.percepts import flow_percepts, temporal_stream
from video_lstm.percepts.temporal_stream import TemporalStream, stack_indices
from video_lstm.sequences.validation import draw_validation_videos
from video_lstm.settings.percepts import FlowConvnetSettings
from video_lstm.training.flow_stacks import FlowStacks
from video_lstm.video.clips import read_names
from video_lstm.video.index import Video, VideoTable, write_videos
from video_lstm.video.splits import TEST, TRAIN

SMALL = FlowConvnetSettings(channels=[4, 6, 8, 8, 8], fc6=16, fc7=12, crop_size=24, dropout=0.5)
CPU = torch.device("cpu")


def network(stack=1, classes=3, settings=SMALL, seed=0):
    return TemporalStream(stack, classes, settings, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("crop, side", [(224, 7), (112, 7), (64, 8), (56, 7), (28, 7), (17, 9)])
def test_last_map_keeps_its_size_for_smaller_crops(crop, side):
    settings = SMALL.model_copy(update={"crop_size": crop})
    net = network(settings=settings)
    assert net.fc6.in_features == 8 * side * side
    assert net(torch.zeros(2, 2, crop, crop)).shape == (2, 3)


def test_default_settings_are_cnn_m_2048():
    with torch.device("meta"):
        net = TemporalStream(10, 101, FlowConvnetSettings(), torch.Generator())
    assert [c.weight.shape[:2] for c in net.convolutions] == [
        (96, 20), (256, 96), (512, 256), (512, 512), (512, 512)
    ]  # fmt: skip
    assert net.fc6.out_features == 4096 and net.fc7.out_features == 2048
    assert all(stride == 2 for stride in net.strides.values())


def test_mirrored_flow_is_the_flow_of_mirrored_frames():
    random = np.random.default_rng(0)
    flow = torch.from_numpy(random.normal(size=(2, 3, 2, 5, 7)).astype(np.float32))
    flipped = temporal_stream.mirror_flow(flow, torch.tensor([True, False]))
    np.testing.assert_array_equal(flipped[0, :, 0], -flow[0, :, 0].flip(-1))
    np.testing.assert_array_equal(flipped[0, :, 1], flow[0, :, 1].flip(-1))
    np.testing.assert_array_equal(flipped[1], flow[1])


def test_mean_displacement_of_the_whole_field_is_subtracted():
    fields = np.random.default_rng(0).integers(1, 256, (4, 2, 30, 40)).astype(np.uint8)
    crops, means = temporal_stream.crop_flow(fields, 3, 5, 20)
    actual = temporal_stream.subtract_means(torch.from_numpy(crops), torch.from_numpy(means), 0.25)
    pixels = (fields - 128.0) * 0.25
    expected = pixels - pixels.mean(axis=(-2, -1), keepdims=True)
    np.testing.assert_allclose(actual, expected[..., 3:23, 5:25], atol=1e-4)


@pytest.mark.parametrize(
    "pairs, stack, expected",
    [(3, 1, [[0], [1], [2]]), (4, 3, [[0, 1, 2], [1, 2, 3]]), (2, 4, [[0, 1, 1, 1]])],
)
def test_stack_of_percept_t_starts_at_flow_t(pairs, stack, expected):
    assert stack_indices(pairs, stack).tolist() == expected


# Training and extraction ---------------------------------------------------------------------

SIZE = 32
MOTIONS = np.array([(1, 0), (0, 1), (1, 1)], np.float32) * 3


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Clips of a square that moves horizontally, vertically or diagonally: class 0, 1, 2.

    Videos 0 to 11 are training videos of split 1, 12 to 17 its test videos.
    """
    folder = tmp_path_factory.mktemp("moving")
    random = np.random.default_rng(5)
    labels = np.arange(18) % 3
    clips = []
    for label in labels:
        flow = random.normal(0, 0.1, (int(random.integers(1, 6)), 2, SIZE, SIZE))
        top, left = random.integers(6, 16, 2)
        sign = random.choice([-1, 1])
        flow[:, :, top : top + 10, left : left + 10] += MOTIONS[label][:, None, None] * sign
        clips.append(flow.astype(np.float32))
    write_flow(folder / "0.h5", clips[:10])
    write_flow(folder / "1.h5", clips[10:], first_row=10)
    table = VideoTable(str(folder), None, ["across", "down", "aslant"], [], [])
    for row, (clip, label) in enumerate(zip(clips, labels.tolist(), strict=True)):
        splits = (TRAIN if row < 12 else TEST,)
        name, frames = f"{row:02}.avi", len(clip) + 1
        table.videos.append(
            Video(
                name, frames, frames, SIZE, SIZE, 25.0, 1.0, "ok", "",
                class_name="", label=label, group="", splits=splits,
            )
        )  # fmt: skip
    with artifacts.create(folder / "videos.h5", "videos", PROVENANCE) as file:
        write_videos(file, table)
    return folder, clips, labels


def source(folder, rows, labels, stack=1, seed=0, threads=2):
    store = FlowStore([folder / "0.h5", folder / "1.h5"])
    return FlowStacks(
        store, rows, labels[rows], stack=stack, crop=24, seed=seed, device=CPU, threads=threads
    )


def test_batches_depend_on_seed_and_step_only(moving):
    folder, _, labels = moving
    rows = np.arange(12)
    first, second = source(folder, rows, labels, 3), source(folder, rows, labels, 3, threads=1)
    in_order = [first.batch(step, 8) for step in range(3)]
    permuted = [second.batch(step, 8) for step in (2, 0, 1)]
    for (x, y), (x2, y2) in zip(in_order, [permuted[1], permuted[2], permuted[0]], strict=True):
        assert x.shape == (8, 6, 24, 24) and x.dtype == torch.float32
        torch.testing.assert_close(x, x2, rtol=0, atol=0)
        assert torch.equal(y, y2)
    assert not torch.equal(in_order[0][0], in_order[1][0])
    assert not torch.equal(in_order[0][0], source(folder, rows, labels, 3, 1).batch(0, 8)[0])


def test_too_large_crop_and_empty_split_are_errors(moving):
    folder, _, labels = moving
    store = FlowStore([folder / "0.h5"])
    options = {"stack": 1, "seed": 0, "device": CPU}
    with pytest.raises(UserError, match=r"flow_convnet\.crop.*32"):
        FlowStacks(store, np.arange(3), labels, crop=33, **options)
    with pytest.raises(UserError, match="training videos"):
        FlowStacks(store, np.arange(0), labels, crop=24, **options)


TRAINED = FlowConvnetSettings(
    channels=[16] * 5, fc6=32, fc7=32, crop_size=24, dropout=0.1, normalization="batch"
)
SCHEDULE = {
    "steps": 80, "batch_size": 24, "optimizer": "adam", "learning_rate": 3e-3, "warmup_steps": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(moving, run_script):
    """Train a convnet with the script; return the artifact's path."""
    folder, _, _ = moving
    path = folder / "convnet.h5"
    settings = {**TRAINED.model_dump(mode="json"), "training": SCHEDULE}
    run_script(
        "train_flow_convnet", "--videos", folder / "videos.h5",
        "--flow", folder / "0.h5", folder / "1.h5", "--split", 1, "--stream", "flow1",
        "--flow-convnet", json.dumps(settings), "--checkpoints", folder / "checkpoints",
        "--device", "cpu", "--output", path,
    )  # fmt: skip
    return path


def read_convnet(path):
    with artifacts.open_artifact(path, "flow_convnet") as file:
        return temporal_stream.read_network(file)


def test_convnet_classifies_test_videos(moving, trained):
    folder, clips, labels = moving
    net = read_convnet(trained)
    num_correct = 0
    for row in range(12, 18):
        pixels = torch.from_numpy(clips[row])
        stacks = (pixels - pixels.mean(dim=(-2, -1), keepdim=True))[:, :, 4:28, 4:28]
        num_correct += int(net(stacks).softmax(1).mean(0).argmax()) == labels[row]
    assert num_correct >= 5
    assert not any((folder / "checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize("hold_out_validation", [False, True])
def test_weights_do_not_depend_on_held_out_videos(moving, trained, tmp_path, hold_out_validation):
    """The weights are the same, bit for bit, with other flow of the test and validation videos."""
    folder, clips, labels = moving
    fraction, rng = 0.34, np.random.default_rng(9)
    is_validation = draw_validation_videos(labels[:12], [""] * 12, fraction, 0)
    unused = [*np.flatnonzero(is_validation & hold_out_validation), *range(12, 18)]

    def train(name, replaced):
        flow = [
            rng.normal(0, 5, clip.shape).astype(np.float32) if row in replaced else clip
            for row, clip in enumerate(clips)
        ]
        settings = {"hold_out_validation": hold_out_validation, "training": SCHEDULE}
        train_flow_convnet.main(
            train_flow_convnet.Arguments(
                videos=folder / "videos.h5", flow=[write_flow(tmp_path / f"{name}_flow.h5", flow)],
                split=1, stream="flow1", device="cpu", checkpoints=tmp_path,
                flow_convnet=TRAINED.model_dump() | settings, validation_fraction=fraction,
                output=tmp_path / f"{name}.h5",
            )
        )  # fmt: skip
        return read_convnet(tmp_path / f"{name}.h5").state_dict()

    first, second = train("first", []), train("second", unused)
    assert all(torch.equal(first[name], second[name]) for name in first)
    fully_trained = read_convnet(trained).state_dict()
    same = [torch.equal(first[name], fully_trained[name]) for name in first]
    assert all(same) != hold_out_validation


def test_percepts_are_fc6_of_each_flow_in_order(moving, trained, run_script, tmp_path):
    folder, clips, _ = moving
    path = tmp_path / "percepts.h5"
    run_script(
        "extract_flow_percepts", "--flow", folder / "1.h5", "--convnet", trained,
        "--device", "cpu", "--output", path, "--cache", tmp_path / "cache", "--threads", 2,
    )  # fmt: skip
    net = read_convnet(trained)
    with artifacts.open_artifact(path, "percepts") as file:
        percepts, offsets = file["percepts"][()], file["clip_offsets"][()]
        assert read_names(file) == [(f"{row}.avi", 0) for row in range(10, 18)]
        assert file["percepts"].chunks is None and percepts.dtype == np.float16
    assert np.diff(offsets).tolist() == [len(clip) for clip in clips[10:]]
    store = FlowStore([folder / "1.h5"])
    for row, (first, end) in enumerate(pairwise(offsets)):
        pixels = torch.from_numpy(store.read_flow(row, 0, int(end - first)))
        stacks = (pixels - pixels.mean(dim=(-2, -1), keepdim=True))[:, :, 4:28, 4:28]
        with torch.inference_mode():
            expected = net.percepts(stacks).numpy()
        np.testing.assert_allclose(percepts[first:end], expected, rtol=2e-3, atol=2e-3)
    assert (percepts >= 0).all() and percepts.std() > 0


def test_interrupted_extraction_resumes(moving, trained, tmp_path, monkeypatch):
    folder, _, _ = moving
    whole = extract_flow_percepts.Arguments(
        flow=folder / "0.h5", convnet=trained, device="cpu", cache=tmp_path / "cache",
        output=tmp_path / "whole.h5",
    )  # fmt: skip
    monkeypatch.setattr(flow_percepts, "BATCH", 2)
    plain, calls = TemporalStream.percepts, []

    def count_calls(network, stacks):
        calls.append(len(stacks))
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return plain(network, stacks)

    monkeypatch.setattr(TemporalStream, "percepts", count_calls)
    fail_at = None
    extract_flow_percepts.main(whole)
    num_calls = len(calls)
    assert num_calls > 6

    calls.clear()
    fail_at, resumed = 5, whole.model_copy(update={"output": tmp_path / "resumed.h5"})
    with pytest.raises(KeyboardInterrupt):
        extract_flow_percepts.main(resumed)
    assert not resumed.output.exists()
    calls.clear()
    fail_at = None
    extract_flow_percepts.main(resumed)
    assert len(calls) == num_calls - 4
    assert resumed.output.read_bytes() == whole.output.read_bytes()
    assert not list((tmp_path / "cache" / "partial").iterdir())


def test_flow_of_another_size_is_an_error(trained, tmp_path):
    flow = write_flow(tmp_path / "0.h5", [np.zeros((2, 2, 40, 40), np.float32)])
    arguments = extract_flow_percepts.Arguments(
        flow=flow, convnet=trained, device="cpu", output=tmp_path / "percepts.h5"
    )
    with pytest.raises(UserError, match="expected a convnet trained on"):
        extract_flow_percepts.main(arguments)


def test_convnet_is_read_as_it_was_written(tmp_path):
    net = network(stack=10, settings=TRAINED).eval()
    with h5py.File(tmp_path / "net.h5", "w") as file:
        temporal_stream.write_network(file, net)
        loaded = temporal_stream.read_network(file)
    x = torch.randn(2, 20, 24, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x), loaded(x), rtol=0, atol=0)
