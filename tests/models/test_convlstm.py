"""Tests of the ConvLSTM: equality with the LSTM on 1x1 maps, receptive field, encoder-decoders."""

import pytest
import torch
from torch import Tensor

from video_lstm.models.convlstm import PeepholeConvLSTM, frames_to_maps, maps_to_frames
from video_lstm.models.encoder_decoder import VARIANTS, EncoderDecoder
from video_lstm.models.lstm import PeepholeLSTM

pytestmark = pytest.mark.usefixtures("one_thread")


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("num_inputs", [4, 3, 0])
def test_convlstm_on_1x1_maps_equals_the_lstm(num_inputs: int) -> None:
    size = 5 if num_inputs else None
    lstm = PeepholeLSTM(size, 6, backend="reference").double()
    conv = PeepholeConvLSTM(size, 6, size=(1, 1), kernel_size=1).double()
    with torch.no_grad():
        pairs = zip(lstm.parameters(), conv.parameters(), strict=True)
        for number, (ours, theirs) in enumerate(pairs):
            ours.copy_(draw(*ours.shape, seed=number))
            theirs.copy_(ours.view(theirs.shape))
    x, h, c = draw(max(num_inputs, 1), 3, 5)[:num_inputs], draw(3, 6), draw(3, 6, seed=2)
    leaves = [leaf.requires_grad_() for leaf in (x, h, c)]
    outputs, (h_end, c_end) = lstm(x if num_inputs else None, (h, c), steps=4)
    maps = [leaf[..., None, None] for leaf in leaves]
    outputs_conv, ends = conv(maps[0] if num_inputs else None, (maps[1], maps[2]), steps=4)
    weights = draw(4, 3, 6, seed=3)
    results = []
    for layer, y, last in (
        (lstm, outputs, (h_end, c_end)),
        (conv, outputs_conv[..., 0, 0], [end[..., 0, 0] for end in ends]),
    ):
        scalar = (y * weights).sum() + last[0].sum() - last[1].square().sum()
        variables = [*(leaves if num_inputs else leaves[1:]), *layer.parameters()]
        grads = torch.autograd.grad(scalar, variables)
        results.append([y, *last, *(g.flatten() for g in grads)])
    for actual, expected in zip(*results[::-1], strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


def test_receptive_field_and_translation_equivariance() -> None:
    layer = PeepholeConvLSTM(
        2, 3, size=(7, 7), kernel_size=3, generator=torch.Generator().manual_seed(0)
    )
    layer.double()
    x = torch.zeros(2, 1, 2, 7, 7, dtype=torch.float64)
    spot = x.clone()
    spot[0, :, :, 3, 3] = 1
    base, spot_outputs = layer(x)[0], layer(spot)[0]
    changed = (spot_outputs - base).abs().sum((1, 2)) > 1e-12
    assert [int(t.sum()) for t in changed] == [3 * 3, 5 * 5], "one pixel further each step"
    shifted = layer(spot.roll((1, -1), (3, 4)))[0]
    torch.testing.assert_close(
        (shifted - base)[:1], (spot_outputs - base).roll((1, -1), (3, 4))[:1]
    )


def test_peepholes_have_a_weight_per_position() -> None:
    layer = PeepholeConvLSTM(None, 1, size=(1, 2), kernel_size=1)
    with torch.no_grad():
        layer.weight_h.zero_()
        layer.peepholes[2, 0, 0] = torch.tensor([0.0, 2.0])
    c = torch.ones(1, 1, 1, 2)
    outputs, (h, c) = layer(None, (torch.zeros_like(c), c), steps=1)
    expected = torch.sigmoid(torch.tensor([0.0, 2.0]) * c) * torch.tanh(c)
    torch.testing.assert_close(h, expected)
    assert torch.equal(outputs[0], h)


@pytest.mark.parametrize("variant", VARIANTS)
def test_encoder_decoders_with_one_patch_equal_those_of_the_lstm(variant: str) -> None:
    arguments = (variant, 9, 4, 2, 3, 2)
    lstm = EncoderDecoder(*arguments, output="logits", backend="reference").double()
    conv = EncoderDecoder(*arguments, output="logits", patch_size=3, kernel_size=1).double()
    weights = {name: draw(*value.shape) for name, value in lstm.state_dict().items()}
    lstm.load_state_dict(weights)
    shapes = conv.state_dict()
    conv.load_state_dict({name: value.view(shapes[name].shape) for name, value in weights.items()})
    frames = draw(5, 2, 9).sigmoid()
    for model in (lstm, conv):
        model.set_output_bias(frames.mean((0, 1)))
    for train in (True, False):
        predictions = [model.train(train)(frames[:3], frames[3:]) for model in (lstm, conv)]
        for branch in ("reconstruction", "future"):
            expected, actual = (getattr(prediction, branch) for prediction in predictions)
            assert (actual is None) == (expected is None)
            if actual is not None:
                torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_convlstm_encoder_decoders_learn(variant: str) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = (torch.rand(1, 2, 64, generator=generator) < 0.2).float().expand(5, 2, 64)
    model = EncoderDecoder(
        *(variant, 64, 3, 2, 3, 2),
        output="logits",
        patch_size=2,
        kernel_size=3,
        generator=generator,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        sampling_mask = torch.rand(2, 2, generator=generator) < 0.5
        prediction = model(frames[:3], frames[3:], sampling_mask=sampling_mask)
        loss = model.loss(prediction, frames[:3], frames[3:]).total
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    future = model.eval()(frames[:3]).future
    assert future is None or future.shape == (2, 2, 64)
    with pytest.raises(ValueError, match="expected square frames"):
        EncoderDecoder(variant, 60, 3, 1, 3, 2, output="logits", patch_size=2)


def test_frames_to_maps_and_back() -> None:
    frames = torch.arange(2 * 3 * 36.0).view(2, 3, 36)
    maps = frames_to_maps(frames, 6, 3)
    assert maps.shape == (2, 3, 9, 2, 2)
    # The lower right patch of the first frame, pixel by pixel along the channels.
    patch = frames[0, 0].view(6, 6)[3:, 3:]
    assert torch.equal(maps[0, 0, :, 1, 1], patch.flatten())
    assert torch.equal(maps_to_frames(maps, 3), frames)


def test_mismatched_sizes_are_rejected() -> None:
    layer = PeepholeConvLSTM(2, 3, size=(4, 4), kernel_size=3)
    for x, steps, message in (
        (torch.ones(1, 1, 2, 4, 5), None, "inputs"),
        (None, 2, "needs a state"),
        (torch.ones(3, 1, 2, 4, 4), 2, "expected at most 2 inputs, found 3"),
    ):
        with pytest.raises(ValueError, match=message):
            layer(x, steps=steps)
    with pytest.raises(ValueError, match="odd"):
        PeepholeConvLSTM(2, 3, size=(4, 4), kernel_size=4)
