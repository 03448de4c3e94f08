"""Pretraining: any killed run ends the same, and nothing of the test videos is learned."""

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
from command_line import parse
from video_lstm.artifacts import (
    SCHEMAS,
    Provenance,
    create,
    open_artifact,
    read_arrays,
    write_strings,
)
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
    """Whether two state dicts are equal to the bit."""
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def write_pile(folder, name, lengths, splits=None, seed=0, spoil=()):
    """Percepts of made-up videos, one clip each in two shards; `spoil` changes some videos'."""
    rng = np.random.default_rng(seed)
    count = len(lengths)
    clips = []
    for length in lengths:
        angle = rng.uniform(0, 6, DIM) + np.arange(length)[:, None] * rng.uniform(0.1, 0.3, DIM)
        clips.append(np.maximum(np.sin(angle) * np.arange(1, DIM + 1), 0))
    for video in spoil:
        clips[video] = clips[video] * 100 + 7
    folder.mkdir(exist_ok=True)
    if splits is not None:
        with create(folder / f"{name}_videos.h5", "videos", PROVENANCE) as file:
            file["splits"], file.attrs["rate"] = np.int8(splits), 10.0
            for needed in SCHEMAS["videos"][1] - {"splits"}:
                write_strings(file, needed, [f"{row}.avi" for row in range(count)])
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
    folder, output, variant="composite", spoil=(), training=None, stream="rgb", **model
):
    lengths = [9, 20, 5, 12, 8, 30, 11, 7]
    pile = write_pile(folder, "pile", lengths)
    splits = [[1, 2], [2, 1], [1, 1], [1, 2], [2, 1], [1, 1], [1, 2], [0, 1]]
    labelled = write_pile(folder, "set", lengths, splits, seed=1, spoil=spoil)
    model = TINY | model | {"training": TINY["training"] | (training or {})}
    return [
        "pretrain", "--variant", variant, "--source", "percepts", "--model", json.dumps(model),
        "--unlabelled-percepts", *pile, "--labelled-percepts", *labelled,
        "--videos", folder / "set_videos.h5", "--split", 1, "--seed", 3, "--device", "cpu",
        "--validation-fraction", 0.3, "--stream", stream,
        "--checkpoints", folder / "checkpoints", "--output", output,
    ]  # fmt: skip


def weights_of(path):
    with open_artifact(path, "pretrained") as file:
        return {k: torch.from_numpy(v) for k, v in read_arrays(file, "weights").items()}


@pytest.fixture
def pretrained(tmp_path):
    """Pretrain in this process; returns the path of the artifact."""
    threads = torch.get_num_threads()

    def call(name="a", **options):
        folder, output = tmp_path / name, tmp_path / name / "out.h5"
        argv = pretrain_options(folder, output, **options)[1:]
        pretrain.main(parse(pretrain.Arguments, [str(word) for word in argv]))
        assert not list((folder / "checkpoints").glob("*")), "the checkpoint was left"
        return output

    yield call
    torch.set_num_threads(threads)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_artifact_builds_its_model_again(pretrained, variant):
    path = pretrained(variant=variant, stream="motion")
    model, info = load_pretrained(path)
    assert (info.source, info.arguments["variant"]) == ("percepts", variant)
    with open_artifact(path, "pretrained") as file:
        curves = read_arrays(file, "curves")
    assert curves["validation_step"].tolist() == [15, 30, 40]
    parts = [curves[name] for name in ("reconstruction", "future") if name in curves]
    assert len(parts) == model.variant.reconstructs + model.variant.predicts
    np.testing.assert_allclose(curves["validation"], sum(parts))

    # The held-out error of the model as it is read back is the best of the curve, in the curve's
    # units: the sum over the values of a frame of its squared error.
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
    # Standardised values: the mean would err by about 1 per value and branch.
    assert curves["loss"][0] > 0.6 * 2 * DIM
    assert curves["loss"][-20:].mean() < 0.4 * 2 * DIM


