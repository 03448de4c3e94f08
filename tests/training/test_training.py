"""Tests of training: optimisers, schedules, curves, checkpoints and interruptions."""

import contextlib
import errno
import logging
import os
import signal
import sys
import time
from pathlib import Path
from threading import Timer
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from video_lstm.errors import UserError
from video_lstm.settings.training import TrainingSettings
from video_lstm.training import cuda_graphs
from video_lstm.training.checkpoints import Checkpoint
from video_lstm.training.loop import train
from video_lstm.training.optimizers import Optimizer, learning_rate
from video_lstm.training.tensorboard import log_folder


class Toy(nn.Module):
    """Module with every kind of parameter, and with dropout from torch's random state."""

    def __init__(self, seed=0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(3, 4, generator=draw))
        self.bias = nn.Parameter(torch.zeros(3))
        self.peepholes = nn.Parameter(torch.zeros(3, 4))
        self.bias_of_several = nn.Parameter(torch.zeros(2, 3))
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        x = x + self.peepholes.sum(0)
        return self.drop(x) @ self.weight.T + self.bias + self.bias_of_several.sum(0)


def batch(step, size=8):
    draw = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(size, 4, generator=draw)
    return x, x[:, :3].sin()


def toy_training(settings, watch=lambda step: None, checkpoint=None, **options):
    """Train a Toy; `watch` is called in the middle of every step."""
    torch.manual_seed(5)
    module = Toy()

    def loss(step):
        watch(step)
        x, y = batch(step)
        return (module(x) - y).square().mean()

    def validate():
        x, y = batch(-1, 64)
        return {"error": float((module(x) - y).square().mean()), "other": 1.0}

    checkpoint = checkpoint and Checkpoint(checkpoint, 1000)
    curves = train(module, loss, settings, validate=validate, checkpoint=checkpoint, **options)
    return module.state_dict(), curves


def kill_at(step, number=signal.SIGTERM):
    return lambda current: os.kill(os.getpid(), number) if current == step else None


class SignalReceivedError(BaseException):
    """Stands for the exception of the scripts' signal handler."""


@contextlib.contextmanager
def signal_raises(number):
    """Install a handler that raises, and check after the block that it is still installed."""

    def stop(number, frame):
        raise SignalReceivedError

    previous = signal.signal(number, stop)
    try:
        yield
    finally:
        assert signal.signal(number, previous) is stop


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


# Optimisers and schedules --------------------------------------------------------------------


def test_schedules_follow_their_formulas():
    constant, stepped, cosine = (
        TrainingSettings(
            steps=110, learning_rate=1.0, warmup_steps=10, schedule=name, decay_every=30,
            decay_factor=0.5,
        )
        for name in ("constant", "step", "cosine")
    )  # fmt: skip
    for settings in (constant, stepped, cosine):
        rates = [learning_rate(step, settings) for step in range(10)]
        assert rates == pytest.approx(np.arange(1, 11) / 10)
    assert [learning_rate(s, constant) for s in (10, 50, 109)] == [1, 1, 1]
    assert [learning_rate(s, stepped) for s in (29, 30, 59, 60, 90)] == [1, 0.5, 0.5, 0.25, 0.125]
    assert [learning_rate(s, cosine) for s in (10, 60)] == pytest.approx([1, 0.5])
    assert learning_rate(35, cosine) == pytest.approx((1 + 2**-0.5) / 2)
    assert 0 < learning_rate(109, cosine) < 3e-4


OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.8),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, momentum=0.8),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_equal_torch_without_decay_on_biases_and_peepholes(name):
    """Also with learning-rate factors for some parameters."""
    ours, theirs = Toy().eval(), Toy().eval()
    groups = {1.0: [theirs.bias, theirs.bias_of_several], 0.25: [theirs.peepholes]}
    reference = OPTIMIZERS[name](
        [{"params": [theirs.weight], "weight_decay": 0.1, "lr_scale": 0.5}]
        + [{"params": p, "weight_decay": 0.0, "lr_scale": scale} for scale, p in groups.items()]
    )
    settings = TrainingSettings(optimizer=name, weight_decay=0.1, momentum=0.8)
    optimizer = Optimizer(ours, settings, {"weight": 0.5, "peepholes": 0.25})
    for step in range(20):
        rate = 0.01 / (step + 1)
        x, y = batch(step)
        for module in (ours, theirs):
            module.zero_grad()
            (module(x) - y).square().mean().backward()
        for group in reference.param_groups:
            group["lr"] = rate * group["lr_scale"]
        reference.step()
        optimizer.step(rate)
    for (key, actual), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-7, msg=key)


