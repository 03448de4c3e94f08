"""The training loop that encoder-decoders, classifiers and the flow convnet share."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from video_lstm.errors import UserError
from video_lstm.interruption import deferred_signals
from video_lstm.precision import multiplies_bfloat16
from video_lstm.progress import Progress
from video_lstm.settings.training import TrainingSettings
from video_lstm.training import distributed
from video_lstm.training.checkpoints import (
    Checkpoint,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from video_lstm.training.cuda_graphs import CapturedStep
from video_lstm.training.optimizers import Optimizer, learning_rate
from video_lstm.training.tensorboard import curve_log
from video_lstm.training.throughput import measure_matmul_flops

logger = logging.getLogger("video_lstm")

_MAX_CURVE_POINTS = 1000
"""Curves have at most so many points."""
_DEFAULT_VALIDATIONS = 20
"""Times that a training is validated where `validate_every` says nothing."""
_LAUNCH_AHEAD = 20
"""Steps that a GPU is given before their losses are read: each reading waits for the GPU."""

Validation = Callable[[], float | Mapping[str, float]]


def train(
    module: nn.Module,
    loss: Callable[..., Tensor],
    settings: TrainingSettings,
    *,
    inputs: Callable[[int], tuple[Tensor, ...]] | None = None,
    validate: Validation | None = None,
    keep_best: bool = False,
    checkpoint: Checkpoint | None = None,
    unit: str = "sequences",
    flops_per_unit: int = 0,
    loss_scale: float = 1.0,
    lr_scales: Mapping[str, float] | None = None,
    tensorboard: Path | None = None,
) -> dict[str, np.ndarray]:
    """Train a module in place.

    Goes on from `checkpoint` where there is one of this training, and ends, on a CPU, with the
    same weights to the bit as if it had never been interrupted; for that `loss` must be a function
    of the step and of torch's default random state only. SIGTERM and SIGINT wait until the step is
    done and the checkpoint is written.

    Args:
        module: on its device already. In training mode during `loss`, in evaluation mode during
            `validate` and afterwards.
        loss: the loss of a step's batch, a scalar of the mean per sequence, from the step counted
            from 0, or from its inputs. In bfloat16 it is called under autocast.
        settings: Settings of the optimiser and the learning-rate schedule.
        inputs: The inputs of `loss` at a step, tensors of constant shapes. With them a step on one
            GPU is recorded once and then repeated (CUDA graph), so `loss` must draw nothing itself.
        validate: called without gradients every `validate_every` steps and after the last; what
            it returns is the criterion (less is better), or several numbers by name, the
            criterion first.
        keep_best: leave the module with the weights of the best validation, not with the last.
        checkpoint: file that is written every so often; the caller removes it.
        unit: what a batch is made of, for progress lines.
        flops_per_unit: floating-point operations of a step's matrix products per unit, where known.
        loss_scale: what `loss` is multiplied by where it is told: in curves and in lines.
        lr_scales: see Optimizer.
        tensorboard: folder that the curves are written to as they grow, too.

    Returns:
        Curves by name. Points of `step` (updates done): `loss` and `gradient_norm` (before it is
        clipped), means over the steps since the last point, `learning_rate`, and `throughput`
        (units/s, validation and checkpoints left out), and with `flops_per_unit`
        `model_flops_utilization` (of the rate that this machine reaches in large matrix products).
        Points of `validation_step`: `validation`, or the names that `validate` returns.

    Raises:
        UserError: the loss, its gradient or the criterion is not finite; the last checkpoint is
            kept. Or a checkpoint cannot be written.

    Where several processes train one model (`distributed`) losses are means over all of them, the
    first writes the checkpoints, and a signal to any of them ends all.
    """
    if keep_best and validate is None:
        raise ValueError("keep_best needs validate")
    device = next(module.parameters()).device
    if settings.precision == "bfloat16" and not multiplies_bfloat16(device):
        logger.info("training.precision: this CPU has no bfloat16 products, float32 is used")
    optimizer = Optimizer(module, settings, lr_scales)
    state = checkpoint and load_checkpoint(checkpoint.path, module, optimizer, settings)
    if state:
        logger.info("going on from step %d of %d (%s)", state.step, settings.steps, checkpoint.path)
    state = state or TrainingState()
    logs = None if distributed.rank() else tensorboard
    record = _Record(state, settings, checkpoint and checkpoint.path, loss_scale)
    progress = Progress(
        settings.steps * settings.batch_size, unit, state.step * settings.batch_size
    )
    point_every = max(
        math.ceil(settings.steps / _MAX_CURVE_POINTS), _LAUNCH_AHEAD if device.type != "cpu" else 1
    )
    validate_every = settings.validate_every or math.ceil(settings.steps / _DEFAULT_VALIDATIONS)
    saved = time.monotonic()

    def gradients(*step_inputs: Any) -> Tensor:
        """Compute the gradients of a step; return its loss and the gradient norm."""
        with _autocast(settings, device):
            value = loss(*step_inputs)
        value.backward()
        norm = _clip(optimizer.parameters, settings.max_grad_norm)
        return torch.stack((value.detach().float(), norm.float()))

    recorded = inputs is not None and distributed.world_size() == 1
    step = CapturedStep(gradients, optimizer.zero_grad, device if recorded else None)

    with (
        deferred_signals() as pending_signals,
        _precision(settings, device),
        curve_log(logs, state.curves) as log,
    ):
        if flops_per_unit:
            bfloat16 = _bfloat16(settings, device)
            rate = measure_matmul_flops(device, torch.bfloat16 if bfloat16 else torch.float32)
            record.best_seconds = flops_per_unit / (rate * distributed.world_size())
            record.restart()
        while not _finished(state, settings) and not record.stop:
            module.train()
            rate = learning_rate(state.step, settings)
            step_inputs = (state.step,) if inputs is None else inputs(state.step)
            record.add_step(step(*step_inputs), bool(pending_signals))
            if device.type == "cpu":
                record.read_pending()  # before the update: the weights stay as they were
            optimizer.step(rate)
            state.step += 1

            last = state.step == settings.steps
            if state.step % point_every == 0 or last:
                record.add_point(rate)
                log()
                record.restart()
            if validate and (state.step % validate_every == 0 or last):
                record.read_pending()
                _validate(module, validate, keep_best, state, settings)
                log()
                record.restart()
            overdue = checkpoint and time.monotonic() - saved > checkpoint.seconds
            if checkpoint and (record.stop or overdue) and not distributed.rank():
                record.read_pending()
                save_checkpoint(checkpoint.path, module, optimizer, state, settings)
                saved = time.monotonic()
                record.restart()
            progress.update(settings.batch_size, f"step {state.step}, {record.summary}")

    if keep_best and state.best_weights:
        module.load_state_dict(state.best_weights)
    module.eval()
    if state.curves:
        final = {name: values[-1] for name, values in state.curves.items()}
        utilization = final.get("model_flops_utilization")
        logger.info(
            "%d steps, loss %.5g, %.4g %s/s%s",
            state.step, final["loss"], final["throughput"], unit,
            f", model FLOPs utilization {utilization:.0%}" if utilization else "",
        )  # fmt: skip
    return {name: np.array(values) for name, values in state.curves.items()}


class _Record:
    """Keeps the losses, their curves and the time, and stops a training that has gone astray."""

    def __init__(
        self,
        state: TrainingState,
        settings: TrainingSettings,
        checkpoint: Path | None,
        loss_scale: float,
    ) -> None:
        self.state, self.settings, self.checkpoint = state, settings, checkpoint
        self.loss_scale = loss_scale
        self.summary, self.stop = "", False
        self.best_seconds = 0.0  # seconds that the machine needs at best for one unit's products
        self._pending: list[Tensor] = []
        self._first = state.step
        self.restart()

    def restart(self) -> None:
        """Start the clock again after something that is not training."""
        self._clock = time.perf_counter()

    def add_step(self, loss_and_norm: Tensor, stop: bool) -> None:
        """Take a step's loss and gradient norm, without waiting for the device.

        `stop` ends the training when it is read, together with all other processes'.
        """
        values = torch.cat((loss_and_norm, loss_and_norm.new_full((1,), float(stop))))
        self._pending.append(distributed.all_reduce_mean(values))

    def read_pending(self) -> None:
        """Read what was pending_signals; raise if any of it is not finite."""
        if not self._pending:
            return
        values = torch.stack(self._pending).tolist()
        self._pending.clear()
        for step, (loss, norm, stop) in enumerate(values, self._first):
            self.stop = self.stop or stop > 0
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise UserError(
                    self._divergence_message(step, "loss" if loss != loss else "gradient", loss)
                )
            self.state.losses.append(loss)
            self.state.norms.append(norm)
        self._first += len(values)
        now = time.perf_counter()
        self.state.seconds += now - self._clock
        self._clock = now
        self.summary = f"loss {self.state.losses[-1] * self.loss_scale:.5g}"

    def add_point(self, rate: float) -> None:
        """End an interval: one more point of the curves."""
        self.read_pending()
        state = self.state
        count = len(state.losses)
        throughput = count * self.settings.batch_size / max(state.seconds, 1e-9)
        point = {
            "step": state.step,
            "loss": sum(state.losses) / count * self.loss_scale,
            "learning_rate": rate,
            "gradient_norm": sum(state.norms) / count,
            "throughput": throughput,
        }
        if self.best_seconds:
            point["model_flops_utilization"] = throughput * self.best_seconds
        _extend(state.curves, **point)
        state.losses.clear()
        state.norms.clear()
        state.seconds = 0.0

    def _divergence_message(self, step: int, what: str, loss: float) -> str:
        has_checkpoint = self.checkpoint and self.checkpoint.exists()
        return (
            f"training.learning_rate: the {what} is not finite (loss {loss}) at step {step}, where "
            f"the learning rate is {learning_rate(step, self.settings):.3g}; lower "
            "training.learning_rate or training.max_grad_norm"
            + (f"; the last good checkpoint is kept in {self.checkpoint}" if has_checkpoint else "")
        )


def _validate(
    module: nn.Module,
    validate: Validation,
    keep_best: bool,
    state: TrainingState,
    settings: TrainingSettings,
) -> None:
    """One more point of the validation curves, and the weights if they are the best so far."""
    module.eval()
    device = next(module.parameters()).device
    with torch.no_grad(), _autocast(settings, device):
        result = validate()
    named = result if isinstance(result, Mapping) else {"validation": result}
    criterion = distributed.broadcast(float(next(iter(named.values()))))
    if not math.isfinite(criterion):
        raise UserError(
            f"training.learning_rate: the validation is {criterion} after step {state.step}; lower "
            "training.learning_rate or training.max_grad_norm"
        )
    _extend(state.curves, validation_step=state.step, **named)
    state.validations_since_best += 1
    if criterion < state.best:
        state.best, state.validations_since_best = criterion, 0
        if keep_best:
            weights = module.state_dict().items()
            state.best_weights = {name: value.detach().clone() for name, value in weights}


def _finished(state: TrainingState, settings: TrainingSettings) -> bool:
    patience = settings.early_stopping_patience
    return state.step >= settings.steps or (
        patience is not None and state.validations_since_best >= patience
    )


def _extend(curves: dict[str, list[float]], **values: float) -> None:
    for name, value in values.items():
        curves.setdefault(name, []).append(float(value))


def _clip(parameters: list[nn.Parameter], bound: float | None) -> Tensor:
    """Scale the gradients to a global norm of at most `bound`; the norm that they had."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if bound is not None:
        nn.utils.clip_grads_with_norm_(parameters, bound, norm)
    return norm


def _autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=_bfloat16(settings, device))


def _bfloat16(settings: TrainingSettings, device: torch.device) -> bool:
    """Whether products are in bfloat16: where it is asked for and the device multiplies in it."""
    return settings.precision == "bfloat16" and multiplies_bfloat16(device)


@contextlib.contextmanager
def _precision(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Precision of the float32 products on a GPU, convolutions too, during a block."""
    if device.type != "cuda":
        yield
        return
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    backends = (torch.backends.cuda.matmul, convolutions)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee" if settings.precision == "float32" else "tf32"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
