"""Optimisers, parameter groups and learning-rate schedules from the settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from video_lstm.settings.training import TrainingSettings

_NO_DECAY_PREFIXES = ("bias", "peephole")
_MOMENTS = {
    "sgd": ("momentum",),
    "rmsprop": ("square", "momentum", "steps"),
    "adam": ("first", "second", "steps"),
    "adamw": ("first", "second", "steps"),
}


class Optimizer:
    """Optimiser chosen in the settings, for the trainable parameters of a module.

    The updates are those of torch.optim's functional interface, since its classes import torch's
    compiler, which costs every job a second. Weight decay is L2 regularisation for `sgd`, `rmsprop`
    and `adam`, decoupled (Loshchilov & Hutter 2019) for `adamw`.

    Args:
        module: Module on its final device.
        settings: Settings of the optimiser.
        lr_scales: Factors of the learning rate by parameter name; default 1.

    Attributes:
        parameters: Trainable parameters.
        state: Moments by name, "parameter/moment"; `step` updates them in place.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: TrainingSettings,
        lr_scales: Mapping[str, float] | None = None,
    ) -> None:
        self._settings = settings
        self._groups = parameter_groups(module, settings.weight_decay, lr_scales or {})
        named = {name: p for group in self._groups for name, p in group.parameters.items()}
        self.parameters: list[nn.Parameter] = list(named.values())
        self.state: dict[str, Tensor] = {
            f"{name}/{moment}": (
                parameter.new_zeros(())
                if moment == "steps"
                else torch.zeros_like(parameter.detach())
            )
            for name, parameter in named.items()
            for moment in _MOMENTS[settings.optimizer]
        }

    def zero_grad(self) -> None:
        """Reset the gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update all parameters that have a gradient, with learning rate `rate`."""
        for group in self._groups:
            named = [(name, p) for name, p in group.parameters.items() if p.grad is not None]
            if named:
                self._update(named, rate * group.lr_scale, group.decay)

    def _update(self, named: list[tuple[str, nn.Parameter]], rate: float, decay: float) -> None:
        kind, momentum = self._settings.optimizer, self._settings.momentum
        weights: list[Tensor] = [p for _, p in named]
        gradients = [p.grad for _, p in named if p.grad is not None]
        moments = {
            moment: [self.state[f"{name}/{moment}"] for name, _ in named]
            for moment in _MOMENTS[kind]
        }
        # `fused` updates in one pass over memory, on a CPU too; RMSProp has no fused version.
        if kind == "sgd":
            sgd(
                weights, gradients, moments["momentum"], fused=True, lr=rate, momentum=momentum,
                weight_decay=decay, dampening=0.0, nesterov=False, maximize=False,
            )  # fmt: skip
        elif kind == "rmsprop":
            rmsprop(
                weights, gradients, moments["square"], [], moments["momentum"], moments["steps"],
                foreach=True, lr=rate, alpha=0.99, eps=1e-8, weight_decay=decay, momentum=momentum,
                centered=False,
            )  # fmt: skip
        else:
            adam(
                weights, gradients, moments["first"], moments["second"], [], moments["steps"],
                fused=True, decoupled_weight_decay=kind == "adamw", amsgrad=False, beta1=0.9,
                beta2=0.999, lr=rate, weight_decay=decay, eps=1e-8, maximize=False,
            )  # fmt: skip


@dataclass(frozen=True)
class ParameterGroup:
    """Trainable parameters by name with the same weight decay and learning-rate factor."""

    parameters: dict[str, nn.Parameter]
    decay: float
    lr_scale: float


def parameter_groups(
    module: nn.Module, weight_decay: float, lr_scales: Mapping[str, float]
) -> list[ParameterGroup]:
    """Group a module's trainable parameters; `lr_scales` as in Optimizer.

    Biases and peepholes have no weight decay. They are recognised by name (`bias...`,
    `peephole...`), since those of a ConvLSTM have more than one dimension. Other one-dimensional
    parameters, such as the gains of a normalisation, have none either.
    """
    groups: dict[tuple[float, float], dict[str, nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            local_name = name.rpartition(".")[2]
            has_decay = parameter.dim() > 1 and not local_name.startswith(_NO_DECAY_PREFIXES)
            key = weight_decay if has_decay else 0.0, lr_scales.get(name, 1.0)
            groups.setdefault(key, {})[name] = parameter
    return [ParameterGroup(named, *key) for key, named in groups.items()]


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step, counted from 0.

    The rate rises linearly to its peak over `warmup_steps`. Then it stays constant (`constant`), is
    multiplied by `decay_factor` every `decay_every` steps counted from step 0 (`step`), or follows
    half a cosine, which reaches zero one step after the last (`cosine`).
    """
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if settings.schedule == "step":
        return peak * settings.decay_factor ** (step // settings.decay_every)
    if settings.schedule == "cosine":
        progress = (step - warmup) / max(settings.steps - warmup, 1)
        return peak * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return peak
