"""Tests of pretraining: artifacts, resuming, data-parallel training, unused test videos."""

import itertools
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from projects import ROOT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import pretrain
from video_lstm.artifacts import (
    SCHEMAS,
    Provenance,
    create,
    open_artifact,
    read_arrays,
    write_strings,
)
from video_lstm.command_line import parse
from video_lstm.errors import UserError
from video_lstm.models.encoder_decoder import VARIANTS, EncoderDecoder, activate
from video_lstm.models.matmul import Linear
from video_lstm.models.standardize import Standardize
from video_lstm.sequences.digits import SKLEARN, load_digits
from video_lstm.sequences.moving_mnist import MovingMNIST
from video_lstm.settings.sequences import MovingDigits
from video_lstm.settings.training import PerceptEncoderDecoderSettings
from video_lstm.training import cuda_graphs, loop
from video_lstm.training.percept_sources import open_percept_corpus
from video_lstm.training.pretrained import load_pretrained
from video_lstm.training.pretraining import (
    flops_per_sequence,
    model_arguments,
    scheduled_sampling_mask,
)
from video_lstm.training.pretraining import pretrain as train_encoder_decoder
from video_lstm.video.clips import ClipName, write_names

DIM = 12
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
PROVENANCE = Provenance(stage="test", settings={}, code="")


def same(first, second):
    """Return whether two state dicts are equal bit for bit."""
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def write_percepts(folder, name, lengths, splits=None, seed=0, changed=()):
    """Write random percepts, a clip per video in two shards; `changed` lists altered videos."""
    rng = np.random.default_rng(seed)
    count = len(lengths)
    clips = []
    for length in lengths:
        angle = rng.uniform(0, 6, DIM) + np.arange(length)[:, None] * rng.uniform(0.1, 0.3, DIM)
        clips.append(np.maximum(np.sin(angle) * np.arange(1, DIM + 1), 0))
    for video in changed:
        clips[video] = clips[video] * 100 + 7
    folder.mkdir(exist_ok=True)
    if splits is not None:
        with create(folder / f"{name}_videos.h5", "videos", PROVENANCE) as file:
            file["splits"], file.attrs["rate"] = np.int8(splits), 10.0
            for column in SCHEMAS["videos"][1] - {"splits"}:
                write_strings(file, column, [f"{row}.avi" for row in range(count)])
    shards = []
    for shard, rows in enumerate(np.array_split(np.arange(count), 2)):
        shards.append(folder / f"{name}_{shard}.h5")
        with create(shards[-1], "percepts", PROVENANCE) as file:
            file["percepts"] = np.float16(np.concatenate([clips[row] for row in rows]))
            file.attrs["rate"] = 10.0
            write_names(file, [ClipName(f"{row}.avi", 0) for row in rows])
            file["clip_offsets"] = np.cumsum([0, *(lengths[row] for row in rows)])
    return shards


TINY = {
    "hidden_size": 8, "input_frames": 4, "future_frames": 3, "scheduled_sampling": 0.5,
    "num_layers": 2,
    "training": {"steps": 40, "batch_size": 4, "validate_every": 15, "warmup_steps": 5},
}  # fmt: skip


def pretrain_options(
    folder, output, variant="composite", changed=(), training=None, stream="rgb", **model
):
    lengths = [9, 20, 5, 12, 8, 30, 11, 7]
    unlabelled = write_percepts(folder, "unlabelled", lengths)
    splits = [[1, 2], [2, 1], [1, 1], [1, 2], [2, 1], [1, 1], [1, 2], [0, 1]]
    labelled = write_percepts(folder, "set", lengths, splits, seed=1, changed=changed)
    model = TINY | model | {"training": TINY["training"] | (training or {})}
    return [
        "pretrain", "--variant", variant, "--source", "percepts", "--model", json.dumps(model),
        "--unlabelled-percepts", *unlabelled, "--labelled-percepts", *labelled,
        "--videos", folder / "set_videos.h5", "--split", 1, "--seed", 3, "--device", "cpu",
        "--validation-fraction", 0.3, "--stream", stream,
        "--checkpoints", folder / "checkpoints", "--output", output,
    ]  # fmt: skip