def test_clipping_bounds_the_global_norm():
    """Plain SGD with learning rate 1 moves the parameters by the clipped gradient."""
    module = nn.Linear(3, 2)
    before = torch.cat([p.detach().clone().flatten() for p in module.parameters()])
    settings = TrainingSettings(
        steps=1, optimizer="sgd", momentum=0, learning_rate=1.0, warmup_steps=0,
        schedule="constant", max_grad_norm=0.25,
    )  # fmt: skip
    curves = train(module, lambda step: module(torch.ones(5, 3)).sum() * 100, settings)
    after = torch.cat([p.detach().flatten() for p in module.parameters()])
    # Gradient: 500 for each of 6 weights and 2 biases.
    assert curves["gradient_norm"][0] == pytest.approx(500 * 8**0.5)
    torch.testing.assert_close(before - after, torch.full((8,), 0.25 / 8**0.5))


# The loop ------------------------------------------------------------------------------------


def test_curves_have_a_point_per_interval_and_per_validation():
    settings = TrainingSettings(steps=2500, batch_size=8, validate_every=1000, learning_rate=1e-2)
    _, curves = toy_training(settings)
    assert curves["step"].tolist() == [*range(3, 2500, 3), 2500]
    assert curves["validation_step"].tolist() == [1000, 2000, 2500]
    assert len(curves["error"]) == len(curves["other"]) == 3
    assert curves["loss"][-50:].mean() < curves["loss"][:50].mean() / 2
    assert curves["learning_rate"][99] == pytest.approx(learning_rate(299, settings))
    assert (curves["throughput"] > 0).all()


