"""Unsupervised training of an encoder-decoder on any source of sequences (paper, section 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from video_lstm.models.encoder_decoder import EncoderDecoder, Losses
from video_lstm.models.lstm import LSTMStack
from video_lstm.models.standardize import Standardize
from video_lstm.settings.training import EncoderDecoderSettings
from video_lstm.training import distributed
from video_lstm.training.checkpoints import Checkpoint
from video_lstm.training.loop import train

_MEAN_BATCHES = 20
"""Training batches whose mean frame the outputs' biases start at."""
_LEAST_ERROR = 1e-6
"""Errors of a sequence count as at least this, so that an error of zero has a logarithm."""


class Sequences(Protocol):
    """What a model is fed: endless training batches, and a few fixed ones to validate on."""

    frame_size: int

    def batch(self, step: int, size: int) -> Tensor:
        """(frames, size, frame_size) float32, a function of the step and the size alone."""
        ...

    def validation(self, size: int) -> list[Tensor]:
        """Batches like these, of what is never trained on."""
        ...


def model_arguments(
    variant: str,
    frame_size: int,
    output: str,
    settings: EncoderDecoderSettings,
    *,
    subtract_mean: bool = False,
) -> dict[str, Any]:
    """Arguments of EncoderDecoder, but for the generator."""
    return {
        "variant": variant,
        "frame_size": frame_size,
        "hidden_size": settings.hidden_size,
        "num_layers": settings.num_layers,
        "input_frames": settings.input_frames,
        "future_frames": settings.future_frames,
        "output": output,
        "readout_first": settings.readout_first,
        "forget_bias": settings.forget_bias,
        "subtract_mean": subtract_mean,
        "patch_size": settings.patch_size,
        "kernel_size": settings.kernel_size,
    }


def pretrain(
    arguments: Mapping[str, Any],
    sequences: Sequences,
    settings: EncoderDecoderSettings,
    *,
    standardize: Standardize | None,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    tensorboard: Path | None = None,
) -> tuple[EncoderDecoder, dict[str, np.ndarray]]:
    """Train an encoder-decoder and leave it with the weights of its best validation.

    What is made small is the mean loss per value of a frame, both branches with the same weight:
    the gradient's size, and so `max_grad_norm`, does not depend on the frame's size. What is told
    is in the paper's units: summed over the values of a frame, averaged over frames and sequences
    (of standardised values, where frames are standardised).

    Args:
        arguments: see `model_arguments`.
        sequences: Sequences of input_frames + future_frames frames, on the device.
        settings: Settings of the model and its training.
        standardize: what frames are read through; None: as they are.
        seed: Random seed for weight initialisation and scheduled sampling.
        device: where to train.
        checkpoint: see `loop.train`.
        tensorboard: see `loop.train`.

    Where several processes train it (`distributed`), each takes its part of every batch.

    Returns:
        The model, and its curves: those of `loop.train`, where `loss` and `validation` are both
        branches' sum, `reconstruction` and `future` the validation's parts, and `criterion` is the
        geometric mean of the sequences' validation errors, by which training stops: a video whose
        errors are many times the others' counts no more than they.
    """
    model = EncoderDecoder(**arguments, generator=torch.Generator().manual_seed(seed)).to(device)
    called = distributed.wrap_ddp(model)
    batch = settings.training.batch_size
    mine = distributed.local_slice(batch)
    held_out = sequences.validation(batch)
    standardize = standardize and standardize.to(device)

    def normalise(frames: Tensor) -> Tensor:
        return standardize(frames, input_frames=settings.input_frames) if standardize else frames

    if settings.output_bias == "mean_frame":
        first = (sequences.batch(step, batch) for step in range(_MEAN_BATCHES))
        model.set_output_bias(
            sum(normalise(frames).mean((0, 1)) for frames in first) / _MEAN_BATCHES
        )

    def losses(frames: Tensor, sampling_mask: Tensor | None = None) -> Losses:
        frames = normalise(frames)
        inputs, future = frames[: settings.input_frames], frames[settings.input_frames :]
        prediction = (called if model.training else model)(
            inputs, future, sampling_mask=sampling_mask
        )
        return model.sequence_losses(prediction, inputs, future)

    def inputs(step: int) -> tuple[Tensor, ...]:
        frames = sequences.batch(step, batch)[:, mine]
        if not settings.scheduled_sampling:
            return (frames,)
        return frames, scheduled_sampling_mask(settings, seed, step, device)[:, mine]

    def loss(*step_inputs: Tensor) -> Tensor:
        return losses(*step_inputs).total.mean() / sequences.frame_size

    def validate() -> dict[str, float]:
        batches = [losses(frames) for frames in held_out]
        total = torch.cat([batch.total for batch in batches])
        parts = {
            name: float(torch.cat([getattr(batch, name) for batch in batches]).mean())
            for name in ("reconstruction", "future")
            if getattr(batches[0], name) is not None
        }
        criterion = float(total.clamp_min(_LEAST_ERROR).log().mean().exp())
        return {"criterion": criterion, "validation": sum(parts.values())} | parts

    curves = train(
        model,
        loss,
        settings.training,
        inputs=inputs,
        validate=validate if held_out else None,
        keep_best=bool(held_out),
        checkpoint=checkpoint,
        flops_per_unit=flops_per_sequence(model),
        loss_scale=sequences.frame_size,
        lr_scales=dict.fromkeys(model.input_weight_names(), settings.input_lr_scale)
        | dict.fromkeys(model.feedback_weight_names(), settings.feedback_lr_scale),
        tensorboard=tensorboard,
    )
    return model, curves


