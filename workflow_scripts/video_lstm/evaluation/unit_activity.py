"""What the units of a future predictor do while it runs far ahead (paper, section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_lstm.models.encoder_decoder import EncoderDecoder, activate
from video_lstm.models.lstm import PeepholeLSTM

TRACES = ("input gate", "forget gate", "output gate", "cell", "output")


@torch.inference_mode()
def run_ahead(
    model: EncoderDecoder, inputs: Tensor, steps: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Predict further than a model was trained to, and watch its predictor's top layer.

    Args:
        model: one that predicts, of LSTMs; put into evaluation mode, so that a conditional decoder
            is fed its own output.
        inputs: (T, B, D).
        steps: how many frames.

    Returns:
        The frames (steps, B, D), activated; and by the names of TRACES what the units do at every
        step, (steps, B, H).

    Raises:
        ValueError: the model predicts nothing, or is made of ConvLSTMs.
    """
    if model.predictor is None or model.patch_size:
        raise ValueError("expected a future predictor made of LSTMs")
    layer = model.predictor.stack.layers[-1]
    calls: list[dict[str, Tensor]] = []

    def watch(layer: nn.Module, positional: tuple, options: dict, outputs: object) -> None:
        calls.append(_traces(layer, *positional, **options))

    handle = layer.register_forward_hook(watch, with_kwargs=True)
    try:
        prediction = model.eval()(inputs, future_frames=steps)
    finally:
        handle.remove()
    traces = {name: torch.cat([call[name] for call in calls]) for name in TRACES}
    return activate(prediction.future, model.output), traces


def _traces(
    layer: PeepholeLSTM, x: Tensor | None, state: tuple[Tensor, Tensor], *, steps: int
) -> dict[str, Tensor]:
    """Repeats the steps of a layer's call one by one; gates from the equations of section 2.1."""
    p_i, p_f, p_o = layer.peepholes
    silent = steps - (0 if x is None else len(x))
    traces: dict[str, list[Tensor]] = {name: [] for name in TRACES}
    for step in range(steps):
        h, c = state
        fed = x[step - silent : step - silent + 1] if step >= silent else None
        gates = F.linear(h, layer.weight_h, layer.bias)
        if fed is not None:
            gates = gates + F.linear(fed[0], layer.weight_x)
        _, state = layer.forward(fed, state, steps=1)
        i, f, _, o = gates.chunk(4, 1)
        gates = (i + p_i * c, f + p_f * c, o + p_o * state[1])
        values = (*map(torch.sigmoid, gates), state[1], state[0])
        for name, value in zip(TRACES, values, strict=True):
            traces[name].append(value)
    return {name: torch.stack(values) for name, values in traces.items()}
