"""Activity of a future predictor's units over many predicted steps (paper, section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.models.lstm import PeepholeLSTM

TRACES = ("input gate", "forget gate", "output gate", "cell", "output")
"""Names of the recorded activities of an LSTM unit."""


@torch.inference_mode()
def trace_units(
    model: EncoderDecoder, inputs: Tensor, steps: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Predict frames and record the units of the future decoder's top layer.

    Args:
        model: Model with a future decoder of LSTMs; put into evaluation mode, so that a conditional
            decoder receives its own output.
        inputs: (T, B, D) float32.
        steps: Number of frames to predict, which may exceed that of training.

    Returns:
        Predicted frames (steps, B, D), activated; and the activity of the units at every step,
        (steps, B, H), for each name in TRACES.

    Raises:
        ValueError: The model has no future decoder, or has ConvLSTM layers.
    """
    if model.predictor is None or model.patch_size:
        raise ValueError("expected a future predictor with LSTM layers")
    layer = model.predictor.stack.layers[-1]
    calls: list[dict[str, Tensor]] = []

    def record(layer: nn.Module, args: tuple, kwargs: dict, outputs: object) -> None:
        calls.append(_trace_layer(layer, *args, **kwargs))

    handle = layer.register_forward_hook(record, with_kwargs=True)
    try:
        prediction = model.eval()(inputs, future_frames=steps)
    finally:
        handle.remove()
    traces = {name: torch.cat([call[name] for call in calls]) for name in TRACES}
    return activate(prediction.future, model.output), traces


def _trace_layer(
    layer: PeepholeLSTM, x: Tensor | None, state: tuple[Tensor, Tensor], *, steps: int
) -> dict[str, Tensor]:
    """Recompute the steps of a layer's call, with the gates from the equations of section 2.1."""
    p_i, p_f, p_o = layer.peepholes
    steps_without_input = steps - (0 if x is None else len(x))
    traces: dict[str, list[Tensor]] = {name: [] for name in TRACES}
    for step in range(steps):
        h, c = state
        index = step - steps_without_input
        step_input = x[index : index + 1] if index >= 0 else None
        gates = F.linear(h, layer.weight_h, layer.bias)
        if step_input is not None:
            gates = gates + F.linear(step_input[0], layer.weight_x)
        _, state = layer.forward(step_input, state, steps=1)
        i, f, _, o = gates.chunk(4, 1)
        gates = (i + p_i * c, f + p_f * c, o + p_o * state[1])
        values = (*map(torch.sigmoid, gates), state[1], state[0])
        for name, value in zip(TRACES, values, strict=True):
            traces[name].append(value)
    return {name: torch.stack(values) for name, values in traces.items()}