def scheduled_sampling_mask(
    settings: EncoderDecoderSettings, seed: int, step: int, device: torch.device
) -> Tensor:
    """Where a training step's conditional decoders are fed their own output (scheduled sampling).

    Returns:
        (frames - 1, batch) bool. Follows from seed and step alone, so that a resumed job has it.
    """
    rise = settings.scheduled_sampling_warmup * (settings.training.steps - 1)
    probability = settings.scheduled_sampling * (min(step / rise, 1.0) if rise else 1.0)
    word = np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0]
    generator = torch.Generator(device).manual_seed(int(word))
    shape = (max(settings.input_frames, settings.future_frames) - 1, settings.training.batch_size)
    return torch.rand(shape, generator=generator, device=device) < probability


def flops_per_sequence(model: EncoderDecoder) -> int:
    """Floating-point operations of the matrix products of one training step, per sequence.

    A product costs as much again for the gradient of its weights, and for that of what it reads,
    which the frames and the encoder's zero state do not need. Teacher forcing throughout.
    """
    seen, predicted = model.input_frames, model.future_frames
    total = _stack_flops(model.encoder, seen, seen)
    total -= sum(2 * layer.weight_h.numel() * _places(layer) for layer in model.encoder.layers)
    for decoder, steps in ((model.reconstructor, seen), (model.predictor, predicted)):
        if decoder is not None:
            fed = steps - 1 if decoder.conditional else 0
            total += _stack_flops(decoder.stack, steps - decoder.readout_first, fed)
            places = _places(decoder.stack.layers[0])
            total += 6 * decoder.readout.weight.numel() * places * steps
    return total


def _stack_flops(stack: LSTMStack, steps: int, fed: int) -> int:
    total = 0
    for level, layer in enumerate(stack.layers):
        places = _places(layer)
        total += 6 * layer.weight_h.numel() * places * steps
        if layer.weight_x is not None:
            total += layer.weight_x.numel() * places * (6 * steps if level else 4 * fed)
    return total


def _places(layer: nn.Module) -> int:
    """How often a step uses each weight: once, or at every place of a ConvLSTM's maps."""
    return layer.peepholes[0, 0].numel()