def read_weights(path):
    with open_artifact(path, "pretrained") as file:
        return {k: torch.from_numpy(v) for k, v in read_arrays(file, "weights").items()}


@pytest.fixture
def pretrained(tmp_path):
    """Return a function that pretrains in this process and returns the artifact's path."""
    threads = torch.get_num_threads()

    def call(name="a", **options):
        folder, output = tmp_path / name, tmp_path / name / "out.h5"
        argv = pretrain_options(folder, output, **options)[1:]
        pretrain.main(parse(pretrain.Arguments, [str(word) for word in argv]))
        assert not list((folder / "checkpoints").glob("*")), "the checkpoint was not removed"
        return output

    yield call
    torch.set_num_threads(threads)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pretrained_model_is_loaded_as_it_was_saved(pretrained, variant):
    path = pretrained(variant=variant, stream="motion")
    model, info = load_pretrained(path)
    assert (info.source, info.arguments["variant"]) == ("percepts", variant)
    with open_artifact(path, "pretrained") as file:
        curves = read_arrays(file, "curves")
    assert curves["validation_step"].tolist() == [15, 30, 40]
    branches = [curves[name] for name in ("reconstruction", "future") if name in curves]
    assert len(branches) == model.variant.reconstructs + model.variant.predicts
    np.testing.assert_allclose(curves["validation"], sum(branches))

    # The validation error of the loaded model is that of the best point of the curve: squared error
    # summed over the values of a frame.
    options = parse(pretrain.Arguments, list(map(str, pretrain_options(path.parent, path)[1:])))
    windows, standardize = open_percept_corpus(
        pretrain.percept_sources(options), 7, 0.3, 3, torch.device("cpu"), motion_input_frames=4
    )
    assert torch.equal(standardize.motion_scale, info.standardize.motion_scale)
    frames = info.standardize(torch.cat(windows.validation(100), 1), input_frames=4)
    with torch.no_grad():
        prediction = model(frames[:4])
    expected = 0.0
    if prediction.reconstruction is not None:
        expected += (prediction.reconstruction - frames[:4].flip(0)).square().sum(2).mean().item()
    if prediction.future is not None:
        expected += (prediction.future - frames[4:]).square().sum(2).mean().item()
    best = curves["criterion"].argmin()
    assert curves["validation"][best] == pytest.approx(expected, rel=1e-5)


def test_pretraining_learns(pretrained):
    steps = {"steps": 300, "learning_rate": 1e-2}
    with open_artifact(pretrained(training=steps), "pretrained") as file:
        curves = read_arrays(file, "curves")
    # Predicting the mean of standardised values has an error of about 1 per value and branch.
    assert curves["loss"][0] > 0.6 * 2 * DIM
    assert curves["loss"][-20:].mean() < 0.4 * 2 * DIM


def test_only_training_videos_are_used(pretrained):
    clean = read_weights(pretrained("clean"))
    assert same(clean, read_weights(pretrained("test_changed", changed=[1, 4, 7])))
    assert not same(clean, read_weights(pretrained("training_changed", changed=[0, 2, 3, 5, 6])))


@pytest.mark.slow
def test_killed_pretraining_resumes_and_ends_with_the_same_weights(
    tmp_path, pretrained, run_script
):
    steps = {"steps": 600}
    whole = read_weights(pretrained("whole", training=steps))
    output = tmp_path / "killed.h5"
    name, *options = pretrain_options(tmp_path / "killed", output, training=steps)
    command = [sys.executable, ROOT / "workflow_scripts" / f"{name}.py", *options]
    command += ["--checkpoint-seconds", 0.05]  # the last run resumes with the default interval
    log = tmp_path / "killed.log"
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([*map(str, command), "--log", log])
        write_times = set()
        while len(write_times) < 2:  # a checkpoint was written since the start
            assert process.poll() is None, "ended before it could be killed"
            write_times |= {
                p.stat().st_mtime_ns
                for p in (tmp_path / "killed/checkpoints").glob("*.safetensors")
            }
            time.sleep(0.002)
        process.send_signal(number)
        assert process.wait() == (-9 if number == signal.SIGKILL else 143)
    run_script(name, *options, "--log", log)
    assert log.read_text().count("resuming at step") == 2
    assert same(whole, read_weights(output))
    assert not list((tmp_path / "killed/checkpoints").iterdir())


