"""The LSTM encoder-decoders: autoencoders, future predictors and composites (paper, section 2)."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.convlstm import (
    MapReadout,
    PeepholeConvLSTM,
    frames_to_maps,
    maps_to_frames,
)
from video_lstm.models.lstm import Backend, LSTMStack, PeepholeLSTM, State
from video_lstm.models.matmul import Linear

Output = Literal["logits", "linear"]


@dataclass(frozen=True)
class Variant:
    """What a model makes of a sequence, and which of its decoders see the previous frame."""

    reconstructs: bool
    predicts: bool
    conditional_reconstruction: bool = False
    conditional_future: bool = False


VARIANTS: dict[str, Variant] = {
    "autoencoder": Variant(True, False),
    "conditional_autoencoder": Variant(True, False, conditional_reconstruction=True),
    "future_predictor": Variant(False, True),
    "conditional_future_predictor": Variant(False, True, conditional_future=True),
    "composite": Variant(True, True),
    "composite_conditional_future": Variant(True, True, conditional_future=True),
}
"""The paper's models by name (sections 2.2 to 2.5)."""


@dataclass(frozen=True)
class Prediction:
    """What the decoders put out, before the output's activation.

    reconstruction: (T, B, D) in REVERSED order, the last input frame first; None without one.
    future: (F, B, D) in order; None without one.
    """

    reconstruction: Tensor | None
    future: Tensor | None


@dataclass(frozen=True)
class Losses:
    """Losses summed over the values of a frame and averaged over frames.

    Nats per frame for logits, squared error per frame for linear outputs; None for what the model
    does not make.
    """

    reconstruction: Tensor | None
    future: Tensor | None

    @property
    def total(self) -> Tensor:
        """The sum that training makes smaller: both branches with the same weight."""
        return sum(loss for loss in (self.reconstruction, self.future) if loss is not None)


def activate(raw: Tensor, output: Output) -> Tensor:
    """Frames from what a decoder puts out: pixels in [0, 1] of logits; linear ones as they are."""
    return torch.sigmoid(raw) if output == "logits" else raw


def frame_errors(
    raw: Tensor, target: Tensor, output: Output, dtype: torch.dtype | None = None
) -> Tensor:
    """Return the error of every frame, summed over its values (paper, section 3.4).

    Args:
        raw: (..., D), before the activation.
        target: The same shape; in [0, 1] for logits.
        output: "logits" for the binary cross-entropy, in nats; "linear" for the squared error.
        dtype: Type of the sum; by default that of `raw`.

    Returns:
        (...) of `dtype`.
    """
    if output == "logits":
        errors = F.binary_cross_entropy_with_logits(raw, target, reduction="none")
    else:
        errors = (raw - target).square()
    return errors.sum(-1, dtype=dtype)


class Decoder(nn.Module):
    """Unrolls a sequence of frames from a state (paper, section 2.2).

    The first recurrent step receives nothing. Later ones receive nothing either, or, in a
    conditional decoder, the previous frame (paper, section 2.4).

    Args:
        stack: the layers; without input weights where nothing is fed.
        readout: from the top layer's h to a frame.
        output: see EncoderDecoder.
        readout_first: see EncoderDecoder.
    """

    def __init__(
        self, stack: LSTMStack, readout: nn.Module, *, output: Output, readout_first: bool
    ) -> None:
        super().__init__()
        self.stack, self.readout = stack, readout
        self.output, self.readout_first = output, readout_first
        self.conditional = stack.input_size is not None

    def forward(
        self,
        state: State,
        steps: int,
        target: Tensor | None = None,
        sampling_mask: Tensor | None = None,
    ) -> Tensor:
        """Unrolls.

        Args:
            state: (h, c) of every layer of the encoder.
            steps: T, how many frames to put out.
            target: (>= T - 1, B, D), the frames that a conditional decoder should put out and is
                fed; None: it is fed its sampling_mask.
            sampling_mask: (>= T - 1, B) bool, true where a conditional decoder is fed its own
                output of that step in place of the target (scheduled sampling, Bengio et al. 2015);
                None: nowhere. What is fed is made first, step by step, and is then as given as the
                target is: no gradient flows through it, and all steps are one pass.

        Returns:
            (T, B, D), before the activation.
        """
        recurrent = steps - self.readout_first
        if not recurrent or (self.conditional and target is None):
            return self._step_by_step(state, steps)
        fed = target[: steps - 1] if self.conditional and steps > 1 else None
        if fed is not None and sampling_mask is not None:
            with torch.no_grad():
                outputs = activate(
                    self._step_by_step(state, steps - 1, fed, sampling_mask), self.output
                )
            fed = _mix_decoder_inputs(outputs, fed, sampling_mask[: steps - 1])
        hidden, _ = self.stack(fed, state, steps=recurrent)
        if self.readout_first:
            hidden = torch.cat([state[-1][0].unsqueeze(0), hidden])
        return self.readout(hidden)

    def _step_by_step(
        self,
        state: State,
        steps: int,
        target: Tensor | None = None,
        sampling_mask: Tensor | None = None,
    ) -> Tensor:
        raw = [self.readout(state[-1][0])] if self.readout_first else []
        while len(raw) < steps:
            fed = None
            if raw and self.conditional:
                fed = activate(raw[-1], self.output)
                if sampling_mask is not None:
                    fed = _mix_decoder_inputs(
                        fed, target[len(raw) - 1], sampling_mask[len(raw) - 1]
                    )
                fed = fed.unsqueeze(0)
            hidden, state = self.stack(fed, state, steps=1)
            raw.append(self.readout(hidden[0]))
        return torch.stack(raw)


