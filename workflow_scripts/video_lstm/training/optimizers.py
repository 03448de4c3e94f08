"""Optimisers, their parameter groups and the learning rate's course, all from the settings."""

import math

import torch
from torch import nn

from video_lstm.settings import TrainingSettings

_UNDECAYED = ("bias", "peephole")


def build_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over the module's trainable parameters.

    Weight decay is L2 for `sgd`, `rmsprop` and `adam`, decoupled (Loshchilov & Hutter 2019) for
    `adamw`. The learning rate of the groups is the peak; the loop sets each step's.
    """
    groups = parameter_groups(module, settings.weight_decay)
    # `fused` does a whole update in one pass over memory, on CPU too; RMSProp has none.
    build = {
        "sgd": lambda: torch.optim.SGD(
            groups, settings.learning_rate, momentum=settings.momentum, fused=True
        ),
        "rmsprop": lambda: torch.optim.RMSprop(
            groups, settings.learning_rate, momentum=settings.momentum
        ),
        "adam": lambda: torch.optim.Adam(groups, settings.learning_rate, fused=True),
        "adamw": lambda: torch.optim.AdamW(groups, settings.learning_rate, fused=True),
    }
    return build[settings.optimizer]()


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups of trainable parameters: those that decay, and biases and peepholes.

    Biases and peepholes are told by their own name (`bias...`, `peephole...`), since those of
    several models trained side by side, or of a convolutional cell, have more than one dimension;
    other vectors (the gains of a normalisation) do not decay either.
    """
    decayed, others = [], []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            own = name.rpartition(".")[2]
            weight = parameter.dim() > 1 and not own.startswith(_UNDECAYED)
            (decayed if weight else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """The learning rate of a step, counted from 0.

    Rises linearly to the peak over `warmup_steps`, then stays (`constant`), falls by
    `decay_factor` every `decay_every` steps counted from the start (`step`), or follows half a
    cosine to zero, which it would reach one step after the last (`cosine`).
    """
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if settings.schedule == "step":
        return peak * settings.decay_factor ** (step // settings.decay_every)
    if settings.schedule == "cosine":
        way = (step - warmup) / max(settings.steps - warmup, 1)
        return peak * 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))
    return peak
