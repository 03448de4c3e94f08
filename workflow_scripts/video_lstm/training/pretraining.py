"""Unsupervised training of encoder-decoders on sequences of frames (paper, section 2)."""

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

_OUTPUT_BIAS_BATCHES = 20
"""Number of training batches whose mean frame initialises the output biases."""
_MIN_ERROR = 1e-6
"""Smallest error of a sequence in the geometric mean, so that zero has a logarithm."""


class Sequences(Protocol):
    """Source of training batches and of a fixed validation set.

    Attributes:
        frame_size: D, number of values of a frame.
    """

    frame_size: int

    def batch(self, step: int, size: int) -> Tensor:
        """Return a batch (frames, size, D) float32 that depends on step and size only."""
        ...

    def validation(self, size: int) -> list[Tensor]:
        """Return the validation set in batches of at most `size` held-out sequences."""
        ...


def model_arguments(
    variant: str,
    frame_size: int,
    output: str,
    settings: EncoderDecoderSettings,
    *,
    subtract_mean: bool = False,
) -> dict[str, Any]:
    """Return the arguments of EncoderDecoder, except the generator, from the settings."""
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
    """Train an encoder-decoder and load the weights of its best validation.

    The training loss is the mean per value of a frame, with equal weights for both decoders, so
    that the gradient norm, and thus `max_grad_norm`, does not depend on the size of a frame. Curves
    and messages are in the paper's units: summed over the values of a frame (standardised ones for
    percepts), averaged over frames and sequences. With several processes (`distributed`) each
    trains on its part of every batch.

    Args:
        arguments: Arguments of EncoderDecoder, see `model_arguments`.
        sequences: Sequences of input_frames + future_frames frames, on the device.
        settings: Settings of the model and its training.
        standardize: Standardisation of the frames; None: frames are not standardised.
        seed: Random seed for weight initialisation and scheduled sampling.
        device: Device to train on.
        checkpoint: File to resume from, see `loop.train`.
        tensorboard: Folder for TensorBoard logs.

    Returns:
        The model, and the curves of `loop.train`, with these over `validation_step`: `validation`,
        the sum of `reconstruction` and `future`, and `criterion`, the geometric mean of the
        sequences' validation errors, which decides on early stopping and is not dominated by
        sequences with very large errors.
    """
    model = EncoderDecoder(**arguments, generator=torch.Generator().manual_seed(seed)).to(device)
    training_model = distributed.wrap_ddp(model)
    batch_size = settings.training.batch_size
    local_slice = distributed.local_slice(batch_size)
    validation_batches = sequences.validation(batch_size)
    standardize = standardize and standardize.to(device)

    def normalise(frames: Tensor) -> Tensor:
        return standardize(frames, input_frames=settings.input_frames) if standardize else frames

    if settings.output_bias == "mean_frame":
        mean_frame = torch.zeros((), device=device)
        for step in range(_OUTPUT_BIAS_BATCHES):
            mean_frame = mean_frame + normalise(sequences.batch(step, batch_size)).mean((0, 1))
        model.set_output_bias(mean_frame / _OUTPUT_BIAS_BATCHES)

    def compute_losses(frames: Tensor, sampling_mask: Tensor | None = None) -> Losses:
        frames = normalise(frames)
        inputs, future = frames[: settings.input_frames], frames[settings.input_frames :]
        prediction = (training_model if model.training else model)(
            inputs, future, sampling_mask=sampling_mask
        )
        return model.sequence_losses(prediction, inputs, future)

    def get_inputs(step: int) -> tuple[Tensor, ...]:
        frames = sequences.batch(step, batch_size)[:, local_slice]
        if not settings.scheduled_sampling:
            return (frames,)
        return frames, scheduled_sampling_mask(settings, seed, step, device)[:, local_slice]

    def compute_loss(*step_inputs: Tensor) -> Tensor:
        return compute_losses(*step_inputs).total.mean() / sequences.frame_size

    def validate() -> dict[str, float]:
        losses = [compute_losses(frames) for frames in validation_batches]
        total = torch.cat([batch.total for batch in losses])
        branches = {
            name: float(torch.cat([getattr(batch, name) for batch in losses]).mean())
            for name in ("reconstruction", "future")
            if getattr(losses[0], name) is not None
        }
        criterion = float(total.clamp_min(_MIN_ERROR).log().mean().exp())
        return {"criterion": criterion, "validation": sum(branches.values())} | branches

    curves = train(
        model,
        compute_loss,
        settings.training,
        inputs=get_inputs,
        validate=validate if validation_batches else None,
        keep_best=bool(validation_batches),
        checkpoint=checkpoint,
        flops_per_unit=flops_per_sequence(model),
        loss_scale=sequences.frame_size,
        lr_scales=dict.fromkeys(model.input_weight_names(), settings.input_lr_scale)
        | dict.fromkeys(model.feedback_weight_names(), settings.feedback_lr_scale)
        | dict.fromkeys(model.output_weight_names(), settings.output_lr_scale),
        tensorboard=tensorboard,
    )
    return model, curves


def scheduled_sampling_mask(
    settings: EncoderDecoderSettings, seed: int, step: int, device: torch.device
) -> Tensor:
    """Draw which inputs of conditional decoders are their own outputs (scheduled sampling).

    The mask depends on seed and step only, so that a resumed training draws the same one.

    Returns:
        (max(T, F) - 1, batch_size) bool, see `EncoderDecoder.forward`.
    """
    warmup = settings.scheduled_sampling_warmup * (settings.training.steps - 1)
    probability = settings.scheduled_sampling * (min(step / warmup, 1.0) if warmup else 1.0)
    step_seed = np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0]
    generator = torch.Generator(device).manual_seed(int(step_seed))
    shape = (max(settings.input_frames, settings.future_frames) - 1, settings.training.batch_size)
    return torch.rand(shape, generator=generator, device=device) < probability


def flops_per_sequence(model: EncoderDecoder) -> int:
    """Count the floating-point operations in the matrix products of a training step per sequence.

    The gradient of a product's weights costs as much as the product, and so does that of its input,
    which frames and the encoder's initial state do not need. Assumes teacher forcing.
    """
    input_frames, future_frames = model.input_frames, model.future_frames
    total = _stack_flops(model.encoder, input_frames, input_frames)
    total -= sum(2 * layer.weight_h.numel() * _positions(layer) for layer in model.encoder.layers)
    for decoder, steps in ((model.reconstructor, input_frames), (model.predictor, future_frames)):
        if decoder is not None:
            num_inputs = steps - 1 if decoder.conditional else 0
            total += _stack_flops(decoder.stack, steps - decoder.readout_first, num_inputs)
            positions = _positions(decoder.stack.layers[0])
            total += 6 * decoder.readout.weight.numel() * positions * steps
    return total


def _stack_flops(stack: LSTMStack, steps: int, num_inputs: int) -> int:
    total = 0
    for level, layer in enumerate(stack.layers):
        positions = _positions(layer)
        total += 6 * layer.weight_h.numel() * positions * steps
        if layer.weight_x is not None:
            total += layer.weight_x.numel() * positions * (6 * steps if level else 4 * num_inputs)
    return total


def _positions(layer: nn.Module) -> int:
    """Return how often a step uses each weight: once, or at every position of ConvLSTM maps."""
    return layer.peepholes[0, 0].numel()