def _mix_decoder_inputs(outputs: Tensor, target: Tensor, sampling_mask: Tensor) -> Tensor:
    """Mix frames (..., B, D or maps): outputs where the mask (..., B) is true, else targets."""
    return torch.where(
        sampling_mask.view(*sampling_mask.shape, *[1] * (target.ndim - sampling_mask.ndim)),
        outputs,
        target,
    )


class EncoderDecoder(nn.Module):
    """An encoder LSTM whose final state starts the decoders that its variant asks for.

    Every decoder layer starts from the h and c of the encoder's layer of the same level, and the
    gradients of both decoders reach both.

    Args:
        variant: a name in VARIANTS or a Variant.
        frame_size: D, the values of a frame.
        hidden_size: H, the units of every layer, or its channels where the layers are ConvLSTMs.
        num_layers: how many, in the encoder and in each decoder.
        input_frames: T, the frames seen and reconstructed.
        future_frames: F, the frames predicted.
        output: "logits" for frames of values in [0, 1], with cross-entropy; "linear" for any
            other, with squared error.
        readout_first: whether the first frame is put out straight from the copied state, as in
            the authors' first code; by default after one recurrent step.
        forget_bias: see PeepholeLSTM.
        subtract_mean: every sequence is read, and put out, around the mean of the values that are
            seen of it (Kim et al. 2022, without their scale), so that how bright a patch is takes
            no learning; for linear outputs.
        patch_size: makes the layers ConvLSTMs, which read a square frame as maps with a channel for
            every pixel of a patch of this side; see `frames_to_maps`.
        kernel_size: side of a ConvLSTM's kernels.
        backend: see PeepholeLSTM.
        generator: draws the weights: encoder, reconstruction, future, in this order.

    Raises:
        ValueError: the variant is not known, logits cannot be centred, or a frame is no square of
            whole patches.
    """

    def __init__(
        self,
        variant: str | Variant,
        frame_size: int,
        hidden_size: int,
        num_layers: int,
        input_frames: int,
        future_frames: int,
        *,
        output: Output,
        readout_first: bool = False,
        forget_bias: float = 0.0,
        subtract_mean: bool = False,
        patch_size: int | None = None,
        kernel_size: int = 5,
        backend: Backend = "auto",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if isinstance(variant, str):
            if variant not in VARIANTS:
                raise ValueError(f"expected a variant of {', '.join(VARIANTS)}, found {variant}")
            variant = VARIANTS[variant]
        if subtract_mean and output == "logits":
            raise ValueError("only linear outputs can be centred")
        self.variant, self.output = variant, output
        self.subtract_mean, self.patch_size = subtract_mean, patch_size
        self.input_frames, self.future_frames = input_frames, future_frames
        if patch_size is None:
            channels, readout = frame_size, Linear
            cell: Callable[..., nn.Module] = partial(PeepholeLSTM, backend=backend)
        else:
            channels, self.side = patch_size**2, math.isqrt(frame_size)
            if self.side**2 != frame_size or self.side % patch_size:
                raise ValueError(f"{frame_size} values are no square of {patch_size}-pixel patches")
            size = (self.side // patch_size,) * 2
            readout, cell = (
                MapReadout,
                partial(PeepholeConvLSTM, size=size, kernel_size=kernel_size),
            )

        def stack(input_size: int | None) -> LSTMStack:
            return LSTMStack(
                input_size,
                hidden_size,
                num_layers,
                forget_bias=forget_bias,
                cell=cell,
                generator=generator,
            )

        def decoder(exists: bool, conditional: bool) -> Decoder | None:
            if not exists:
                return None
            return Decoder(
                stack(channels if conditional else None),
                readout(hidden_size, channels, generator=generator),
                output=output,
                readout_first=readout_first,
            )

        self.encoder = stack(channels)
        self.reconstructor = decoder(variant.reconstructs, variant.conditional_reconstruction)
        self.predictor = decoder(variant.predicts, variant.conditional_future)

    def forward(
        self,
        inputs: Tensor,
        future: Tensor | None = None,
        *,
        sampling_mask: Tensor | None = None,
        future_frames: int | None = None,
    ) -> Prediction:
        """Encodes and decodes.

        In training a conditional decoder is fed the true previous frame, or its own activated
        output where `sampling_mask` says so. In evaluation (`eval()`) it is fed its own activated
        output always, and `future` is not looked at. On a GPU two decoders run side by side.

        Args:
            inputs: (T, B, D).
            future: (F, B, D); needed in training where the future decoder is conditional.
            sampling_mask: (steps - 1, B) bool, which steps' own outputs are fed to a conditional
                decoder in training (scheduled sampling); None: none.
            future_frames: how many frames to predict, where not the model's sampling_mask F.

        Returns:
            The decoders' raw outputs.

        Raises:
            ValueError: there are not T inputs, or the true future is needed and missing.
        """
        if len(inputs) != self.input_frames:
            raise ValueError(f"expected {self.input_frames} input frames, found {len(inputs)}")
        mean = inputs.mean((0, 2), keepdim=True) if self.subtract_mean else None
        inputs, future = (self._to_layer_input(frames, mean) for frames in (inputs, future))
        _, state = self.encoder(inputs)
        steps = self.future_frames if future_frames is None else future_frames
        reconstruction = predicted = None
        with _on_side_stream(inputs, self.reconstructor and self.predictor) as other:
            if self.reconstructor is not None:
                needs_target = self.training and self.reconstructor.conditional
                target = inputs.flip(0) if needs_target else None
                reconstruction = self.reconstructor(state, len(inputs), target, sampling_mask)
        if self.predictor is not None:
            target = future if self.training and self.predictor.conditional else None
            if target is None and self.training and self.predictor.conditional:
                raise ValueError("training a conditional future decoder needs the true future")
            predicted = self.predictor(state, steps, target, sampling_mask)
        if other is not None:
            torch.cuda.current_stream(inputs.device).wait_stream(other)
            reconstruction.record_stream(torch.cuda.current_stream(inputs.device))
        return Prediction(
            *(self._from_layer_output(raw, mean) for raw in (reconstruction, predicted))
        )

    def _to_layer_input(self, frames: Tensor | None, mean: Tensor | None) -> Tensor | None:
        """Frames as the layers see them."""
        if frames is None:
            return None
        if mean is not None:
            frames = frames - mean
        return frames_to_maps(frames, self.side, self.patch_size) if self.patch_size else frames

    def _from_layer_output(self, outputs: Tensor | None, mean: Tensor | None) -> Tensor | None:
        """The inverse of `_to_layer_input`."""
        if outputs is None:
            return None
        frames = maps_to_frames(outputs, self.patch_size) if self.patch_size else outputs
        return frames if mean is None else frames + mean

    @torch.no_grad()
    def set_output_bias(self, frame: Tensor) -> None:
        """Set the outputs' biases to a frame: what a model puts out whose layers are silent.

        On black frames with few white pixels an untrained model is mostly busy with learning that
        pixels are black; a model that starts there learns what moves from the first step.

        Args:
            frame: (D,), such as the mean of the training frames; of a ConvLSTM's outputs, which
                have one bias for all places of a map, the mean over these.
        """
        if self.subtract_mean:
            frame = frame - frame.mean()
        if self.patch_size:
            frame = self._to_layer_input(frame.view(1, 1, -1), None).mean((0, 1, 3, 4))
        if self.output == "logits":
            frame = torch.logit(frame, eps=1e-3)  # no pixel is so surely black that it cannot learn
        for decoder in (self.reconstructor, self.predictor):
            if decoder is not None:
                decoder.readout.bias.copy_(frame)

    def input_weights(self) -> list[str]:
        """Names of the parameters by which the encoder reads the frames."""
        return ["encoder.layers.0.weight_x"]

    def feedback_weights(self) -> list[str]:
        """Names of the parameters by which conditional decoders read the previous frame."""
        return [
            f"{name}.stack.layers.0.weight_x"
            for name in ("reconstructor", "predictor")
            if (decoder := getattr(self, name)) is not None and decoder.conditional
        ]

    def sequence_losses(
        self, prediction: Prediction, inputs: Tensor, future: Tensor | None
    ) -> Losses:
        """The errors of what `forward` returned, of every sequence: Losses of tensors (B,).

        Args:
            prediction: Output of `forward` for these inputs.
            inputs: (T, B, D), in the order of time.
            future: (F, B, D); needed where the model predicts.
        """
        reconstruction = predicted = None
        if prediction.reconstruction is not None:
            target = inputs.flip(0)
            reconstruction = frame_errors(prediction.reconstruction, target, self.output).mean(0)
        if prediction.future is not None:
            predicted = frame_errors(prediction.future, future, self.output).mean(0)
        return Losses(reconstruction, predicted)

    def loss(self, prediction: Prediction, inputs: Tensor, future: Tensor | None) -> Losses:
        """The same averaged over the sequences: Losses of scalars."""
        losses = self.sequence_losses(prediction, inputs, future)
        parts = (losses.reconstruction, losses.future)
        return Losses(*(None if part is None else part.mean() for part in parts))


@contextlib.contextmanager
def _on_side_stream(x: Tensor, wanted: object) -> Iterator[torch.cuda.Stream | None]:
    """A block whose work on a GPU runs beside what follows it; yields its stream, if any.

    A step of one decoder alone leaves much of a GPU idle. Who reads what the block made waits for
    the stream first. Autograd runs each branch's gradients on the stream of its values.
    """
    if not (x.is_cuda and wanted):
        yield None
        return
    other = _side_stream(x.device)
    other.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(other):
        yield other


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all calls: memory is kept for each stream on its sampling_mask."""
    return torch.cuda.Stream(device)