def test_best_weights_and_early_stopping():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    weights = []

    def validate():
        weights.append(module.weight.item())
        return [3.0, 1.0, 2.0, 2.0, 0.0][len(weights) - 1]

    settings = TrainingSettings(
        steps=50,
        validate_every=10,
        early_stopping_patience=2,
        schedule="constant",
        learning_rate=0.1,
    )
    curves = train(
        module, lambda step: -module.weight.sum(), settings, validate=validate, keep_best=True
    )
    assert curves["validation"].tolist() == [3.0, 1.0, 2.0, 2.0]
    assert module.weight.item() == weights[1] != weights[-1]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_resumed_training_ends_with_the_same_bits(tmp_path, optimizer):
    settings = TrainingSettings(
        steps=60, batch_size=8, optimizer=optimizer, learning_rate=1e-3, weight_decay=0.01,
        validate_every=7,
    )  # fmt: skip
    whole, curves = toy_training(settings, keep_best=True)
    checkpoint = tmp_path / "toy.ckpt.safetensors"
    for step in sorted(np.random.default_rng(1).choice(60, 3, replace=False)):
        with pytest.raises(SignalReceivedError), signal_raises(signal.SIGTERM):
            toy_training(settings, kill_at(step), checkpoint, keep_best=True)
        assert checkpoint.exists()
    with pytest.raises(KeyboardInterrupt):
        toy_training(settings, kill_at(59, signal.SIGINT), checkpoint, keep_best=True)
    resumed, resumed_curves = toy_training(settings, checkpoint=checkpoint, keep_best=True)
    assert same(whole, resumed)
    for name in curves.keys() - {"throughput"}:
        np.testing.assert_array_equal(curves[name], resumed_curves[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.name]


@pytest.mark.parametrize(("steps", "every"), [(200, 10), (90, 5), (7, 1)])
def test_training_is_validated_twenty_times_by_default(steps, every):
    settings = TrainingSettings(steps=steps, batch_size=2, early_stopping_patience=None)
    _, curves = toy_training(settings)
    assert curves["validation_step"].tolist() == list(range(every, steps + 1, every))


def test_training_stops_after_five_validations_without_improvement():
    criteria = iter([3.0, 2.0, 1.0, 1.5, 0.9, *[1.0] * 15])
    module, settings = nn.Linear(1, 1), TrainingSettings(steps=200, batch_size=2)
    curves = train(
        module, lambda step: module(torch.ones(2, 1)).square().mean(), settings,
        validate=lambda: next(criteria),
    )  # fmt: skip
    assert curves["validation_step"].tolist() == list(range(10, 101, 10))
    assert curves["step"][-1] == 100


def test_signals_at_any_moment_do_not_change_the_weights(tmp_path):
    """The handler raises an exception, as that of the scripts does."""
    settings = TrainingSettings(steps=1500, batch_size=8, validate_every=50)
    whole, _ = toy_training(settings)
    checkpoint, first_steps = tmp_path / "c", []
    for delay in (0.05, 0.1123, 0.0731):
        timer = Timer(delay, os.kill, (os.getpid(), signal.SIGTERM))

        def watch(step, timer=timer):
            if timer.ident is None:
                first_steps.append(step)
                timer.start()

        with pytest.raises(SignalReceivedError), signal_raises(signal.SIGTERM):
            toy_training(settings, watch, checkpoint)
    resumed, curves = toy_training(settings, checkpoint=checkpoint)
    assert 0 == first_steps[0] < first_steps[1] < first_steps[2]
    assert same(whole, resumed)
    assert len(curves["step"]) == 750


def test_captured_step_trains_as_a_step_in_python(monkeypatch):
    """Emulates the capture on a CPU: the same tensors are used for all inputs."""
    settings = TrainingSettings(steps=30, batch_size=8, weight_decay=0.01, max_grad_norm=0.1)
    weights = []
    for is_captured in (False, True):
        module, calls = Toy().train(), []
        module.drop.p = 0.0

        def loss(x, y, module=module, calls=calls):
            calls.append((x, y))
            return (module(x) - y).square().mean()

        def capture(step, module=module):
            step()  # a warm-up call must not change the result
            result = step()
            grads = {p: p.grad for p in module.parameters()}

            def replay():
                result.copy_(step())
                for parameter, grad in grads.items():
                    grad.copy_(parameter.grad)
                    parameter.grad = grad
                return result

            return replay

        if is_captured:
            monkeypatch.setitem(cuda_graphs.CAPTURE_FUNCTIONS, "cpu", capture)
        curves = train(module, loss, settings, inputs=batch)
        weights.append(module.state_dict() | {"loss": torch.from_numpy(curves["loss"])})
        inputs = {tuple(id(tensor) for tensor in call) for call in calls}
        assert (len(calls), len(inputs) == 1) == ((32, True) if is_captured else (30, False))
    assert same(*weights)


def test_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.safetensors", 1e-9)
    settings = TrainingSettings(steps=20, batch_size=2, warmup_steps=0)
    module = nn.Linear(2, 1)
    weights = []

    def loss(step):
        weights.append({k: v.clone() for k, v in module.state_dict().items()})
        return module(torch.ones(2, 2)).square().mean() * (float("nan") if step == 7 else 1.0)

    with pytest.raises(UserError, match=r"step 7.*learning_rate.*max_grad_norm.*c\.safetensors"):
        train(module, loss, settings, checkpoint=checkpoint)
    assert same(module.state_dict(), weights[7]), "the bad step was applied"

    module = nn.Linear(2, 1)
    resumed = []

    def finite_loss(step):
        resumed.append((step, same(module.state_dict(), weights[7])))
        return module(torch.ones(2, 2)).square().mean()

    train(module, finite_loss, settings, checkpoint=checkpoint)
    assert resumed[0] == (7, True), "the checkpoint is not of the last finite step"


def test_gradient_that_is_not_finite_stops():
    module = nn.Linear(1, 1, bias=False)

    def loss(step):  # the square root has an infinite slope at 0
        return (module(torch.zeros(1, 1)) * 0).abs().sum().sqrt()

    with pytest.raises(UserError, match=r"expected a finite gradient, found loss 0.0 at step 0"):
        train(module, loss, TrainingSettings(steps=3))


def damaged_contents(path, tmp_path):
    """Yield contents of files that are not a checkpoint of the Toy's training."""
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[-100] ^= 1
    yield "cut short", data[: len(data) // 2]
    yield "one bit flipped", bytes(flipped)
    yield "empty", b""
    yield "no such format", b"not a checkpoint at all" * 100
    save_file({"weights/a": torch.zeros(2)}, tmp_path / "foreign")
    yield "other tensors", (tmp_path / "foreign").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        train(
            nn.Linear(2, 2),
            lambda step: signal.raise_signal(signal.SIGINT) or torch.zeros((), requires_grad=True),
            TrainingSettings(steps=40, batch_size=8),
            checkpoint=Checkpoint(tmp_path / "other", 1000),
        )
    yield "another model", (tmp_path / "other").read_bytes()


def test_unreadable_checkpoint_is_an_error_and_not_overwritten(tmp_path, monkeypatch):
    settings, path = TrainingSettings(steps=40, batch_size=8), tmp_path / "toy"
    with pytest.raises(KeyboardInterrupt):
        toy_training(settings, kill_at(20, signal.SIGINT), path)
    before = path.read_bytes()

    def refuse(*_, **__):
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"toy: cannot be read \(Input/output error\)"):
        toy_training(settings, checkpoint=path)
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_damaged_or_foreign_checkpoint_is_reported_and_not_used(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("video_lstm"), "propagate", True)
    settings = TrainingSettings(steps=40, batch_size=8)
    whole, _ = toy_training(settings)
    path = tmp_path / "toy"
    with pytest.raises(KeyboardInterrupt):
        toy_training(settings, kill_at(20, signal.SIGINT), path)
    for damage, data in damaged_contents(path, tmp_path):
        path.write_bytes(data)
        caplog.clear()
        weights, _ = toy_training(settings, checkpoint=path)
        assert same(weights, whole), damage
        assert "starts over" in caplog.text, damage
    # An intact checkpoint of a training with other settings.
    with pytest.raises(KeyboardInterrupt):
        toy_training(settings, kill_at(20, signal.SIGINT), tmp_path / "sound")
    caplog.clear()
    toy_training(settings.model_copy(update={"batch_size": 4}), checkpoint=tmp_path / "sound")
    assert "other training settings" in caplog.text


# Curves for TensorBoard ----------------------------------------------------------------------


class Writer:
    """Stand-in for TensorBoard's writer, which is not among the locked requirements."""

    def __init__(self, folder, purge_step=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / f"events.out.tfevents.{os.getpid()}.{time.time_ns()}").open("w")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def add_scalar(self, name, value, step):
        self.file.write(f"{name} {step} {value!r}\n")

    def flush(self):
        self.file.flush()


def read_logs(folder):
    """Return steps and values by name from logs of the stand-in or of TensorBoard."""
    if sys.modules["torch.utils.tensorboard"].SummaryWriter is Writer:
        lines = "".join(path.read_text() for path in folder.iterdir()).splitlines()
        points = [(name, int(step), float(value)) for name, step, value in map(str.split, lines)]
    else:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        tags = events.Tags()["scalars"]
        points = [(tag, event.step, event.value) for tag in tags for event in events.Scalars(tag)]
    return {
        name: np.array([(step, value) for tag, step, value in points if tag == name]).T
        for name in {name for name, *_ in points}
    }


@pytest.fixture(params=["stand-in", "TensorBoard"])
def tensorboard(request, monkeypatch):
    if request.param == "TensorBoard":
        pytest.importorskip("tensorboard")
    else:
        module = SimpleNamespace(SummaryWriter=Writer)
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
        monkeypatch.setattr("video_lstm.training.tensorboard.find_spec", lambda name: module)


def test_tensorboard_has_each_point_of_the_curves_once(tmp_path, tensorboard):
    settings = TrainingSettings(steps=60, batch_size=8, validate_every=7)
    plain, _ = toy_training(settings)
    logs, checkpoint = tmp_path / "logs", tmp_path / "c"
    toy_training(settings.model_copy(update={"steps": 9}), tensorboard=logs)  # older logs
    with pytest.raises(KeyboardInterrupt):
        toy_training(settings, kill_at(40, signal.SIGINT), checkpoint, tensorboard=logs)
    assert read_logs(logs)["loss"][0].tolist() == [*range(1, 42)], "not logged during training"
    weights, curves = toy_training(settings, checkpoint=checkpoint, tensorboard=logs)
    assert same(weights, plain)
    points = read_logs(logs)
    assert points.keys() == curves.keys() - {"step", "validation_step"}
    for name, (steps, values) in points.items():
        steps_name = "validation_step" if name in ("error", "other") else "step"
        np.testing.assert_array_equal(steps, curves[steps_name])
        np.testing.assert_allclose(values, curves[name], rtol=1e-6)


def test_missing_tensorboard_is_reported_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("video_lstm.training.tensorboard.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        toy_training(TrainingSettings(steps=2), pytest.fail, tensorboard=tmp_path)


def test_log_folders_mirror_the_artifact_paths():
    logs = Path("results/tensorboard")
    log_path = log_folder(logs, Path("results/pretrain/mnist/pixels/composite.h5"))
    assert log_path == Path("results/tensorboard/pretrain/mnist/pixels/composite")
    assert log_folder(logs, Path("/elsewhere/model.h5")) == Path("results/tensorboard/model")
    assert log_folder(None, log_path) is None
