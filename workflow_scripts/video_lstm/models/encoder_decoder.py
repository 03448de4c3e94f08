"""LSTM encoder-decoders: autoencoders, future predictors and composites (paper, section 2)."""

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
    """Which decoders a model has, and which of them are conditional (paper, section 2.4)."""

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
    """Outputs of the decoders, before the activation.

    Attributes:
        reconstruction: (T, B, D) in REVERSED order, last input frame first; None without decoder.
        future: (F, B, D) in order; None without decoder.
    """

    reconstruction: Tensor | None
    future: Tensor | None


@dataclass(frozen=True)
class Losses:
    """Losses of the two decoders, summed over the values of a frame and averaged over frames.

    In nats per frame for logits, squared error per frame for linear outputs; None without decoder.
    """

    reconstruction: Tensor | None
    future: Tensor | None

    @property
    def total(self) -> Tensor:
        """Training loss: the sum of both decoders' losses, with equal weights."""
        losses = [loss for loss in (self.reconstruction, self.future) if loss is not None]
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]


def activate(raw: Tensor, output: Output) -> Tensor:
    """Apply the output's activation: the sigmoid to logits, the identity to linear outputs."""
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
    """LSTM that decodes a sequence of frames from an initial state (paper, section 2.2).

    A conditional decoder receives the previous frame from the second step on (paper, section 2.4);
    otherwise no step has input.

    Args:
        stack: LSTM layers; with input weights if the decoder is conditional.
        readout: Layer from the top layer's h to a frame.
        output: See EncoderDecoder.
        readout_first: See EncoderDecoder.
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
        """Decode a sequence.

        With a `sampling_mask` the decoder's inputs are computed first, without gradients, so that
        none flow through them, and all steps run in one pass.

        Args:
            state: Initial (h, c) of every layer, from the encoder.
            steps: T, number of frames to decode.
            target: (>= T - 1, B, D), true frames, the inputs of a conditional decoder (teacher
                forcing); None: its own activated outputs are its inputs.
            sampling_mask: (>= T - 1, B) bool, true where a conditional decoder receives its own
                output of that step in place of the target (scheduled sampling, Bengio et al. 2015);
                None: nowhere.

        Returns:
            (T, B, D), before the activation.
        """
        recurrent_steps = steps - self.readout_first
        if not recurrent_steps or (self.conditional and target is None):
            return self._decode_stepwise(state, steps)
        inputs = None
        if self.conditional and steps > 1:
            assert target is not None
            inputs = target[: steps - 1]
            if sampling_mask is not None:
                with torch.no_grad():
                    raw = self._decode_stepwise(state, steps - 1, inputs, sampling_mask)
                    outputs = activate(raw, self.output)
                inputs = _mix_decoder_inputs(outputs, inputs, sampling_mask[: steps - 1])
        hidden, _ = self.stack(inputs, state, steps=recurrent_steps)
        if self.readout_first:
            hidden = torch.cat([state[-1][0].unsqueeze(0), hidden])
        return self.readout(hidden)

    def _decode_stepwise(
        self,
        state: State,
        steps: int,
        target: Tensor | None = None,
        sampling_mask: Tensor | None = None,
    ) -> Tensor:
        """Decode one step at a time, each from the activated output before; see `forward`."""
        raw = [self.readout(state[-1][0])] if self.readout_first else []
        while len(raw) < steps:
            inputs = None
            if raw and self.conditional:
                inputs = activate(raw[-1], self.output)
                if sampling_mask is not None:
                    assert target is not None
                    previous = len(raw) - 1
                    inputs = _mix_decoder_inputs(inputs, target[previous], sampling_mask[previous])
                inputs = inputs.unsqueeze(0)
            hidden, state = self.stack(inputs, state, steps=1)
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
    """LSTM encoder whose final state is the initial state of one or two LSTM decoders.

    Every decoder layer starts from h and c of the encoder layer at the same level; gradients of
    both decoders flow into both (paper, sections 2.2 to 2.5).

    Args:
        variant: Name in VARIANTS, or a Variant.
        frame_size: D, number of values of a frame.
        hidden_size: H, number of LSTM units per layer, or of channels of a ConvLSTM.
        num_layers: Number of layers of the encoder and of each decoder.
        input_frames: T, number of frames that are read and reconstructed.
        future_frames: F, number of frames that are predicted.
        output: "logits" for frames in [0, 1] with binary cross-entropy, "linear" for other frames
            with squared error.
        readout_first: Whether the first output is read from the copied state, as in the authors'
            first code, and not after one recurrent step.
        forget_bias: Initial bias of the forget gates.
        subtract_mean: Whether to subtract the mean over all values of the input frames from every
            sequence and add it to the outputs (Kim et al. 2022, without their scale), so that the
            model need not learn brightness; for linear outputs.
        patch_size: Side of a patch in pixels; makes the layers ConvLSTMs on maps with one channel
            per pixel of a patch, see `frames_to_maps`. None: LSTMs.
        kernel_size: Side of a ConvLSTM's kernels, odd.
        backend: LSTM implementation, see PeepholeLSTM.
        generator: Random generator for the weights, in the order encoder, reconstruction, future.

    Raises:
        ValueError: The variant is unknown, the mean would be subtracted from logits, or a frame is
            not a square of whole patches.
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
            raise ValueError("subtract_mean needs output 'linear', found 'logits'")
        self.variant, self.output = variant, output
        self.subtract_mean, self.patch_size = subtract_mean, patch_size
        self.input_frames, self.future_frames = input_frames, future_frames
        if patch_size is None:
            channels = frame_size
            readout: Callable[..., nn.Module] = Linear
            cell: Callable[..., nn.Module] = partial(PeepholeLSTM, backend=backend)
        else:
            channels, self.side = patch_size**2, math.isqrt(frame_size)
            if self.side**2 != frame_size or self.side % patch_size:
                raise ValueError(
                    f"expected square frames of whole patches of {patch_size} x {patch_size} "
                    f"pixels, found frames of {frame_size} values"
                )
            size = (self.side // patch_size,) * 2
            readout = MapReadout
            cell = partial(PeepholeConvLSTM, size=size, kernel_size=kernel_size)

        def make_stack(input_size: int | None) -> LSTMStack:
            return LSTMStack(
                input_size,
                hidden_size,
                num_layers,
                forget_bias=forget_bias,
                cell=cell,
                generator=generator,
            )

        def make_decoder(conditional: bool) -> Decoder:
            return Decoder(
                make_stack(channels if conditional else None),
                readout(hidden_size, channels, generator=generator),
                output=output,
                readout_first=readout_first,
            )

        self.encoder = make_stack(channels)
        self.reconstructor = (
            make_decoder(variant.conditional_reconstruction) if variant.reconstructs else None
        )
        self.predictor = make_decoder(variant.conditional_future) if variant.predicts else None

    def forward(
        self,
        inputs: Tensor,
        future: Tensor | None = None,
        *,
        sampling_mask: Tensor | None = None,
        future_frames: int | None = None,
    ) -> Prediction:
        """Encode the input frames, then reconstruct them and predict the future.

        In training mode a conditional decoder receives the true previous frame (teacher forcing),
        or its own activated output where `sampling_mask` is true. In evaluation mode it always
        receives its own activated output, and `future` is ignored. On a GPU two decoders run
        concurrently.

        Args:
            inputs: (T, B, D) float32.
            future: (F, B, D) float32; required in training if the future decoder is conditional.
            sampling_mask: (max(T, F) - 1, B) bool, true where a conditional decoder receives its
                own output of that step in training (scheduled sampling); None: nowhere.
            future_frames: Number of frames to predict; default F of the model.

        Returns:
            Outputs of the decoders before the activation.

        Raises:
            ValueError: There are not T input frames, or the true future is missing.
        """
        if len(inputs) != self.input_frames:
            raise ValueError(f"expected {self.input_frames} input frames, found {len(inputs)}")
        mean = self._mean(inputs)
        inputs = self._to_layer_input(inputs, mean)
        future = None if future is None else self._to_layer_input(future, mean)
        _, state = self.encoder(inputs)
        steps = self.future_frames if future_frames is None else future_frames
        reconstruction = predicted = None
        is_concurrent = self.reconstructor is not None and self.predictor is not None
        with _run_on_side_stream(inputs, is_concurrent) as side_stream:
            if self.reconstructor is not None:
                needs_target = self.training and self.reconstructor.conditional
                target = inputs.flip(0) if needs_target else None
                reconstruction = self.reconstructor(state, len(inputs), target, sampling_mask)
        if self.predictor is not None:
            target = future if self.training and self.predictor.conditional else None
            if target is None and self.training and self.predictor.conditional:
                raise ValueError("training a conditional future decoder needs the true future")
            predicted = self.predictor(state, steps, target, sampling_mask)
        if side_stream is not None:
            assert reconstruction is not None
            torch.cuda.current_stream(inputs.device).wait_stream(side_stream)
            reconstruction.record_stream(torch.cuda.current_stream(inputs.device))
        return Prediction(
            *(self._from_layer_output(raw, mean) for raw in (reconstruction, predicted))
        )

    def encode(self, inputs: Tensor) -> State:
        """Return the representation of sequences: the encoder's state after the last frame.

        Args:
            inputs: (T, B, D) float32 of any length T, prepared as in training.

        Returns:
            Hidden and cell state of every layer, lowest layer first, each (B, H); (B, H, height,
            width) of a ConvLSTM.
        """
        return self.encoder(self._to_layer_input(inputs, self._mean(inputs)))[1]

    def _mean(self, inputs: Tensor) -> Tensor | None:
        """Return the mean of every sequence (1, B, 1) if it is to be subtracted."""
        return inputs.mean((0, 2), keepdim=True) if self.subtract_mean else None

    def _to_layer_input(self, frames: Tensor, mean: Tensor | None) -> Tensor:
        """Convert frames to the input of the LSTM or ConvLSTM layers."""
        if mean is not None:
            frames = frames - mean
        return frames_to_maps(frames, self.side, self.patch_size) if self.patch_size else frames

    def _from_layer_output(self, outputs: Tensor | None, mean: Tensor | None) -> Tensor | None:
        """Convert outputs of the layers to frames; inverts `_to_layer_input`."""
        if outputs is None:
            return None
        frames = maps_to_frames(outputs, self.patch_size) if self.patch_size else outputs
        return frames if mean is None else frames + mean

    @torch.no_grad()
    def set_output_bias(self, frame: Tensor) -> None:
        """Set the output biases so that a model with h = 0 outputs a given frame.

        On black frames with few white pixels an untrained model first spends its time on learning
        that pixels are black; a model that starts there learns motion from the first step.

        Args:
            frame: (D,) float32, such as the mean training frame. A ConvLSTM has one bias per
                channel, which becomes the mean over the positions of the map.
        """
        if self.subtract_mean:
            frame = frame - frame.mean()
        if self.patch_size:
            frame = self._to_layer_input(frame.view(1, 1, -1), None).mean((0, 1, 3, 4))
        if self.output == "logits":
            frame = torch.logit(frame, eps=1e-3)  # keep gradients of always-black pixels above 0
        for decoder in (self.reconstructor, self.predictor):
            if decoder is not None:
                decoder.readout.bias.copy_(frame)

    def input_weight_names(self) -> list[str]:
        """Return the names of the encoder's parameters that read the frames."""
        return ["encoder.layers.0.weight_x"]

    def feedback_weight_names(self) -> list[str]:
        """Return the names of the conditional decoders' parameters that read the previous frame."""
        return [
            f"{name}.stack.layers.0.weight_x"
            for name in ("reconstructor", "predictor")
            if (decoder := getattr(self, name)) is not None and decoder.conditional
        ]

    def output_weight_names(self) -> list[str]:
        """Return the names of the weights and biases of the decoders' output layers."""
        return [name for name, _ in self.named_parameters() if ".readout." in name]

    def sequence_losses(
        self, prediction: Prediction, inputs: Tensor, future: Tensor | None
    ) -> Losses:
        """Return the losses of every sequence, tensors (B,).

        Args:
            prediction: Output of `forward` for these inputs.
            inputs: (T, B, D), in temporal order.
            future: (F, B, D); required if the model predicts the future.
        """
        reconstruction = predicted = None
        if prediction.reconstruction is not None:
            target = inputs.flip(0)
            reconstruction = frame_errors(prediction.reconstruction, target, self.output).mean(0)
        if prediction.future is not None:
            assert future is not None
            predicted = frame_errors(prediction.future, future, self.output).mean(0)
        return Losses(reconstruction, predicted)

    def loss(self, prediction: Prediction, inputs: Tensor, future: Tensor | None) -> Losses:
        """Return the losses averaged over sequences, scalars; arguments as in `sequence_losses`."""
        losses = self.sequence_losses(prediction, inputs, future)
        branches = (losses.reconstruction, losses.future)
        return Losses(*(None if branch is None else branch.mean() for branch in branches))


@contextlib.contextmanager
def _run_on_side_stream(x: Tensor, is_concurrent: bool) -> Iterator[torch.cuda.Stream | None]:
    """Run a block on a second CUDA stream, concurrently with the code after it.

    One decoder alone leaves much of a GPU idle. Code that reads results of the block must wait for
    the stream. Autograd runs the backward pass of each decoder on the stream of its forward pass.

    Args:
        x: Tensor on the device.
        is_concurrent: Whether to use a second stream, if the device is a GPU.

    Yields:
        The second stream; None if the block runs on the current one.
    """
    if not (x.is_cuda and is_concurrent):
        yield None
        return
    side_stream = _get_side_stream(x.device)
    side_stream.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(side_stream):
        yield side_stream


@functools.cache
def _get_side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the same stream at every call: the allocator caches memory separately per stream."""
    return torch.cuda.Stream(device)