@pytest.mark.parametrize(
    ("sampling", "warmup", "expected"),
    [(1.0, 0.0, [1, 1, 1]), (1.0, 1.0, [0, 0.5, 1]), (0.6, 0.5, [0, 0.6, 0.6])],
)
def test_scheduled_sampling_rises_during_its_warmup(sampling, warmup, expected):
    training = {"steps": 101, "batch_size": 1000}
    settings = PerceptEncoderDecoderSettings(
        scheduled_sampling=sampling, scheduled_sampling_warmup=warmup, training=training
    )
    for step, probability in zip((0, 50, 100), expected, strict=True):
        mask = scheduled_sampling_mask(settings, 3, step, torch.device("cpu"))
        assert torch.equal(mask, scheduled_sampling_mask(settings, 3, step, torch.device("cpu")))
        assert mask.float().mean().item() == pytest.approx(probability, abs=0.02)


@pytest.mark.parametrize(
    ("scale", "names"),
    [
        ("input", ["encoder.layers.0.weight_x"]),
        ("feedback", ["predictor.stack.layers.0.weight_x"]),
        (
            "output",
            [
                f"{name}.readout.{kind}"
                for name in ("predictor", "reconstructor")
                for kind in ("bias", "weight")
            ],
        ),
    ],
)
def test_learning_rate_scales_of_input_feedback_and_output_weights(pretrained, scale, names):
    variant = "composite_conditional_future"
    settings = {"output_bias": "zero", f"{scale}_lr_scale": 0.0}
    model, info = load_pretrained(pretrained(variant=variant, **settings))
    start = EncoderDecoder(**info.arguments, generator=torch.Generator().manual_seed(3))
    before, after = start.state_dict(), model.state_dict()
    unchanged = [name for name, value in after.items() if torch.equal(value, before[name])]
    assert sorted(unchanged) == sorted(names)
    assert sorted(getattr(model, f"{scale}_weight_names")()) == sorted(names)


@pytest.mark.slow
def test_two_processes_train_the_same_model_as_one(tmp_path, pretrained):
    """Each trains on half of every batch, with scheduled sampling and validation, over gloo."""
    variant = "composite_conditional_future"
    path = pretrained("one", variant=variant)
    output = tmp_path / "two.h5"
    name, *options = pretrain_options(tmp_path / "two", output, variant=variant)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--"]
    script = ROOT / "workflow_scripts" / f"{name}.py"
    command = [sys.executable, *launcher, script, *options, "--log", tmp_path / "log"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text().count("40 steps") == 1, "only rank 0 logs"
    one, two = read_weights(path), read_weights(output)
    assert one.keys() == two.keys() and not same(one, two)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=2e-5, msg=key)
    curves = []
    for artifact in (path, output):
        with open_artifact(artifact, "pretrained") as file:
            curves.append(read_arrays(file, "curves"))
    for curve in ("loss", "gradient_norm", "validation"):
        np.testing.assert_allclose(*(c[curve] for c in curves), rtol=1e-4, err_msg=curve)


def train_on_digits(variant, device, **settings):
    """Return the curves of a short training on Moving MNIST on the device."""
    digits, stream = load_digits(SKLEARN, 8)[0], MovingDigits(image_size=16, digit_size=8)
    sequences = MovingMNIST(digits, stream, 8, 0, device)
    training = {
        "steps": 40,
        "batch_size": 16,
        "warmup_steps": 0,
        "learning_rate": 0.01,
        "validate_every": 10,
    } | settings.pop("training", {})
    settings = PerceptEncoderDecoderSettings(
        hidden_size=64, num_layers=2, input_frames=4, future_frames=4, training=training, **settings
    )
    arguments = model_arguments(variant, sequences.frame_size, "logits", settings)
    return train_encoder_decoder(
        arguments, sequences, settings, standardize=None, seed=0, device=torch.device(device)
    )[1]