def test_only_training_videos_are_learned_from(pretrained):
    clean = weights_of(pretrained("clean"))
    assert same(clean, weights_of(pretrained("spoilt", spoil=[1, 4, 7])))
    assert not same(clean, weights_of(pretrained("other", spoil=[0, 2, 3, 5, 6])))


def test_killed_pretraining_goes_on_and_ends_the_same(tmp_path, pretrained, run_script):
    steps = {"steps": 600}
    whole = weights_of(pretrained("whole", training=steps))
    output = tmp_path / "killed.h5"
    name, *options = pretrain_options(tmp_path / "killed", output, training=steps)
    command = [sys.executable, ROOT / "workflow_scripts" / f"{name}.py", *options]
    command += ["--checkpoint-seconds", 0.05]  # the last run has its default, and finds them
    log = tmp_path / "killed.log"
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([*map(str, command), "--log", log])
        seen = set()
        while len(seen) < 2:  # a checkpoint was written since the start
            assert process.poll() is None, "ended before it could be killed"
            seen |= {
                p.stat().st_mtime_ns
                for p in (tmp_path / "killed/checkpoints").glob("*.safetensors")
            }
            time.sleep(0.002)
        process.send_signal(number)
        assert process.wait() == (-9 if number == signal.SIGKILL else 143)
    run_script(name, *options, "--log", log)
    assert log.read_text().count("resuming at step") == 2
    assert same(whole, weights_of(output))
    assert not list((tmp_path / "killed/checkpoints").iterdir())


@pytest.mark.parametrize(
    ("sampling", "rise", "expected"),
    [(1.0, 0.0, [1, 1, 1]), (1.0, 1.0, [0, 0.5, 1]), (0.6, 0.5, [0, 0.6, 0.6])],
)
def test_scheduled_sampling_rises_to_what_is_set(sampling, rise, expected):
    training = {"steps": 101, "batch_size": 1000}
    settings = PerceptEncoderDecoderSettings(
        scheduled_sampling=sampling, scheduled_sampling_warmup=rise, training=training
    )
    for step, share in zip((0, 50, 100), expected, strict=True):
        drawn = scheduled_sampling_mask(settings, 3, step, torch.device("cpu"))
        assert torch.equal(drawn, scheduled_sampling_mask(settings, 3, step, torch.device("cpu")))
        assert drawn.float().mean().item() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("share", "weight"), [("feedback", "predictor.stack.layers.0"), ("input", "encoder.layers.0")]
)
def test_the_weights_that_read_frames_learn_at_rates_of_their_own(pretrained, share, weight):
    variant = "composite_conditional_future"
    model, info = load_pretrained(pretrained(variant=variant, **{f"{share}_lr_scale": 0.0}))
    start = EncoderDecoder(**info.arguments, generator=torch.Generator().manual_seed(3))
    before, after = start.state_dict(), model.state_dict()
    unchanged = [name for name, value in after.items() if torch.equal(value, before[name])]
    assert unchanged == getattr(model, f"{share}_weight_names")() == [f"{weight}.weight_x"]


