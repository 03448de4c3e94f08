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

from video_lstm.device import keep_freed_memory
from video_lstm.errors import UserError
from video_lstm.interruption import deferred_signals
from video_lstm.precision import has_fast_bfloat16
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
"""Maximal number of points of a curve."""
_DEFAULT_VALIDATIONS = 20
"""Number of validations in a training if `validate_every` is not set."""
_LAUNCH_AHEAD = 20
"""Steps launched on a GPU before their losses are read, since every read synchronises."""

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

    Training resumes from `checkpoint` if the file exists and belongs to this training. On a CPU it
    then ends with the same weights, bit for bit, as an uninterrupted one, provided that `loss`
    depends on the step and torch's default random state only. SIGTERM and SIGINT are handled after
    the current step, when the checkpoint has been written. With several processes (`distributed`)
    losses are averaged over all of them, rank 0 writes the checkpoints, and a signal to any process
    stops all.

    Args:
        module: Module on its final device; in training mode during `loss`, in evaluation mode
            during `validate` and afterwards.
        loss: Function of the step, counted from 0, or of the step's `inputs`, that returns the mean
            loss per sequence, a scalar; under autocast with bfloat16.
        settings: Settings of the optimiser and the learning-rate schedule.
        inputs: Function of the step that returns the inputs of `loss`, tensors of constant shapes.
            On one GPU the step is then captured as a CUDA graph, so that `loss` must not draw
            random numbers.
        validate: Function called without gradients every `validate_every` steps and after the last;
            returns the criterion (lower is better), or numbers by name, the criterion first.
        keep_best: Whether to load the weights of the best validation at the end.
        checkpoint: File to resume from and to write; the caller removes it.
        unit: Name of the elements of a batch, for progress lines.
        flops_per_unit: Floating-point operations in a step's matrix products per unit; 0: unknown.
        loss_scale: Factor of the loss in curves and messages.
        lr_scales: Factors of the learning rate by parameter name, see Optimizer.
        tensorboard: Folder for TensorBoard logs.

    Returns:
        Curves by name. Over `step` (number of updates): `loss` and `gradient_norm` (before
        clipping), averaged since the point before, `learning_rate`, `throughput` (units/s, without
        validation and checkpoints) and, with `flops_per_unit`, `model_flops_utilization` (relative
        to the machine's rate in large matrix products). Over `validation_step`: `validation`, or
        the names that `validate` returns.

    Raises:
        UserError: The loss, its gradient or the criterion is not finite (the last checkpoint is
            kept), or a checkpoint cannot be written.
    """
    if keep_best and validate is None:
        raise ValueError("keep_best needs validate")
    keep_freed_memory()
    device = next(module.parameters()).device
    if settings.precision == "bfloat16" and not has_fast_bfloat16(device):
        logger.info(
            "training.precision: this CPU has no bfloat16 instructions, float32 is used instead"
        )
    optimizer = Optimizer(module, settings, lr_scales)
    state = TrainingState()
    if checkpoint:
        resumed = load_checkpoint(checkpoint.path, module, optimizer, settings)
        if resumed:
            state = resumed
            logger.info(
                "resuming at step %d of %d (%s)", state.step, settings.steps, checkpoint.path
            )
    log_folder = None if distributed.rank() else tensorboard
    history = _TrainingHistory(state, settings, checkpoint.path if checkpoint else None, loss_scale)
    progress = Progress(
        settings.steps * settings.batch_size, unit, state.step * settings.batch_size
    )
    steps_per_point = max(
        math.ceil(settings.steps / _MAX_CURVE_POINTS), _LAUNCH_AHEAD if device.type != "cpu" else 1
    )
    validate_every = settings.validate_every or math.ceil(settings.steps / _DEFAULT_VALIDATIONS)
    last_saved = time.monotonic()

    def compute_gradients(*step_inputs: Any) -> Tensor:
        """Compute the gradients of a step; return loss and gradient norm, (2,) float32."""
        with _autocast(settings, device):
            value = loss(*step_inputs)
        value.backward()
        norm = _clip_gradients(optimizer.parameters, settings.max_grad_norm)
        return torch.stack((value.detach().float(), norm.float()))

    is_captured = inputs is not None and distributed.world_size() == 1
    run_step = CapturedStep(compute_gradients, optimizer.zero_grad, device if is_captured else None)

    with (
        deferred_signals() as pending_signals,
        _matmul_precision(settings, device),
        curve_log(log_folder, state.curves) as write_log,
    ):
        if flops_per_unit:
            dtype = torch.bfloat16 if _uses_bfloat16(settings, device) else torch.float32
            peak_flops = measure_matmul_flops(device, dtype) * distributed.world_size()
            history.min_seconds_per_unit = flops_per_unit / peak_flops
            history.restart_clock()
        while not _is_finished(state, settings) and not history.stop:
            module.train()
            rate = learning_rate(state.step, settings)
            step_inputs = (state.step,) if inputs is None else inputs(state.step)
            history.add_step(run_step(*step_inputs), bool(pending_signals))
            if device.type == "cpu":
                history.read_pending()  # raises before the update if the loss is not finite
            optimizer.step(rate)
            state.step += 1

            is_last = state.step == settings.steps
            if state.step % steps_per_point == 0 or is_last:
                history.add_point(rate)
                write_log()
                history.restart_clock()
            if validate and (state.step % validate_every == 0 or is_last):
                history.read_pending()
                _validate(module, validate, keep_best, state, settings)
                write_log()
                history.restart_clock()
            is_due = checkpoint and time.monotonic() - last_saved > checkpoint.seconds
            if checkpoint and (history.stop or is_due) and not distributed.rank():
                history.read_pending()
                save_checkpoint(checkpoint.path, module, optimizer, state, settings)
                last_saved = time.monotonic()
                history.restart_clock()
            progress.update(settings.batch_size, f"step {state.step}, {history.summary}")

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


class _TrainingHistory:
    """Collects losses, curves and times, and raises when a loss or gradient is not finite.

    Losses stay on the device until they are read, so that the GPU need not be waited for.

    Args:
        state: Progress of the training; updated in place.
        settings: Settings of the training.
        checkpoint: Path of the checkpoint, for messages; None: there is none.
        loss_scale: Factor of the loss in curves and messages.

    Attributes:
        summary: Last loss, for progress lines.
        stop: Whether a signal to any process ends the training.
        min_seconds_per_unit: Time for one unit's matrix products at the machine's peak rate; 0:
            unknown.
    """

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
        self.min_seconds_per_unit = 0.0
        self._pending: list[Tensor] = []
        self._first_pending_step = state.step
        self.restart_clock()

    def restart_clock(self) -> None:
        """Restart the clock after work that is not training."""
        self._clock_start = time.perf_counter()

    def add_step(self, loss_and_norm: Tensor, stop: bool) -> None:
        """Add a step's loss and gradient norm, without waiting for the device.

        Args:
            loss_and_norm: (2,) float32.
            stop: Whether this process wants to stop; ends the training of all processes.
        """
        values = torch.cat((loss_and_norm, loss_and_norm.new_full((1,), float(stop))))
        self._pending.append(distributed.all_reduce_mean(values))

    def read_pending(self) -> None:
        """Read the losses of the steps since the last call; raise if one is not finite."""
        if not self._pending:
            return
        values = torch.stack(self._pending).tolist()
        self._pending.clear()
        for step, (loss, norm, stop) in enumerate(values, self._first_pending_step):
            self.stop = self.stop or stop > 0
            if not (math.isfinite(loss) and math.isfinite(norm)):
                quantity = "gradient" if math.isfinite(loss) else "loss"
                raise UserError(self._divergence_message(step, quantity, loss))
            self.state.losses.append(loss)
            self.state.norms.append(norm)
        self._first_pending_step += len(values)
        now = time.perf_counter()
        self.state.seconds += now - self._clock_start
        self._clock_start = now
        self.summary = f"loss {self.state.losses[-1] * self.loss_scale:.5g}"

    def add_point(self, rate: float) -> None:
        """Add a point to the curves: averages over the steps since the last point."""
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
        if self.min_seconds_per_unit:
            point["model_flops_utilization"] = throughput * self.min_seconds_per_unit
        _append_point(state.curves, **point)
        state.losses.clear()
        state.norms.clear()
        state.seconds = 0.0

    def _divergence_message(self, step: int, quantity: str, loss: float) -> str:
        has_checkpoint = self.checkpoint is not None and self.checkpoint.exists()
        return (
            f"training.learning_rate: expected a finite {quantity}, found loss {loss} at step "
            f"{step} with learning rate {learning_rate(step, self.settings):.3g}; lower "
            "training.learning_rate or training.max_grad_norm"
            + (f" (last checkpoint: {self.checkpoint})" if has_checkpoint else "")
        )


def _validate(
    module: nn.Module,
    validate: Validation,
    keep_best: bool,
    state: TrainingState,
    settings: TrainingSettings,
) -> None:
    """Add a point to the validation curves; store the weights if they are the best so far."""
    module.eval()
    device = next(module.parameters()).device
    with torch.no_grad(), _autocast(settings, device):
        result = validate()
    values = result if isinstance(result, Mapping) else {"validation": result}
    criterion = distributed.broadcast(float(next(iter(values.values()))))
    if not math.isfinite(criterion):
        raise UserError(
            f"training.learning_rate: expected a finite validation loss, found {criterion} after "
            f"step {state.step}; lower training.learning_rate or training.max_grad_norm"
        )
    _append_point(state.curves, validation_step=state.step, **values)
    state.validations_since_best += 1
    if criterion < state.best:
        state.best, state.validations_since_best = criterion, 0
        if keep_best:
            weights = module.state_dict().items()
            state.best_weights = {name: value.detach().clone() for name, value in weights}


def _is_finished(state: TrainingState, settings: TrainingSettings) -> bool:
    patience = settings.early_stopping_patience
    return state.step >= settings.steps or (
        patience is not None and state.validations_since_best >= patience
    )


def _append_point(curves: dict[str, list[float]], **values: float) -> None:
    for name, value in values.items():
        curves.setdefault(name, []).append(float(value))


def _clip_gradients(parameters: list[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scale the gradients to a global norm of at most `max_norm`; return the norm before."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if max_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm


def _autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=_uses_bfloat16(settings, device))


def _uses_bfloat16(settings: TrainingSettings, device: torch.device) -> bool:
    """Return whether bfloat16 is set and the device supports it."""
    return settings.precision == "bfloat16" and has_fast_bfloat16(device)


@contextlib.contextmanager
def _matmul_precision(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Set the precision of float32 matrix products and convolutions on a GPU during a block."""
    if device.type != "cuda":
        yield
        return
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    backends = (torch.backends.cuda.matmul, convolutions)
    previous = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee" if settings.precision == "float32" else "tf32"
        yield
    finally:
        for backend, precision in zip(backends, previous, strict=True):
            backend.fp32_precision = precision