@pytest.mark.slow
@pytest.mark.parametrize("has_instructions", [True, False])
def test_bfloat16_on_a_cpu_trains_as_float32_does(monkeypatch, caplog, has_instructions):
    """On a CPU without the instructions, training is in float32, bit for bit, with a message."""
    monkeypatch.setattr(loop, "has_fast_bfloat16", lambda device: has_instructions)
    precisions = ("float32", "bfloat16")
    with caplog.at_level("INFO"):
        float32, bfloat16 = (
            train_on_digits("composite", "cpu", training={"precision": precision})
            for precision in precisions
        )
    assert ("float32 is used" in caplog.text) != has_instructions
    assert np.array_equal(float32["loss"], bfloat16["loss"]) != has_instructions
    for name in ("loss", "validation"):
        np.testing.assert_allclose(bfloat16[name], float32[name], rtol=5e-3, err_msg=name)


@needs_gpu
@pytest.mark.parametrize("variant", ["composite", "composite_conditional_future"])
def test_a_gpu_trains_as_a_cpu_does(variant):
    """CUDA kernels, two streams and a captured step give the curves of the CPU."""
    cpu, gpu = (train_on_digits(variant, device)["validation"] for device in ("cpu", "cuda"))
    assert cpu[-1] < 0.96 * cpu[0]
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)


@needs_gpu
@pytest.mark.parametrize("sampling", [0.0, 1.0])
def test_captured_step_on_a_gpu_equals_the_step_in_python(monkeypatch, sampling):
    def curves():
        return train_on_digits(
            "composite_conditional_future", "cuda", scheduled_sampling=sampling,
            training={"precision": "bfloat16"},
        )  # fmt: skip

    captured = curves()
    monkeypatch.setattr(cuda_graphs, "CAPTURE_FUNCTIONS", {})
    in_python = curves()
    for name in ("loss", "gradient_norm", "validation"):
        np.testing.assert_allclose(captured[name], in_python[name], rtol=1e-2, err_msg=name)


@pytest.mark.parametrize(
    ("source", "missing"), [("percepts", "--labelled-percepts"), ("patches", "--patches")]
)
def test_missing_input_files_of_a_source_are_named(tmp_path, source, missing):
    options = ["--variant", "composite", "--source", source, "--output", tmp_path / "o"]
    argv = [str(word) for word in [*options, "--checkpoints", tmp_path]]
    with pytest.raises(UserError, match=missing):
        pretrain.main(parse(pretrain.Arguments, argv))


def test_standardised_percepts_have_mean_zero_and_unit_deviation():
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, [1.0, 5.0, 0.2], (1000, 3)).astype(np.float16)
    values = np.concatenate([values, np.full((1000, 1), 3, np.float16)], 1)
    standardize = Standardize.fit([values[:300], values[300:]])
    actual = standardize(torch.from_numpy(values).float())
    torch.testing.assert_close(actual.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(actual.std(0)[:2], torch.ones(2), atol=1e-2, rtol=0)
    assert (actual[:, 3] == 0).all(), "a constant value stays finite"


def test_flops_equal_the_count_of_torch(monkeypatch):
    """Counted with plain layers, since torch's counter does not know the oneDNN operator."""
    monkeypatch.setattr(Linear, "forward", nn.Linear.forward)
    for variant, patch_size in itertools.product(VARIANTS, (None, 2)):
        model = EncoderDecoder(
            *(variant, 16, 7, 2, 4, 3),
            output="linear",
            backend="reference",
            patch_size=patch_size,
            kernel_size=3,
        )
        frames = torch.randn(7, 1, 16)
        with FlopCounterMode(display=False) as counter:
            model.loss(model(frames[:4], frames[4:]), frames[:4], frames[4:]).total.backward()
        assert flops_per_sequence(model) == counter.get_total_flops(), (variant, patch_size)


def test_output_bias_is_set_to_a_frame():
    """With h = 0 a model outputs the frame."""
    frame = torch.linspace(0.01, 0.99, 16)
    for output in ("logits", "linear"):
        model = EncoderDecoder("composite", 16, 3, 1, 2, 2, output=output)
        model.set_output_bias(frame)
        for decoder in (model.reconstructor, model.predictor):
            raw = decoder.readout(torch.zeros(1, 3))
            torch.testing.assert_close(activate(raw, output)[0], frame)