def test_two_processes_train_what_one_does(tmp_path, pretrained):
    """Each on its half of every batch, with scheduled sampling and a validation, over gloo."""
    variant = "composite_conditional_future"
    path = pretrained("one", variant=variant)
    output = tmp_path / "two.h5"
    name, *options = pretrain_options(tmp_path / "two", output, variant=variant)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--"]
    script = ROOT / "workflow_scripts" / f"{name}.py"
    command = [sys.executable, *launcher, script, *options, "--log", tmp_path / "log"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text().count("40 steps") == 1, "one process speaks for both"
    alone, together = weights_of(path), weights_of(output)
    assert alone.keys() == together.keys() and not same(alone, together)
    for key, value in alone.items():
        torch.testing.assert_close(together[key], value, rtol=0, atol=2e-5, msg=key)
    curves = []
    for artifact in (path, output):
        with open_artifact(artifact, "pretrained") as file:
            curves.append(read_arrays(file, "curves"))
    for curve in ("loss", "gradient_norm", "validation"):
        np.testing.assert_allclose(*(c[curve] for c in curves), rtol=1e-4, err_msg=curve)


def trained_on_digits(variant, device, **settings):
    """Curves of a small training on digits that are drawn on the device."""
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
    built = model_arguments(variant, sequences.frame_size, "logits", settings)
    return train_encoder_decoder(
        built, sequences, settings, standardize=None, seed=0, device=torch.device(device)
    )[1]


@pytest.mark.parametrize("has_instructions", [True, False])
def test_bfloat16_on_a_cpu_trains_as_float32_does(monkeypatch, caplog, has_instructions):
    """And is float32 to the bit, with a line that says so, on a CPU without the instructions."""
    monkeypatch.setattr(loop, "has_fast_bfloat16", lambda device: has_instructions)
    precisions = ("float32", "bfloat16")
    with caplog.at_level("INFO"):
        wide, narrow = (
            trained_on_digits("composite", "cpu", training={"precision": precision})
            for precision in precisions
        )
    assert ("float32 is used" in caplog.text) != has_instructions
    assert np.array_equal(wide["loss"], narrow["loss"]) != has_instructions
    for name in ("loss", "validation"):
        np.testing.assert_allclose(narrow[name], wide[name], rtol=5e-3, err_msg=name)


@needs_gpu
@pytest.mark.parametrize("variant", ["composite", "composite_conditional_future"])
def test_a_gpu_trains_as_a_cpu_does(variant):
    """Kernels, two streams and a recorded step end where the plain loop does."""
    cpu, gpu = (trained_on_digits(variant, device)["validation"] for device in ("cpu", "cuda"))
    assert cpu[-1] < 0.96 * cpu[0]
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)


@needs_gpu
@pytest.mark.parametrize("sampling", [0.0, 1.0])
def test_a_recorded_step_on_a_gpu_is_the_step_done_anew(monkeypatch, sampling):
    def curves():
        return trained_on_digits(
            "composite_conditional_future", "cuda", scheduled_sampling=sampling,
            training={"precision": "bfloat16"},
        )  # fmt: skip

    recorded = curves()
    monkeypatch.setattr(cuda_graphs, "CAPTURE_FUNCTIONS", {})
    anew = curves()
    for name in ("loss", "gradient_norm", "validation"):
        np.testing.assert_allclose(recorded[name], anew[name], rtol=1e-2, err_msg=name)


@pytest.mark.parametrize(
    ("source", "missing"), [("percepts", "--labelled-percepts"), ("patches", "--patches")]
)
def test_a_source_without_its_files_says_which(tmp_path, source, missing):
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
    assert (actual[:, 3] == 0).all(), "a value that never moves stays finite"


def test_operations_are_those_of_the_products(monkeypatch):
    """Against torch's own count, of the plain path; it does not know the house's own product."""
    monkeypatch.setattr(Linear, "forward", nn.Linear.forward)
    for variant, patch in itertools.product(VARIANTS, (None, 2)):
        model = EncoderDecoder(
            *(variant, 16, 7, 2, 4, 3),
            output="linear",
            backend="reference",
            patch_size=patch,
            kernel_size=3,
        )
        frames = torch.randn(7, 1, 16)
        with FlopCounterMode(display=False) as counter:
            model.loss(model(frames[:4], frames[4:]), frames[:4], frames[4:]).total.backward()
        assert flops_per_sequence(model) == counter.get_total_flops(), (variant, patch)


def test_outputs_start_at_the_mean_frame():
    """With silent layers, a model puts out the frame that it starts at."""
    frame = torch.linspace(0.01, 0.99, 16)
    for output in ("logits", "linear"):
        model = EncoderDecoder("composite", 16, 3, 1, 2, 2, output=output)
        model.set_output_bias(frame)
        for decoder in (model.reconstructor, model.predictor):
            raw = decoder.readout(torch.zeros(1, 3))
            torch.testing.assert_close(activate(raw, output)[0], frame)
