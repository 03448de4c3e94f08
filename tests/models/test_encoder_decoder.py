"""Tests of the six encoder-decoders: frame order, decoder inputs, gradients, losses, learning."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from video_lstm.models.encoder_decoder import (
    VARIANTS,
    EncoderDecoder,
    Prediction,
    activate,
    frame_errors,
)

T, F, B, D, H = 4, 3, 2, 5, 6

pytestmark = pytest.mark.usefixtures("one_thread")


def model(variant: str, output: str = "logits", readout_first: bool = False) -> EncoderDecoder:
    """Return a two-layer model in float64 whose parameters are all different from 0."""
    generator = torch.Generator().manual_seed(0)
    built = EncoderDecoder(
        variant, D, H, 2, T, F, output=output, readout_first=readout_first, generator=generator
    )
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "bias" in name or "peepholes" in name:
                parameter.uniform_(-0.5, 0.5, generator=generator)
    return built.double()


def frames() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.rand(T + F, B, D, generator=generator, dtype=torch.float64)
    return drawn[:T], drawn[T:]


def test_variants_have_the_decoders_of_the_paper() -> None:
    inputs, future = frames()
    models = {}
    for name in VARIANTS:
        built = model(name)
        prediction = built(inputs, future)
        conditional = [d and d.conditional for d in (built.reconstructor, built.predictor)]
        outputs = (prediction.reconstruction, prediction.future)
        models[name] = (*(output is not None for output in outputs), *conditional)
        for raw, steps in ((prediction.reconstruction, T), (prediction.future, F)):
            assert raw is None or raw.shape == (steps, B, D)
    assert models == {
        "autoencoder": (True, False, False, None),
        "conditional_autoencoder": (True, False, True, None),
        "future_predictor": (False, True, None, False),
        "conditional_future_predictor": (False, True, None, True),
        "composite": (True, True, False, False),
        "composite_conditional_future": (True, True, False, True),
    }
    with pytest.raises(ValueError, match="composite"):
        model("composit")
    with pytest.raises(ValueError, match="expected 4 input frames, found 3"):
        model("composite")(inputs[1:])


@pytest.mark.parametrize("options", [{}, {"subtract_mean": True}, {"patch_size": 2}])
def test_representation_is_the_state_from_which_the_decoders_start(options: dict) -> None:
    model = EncoderDecoder("composite", 16, 5, 2, 4, 3, output="linear", **options).eval()
    frames, states = torch.rand(4, 3, 16), []
    model.predictor.register_forward_pre_hook(lambda _, arguments: states.append(arguments[0]))
    model(frames)
    for layer, expected in zip(model.encode(frames), states[0], strict=True):
        assert all(map(torch.equal, layer, expected))


def test_unconditional_decoder_has_no_input_weights() -> None:
    names = {name for name, _ in model("composite_conditional_future").named_parameters()}
    assert "predictor.stack.layers.0.weight_x" in names
    assert "reconstructor.stack.layers.0.weight_x" not in names


@pytest.mark.parametrize("readout_first", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_decoders_equal_single_steps_of_their_layers(training: bool, readout_first: bool) -> None:
    built = model("composite_conditional_future", readout_first=readout_first).train(training)
    inputs, future = frames()
    prediction = built(inputs, future)
    _, state = built.encoder(inputs)

    def unroll(decoder: torch.nn.Module, truth: Tensor | None, steps: int) -> Tensor:
        (h1, c1), (h2, c2) = state
        lower, upper = decoder.stack.layers
        raw: list[Tensor] = []
        for t in range(steps):
            if t or not readout_first:
                x = None
                if t and decoder.conditional:
                    x = (torch.sigmoid(raw[-1]) if truth is None else truth[t - 1]).unsqueeze(0)
                _, (h1, c1) = lower(x, (h1, c1), steps=1)
                _, (h2, c2) = upper(h1.unsqueeze(0), (h2, c2))
            raw.append(h2 @ decoder.readout.weight.T + decoder.readout.bias)
        return torch.stack(raw)

    for decoder, truth, actual in (
        (built.reconstructor, None, prediction.reconstruction),
        (built.predictor, future if training else None, prediction.future),
    ):
        expected = unroll(decoder, truth, len(actual))
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", [n for n, v in VARIANTS.items() if v.conditional_future])
def test_evaluation_ignores_the_true_future(variant: str) -> None:
    built = model(variant)
    inputs, future = frames()
    first, second = (built(inputs, f).future for f in (future, 1 - future))
    assert not torch.equal(first[1:], second[1:]), "teacher forcing uses the target in training"
    assert torch.equal(first[0], second[0]), "but not at the first step"
    built.eval()
    runs = [built(inputs, f).future for f in (future, 1 - future, None)]
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0], runs[2])


def test_feedback_weights_are_those_that_only_conditional_variants_have() -> None:
    for name, variant in VARIANTS.items():
        plain = replace(variant, conditional_reconstruction=False, conditional_future=False)
        both = (dict(model(v).named_parameters()).keys() for v in (name, plain))
        assert set(model(name).feedback_weight_names()) == set.difference(*map(set, both))


def test_conditional_autoencoder_reads_its_own_outputs_in_evaluation() -> None:
    built = model("conditional_autoencoder").eval()
    inputs, _ = frames()
    _, state = built.encoder(inputs)
    outputs = built.reconstructor(state, T)
    assert torch.equal(built(inputs).reconstruction, outputs)
    # Teacher forcing with the decoder's activated outputs as target gives the same outputs.
    forced = built.reconstructor(state, T, activate(outputs, "logits"))
    torch.testing.assert_close(forced, outputs, rtol=0, atol=1e-12)


def test_longer_prediction_begins_with_the_shorter_one() -> None:
    built = model("composite_conditional_future").eval()
    inputs, _ = frames()
    longer = built(inputs, future_frames=9).future
    assert len(longer) == 9
    torch.testing.assert_close(longer[:F], built(inputs).future, rtol=0, atol=1e-12)


def test_scheduled_sampling_mixes_targets_and_outputs() -> None:
    built = model("conditional_future_predictor")
    inputs, future = frames()

    forced, free_running = built(inputs, future).future, built.eval()(inputs).future
    built.train()
    for value, expected in ((True, free_running), (False, forced)):
        actual = built(inputs, future, sampling_mask=torch.full((F - 1, B), value)).future
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    # The first sequence receives its second output, which affects the third frame and those after.
    sampling_mask = torch.zeros(F - 1, B, dtype=torch.bool)
    sampling_mask[1, 0] = True
    mixed = built(inputs, future, sampling_mask=sampling_mask).future
    torch.testing.assert_close(mixed[:, 1:], forced[:, 1:], rtol=0, atol=1e-12)
    torch.testing.assert_close(mixed[:2], forced[:2], rtol=0, atol=1e-12)
    assert (mixed[2:, 0] - forced[2:, 0]).abs().amax(1).min() > 1e-6
    # No gradient flows through outputs that are used as inputs.
    mask = sampling_mask.unsqueeze(2)
    decoder_inputs = torch.where(mask, activate(mixed, "logits")[: F - 1], future[: F - 1])
    target = torch.cat([decoder_inputs.detach(), future[F - 1 :]])
    weights = list(built.parameters())
    for actual, expected in zip(
        torch.autograd.grad(mixed.square().sum(), weights),
        torch.autograd.grad(built(inputs, target).future.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="future"):
        built(inputs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_reconstruction_is_reversed_and_future_is_not(variant: str) -> None:
    built = model(variant, output="linear")
    inputs, future = frames()
    spec = VARIANTS[variant]
    reversed_inputs = torch.stack([inputs[3], inputs[2], inputs[1], inputs[0]])
    right = Prediction(
        reversed_inputs if spec.reconstructs else None, future if spec.predicts else None
    )
    assert built.loss(right, inputs, future).total == 0
    wrong = Prediction(
        inputs if spec.reconstructs else None, future.flip(0) if spec.predicts else None
    )
    losses = built.loss(wrong, inputs, future)
    assert all(part is None or part > 0.1 for part in (losses.reconstruction, losses.future))


def test_losses_are_per_frame_and_have_equal_weights() -> None:
    inputs, future = frames()
    target = (future > 0.5).double()
    raw = torch.randn(F, B, D, generator=torch.Generator().manual_seed(5)).double()
    nats = squares = 0.0
    for t in range(F):
        for b in range(B):
            for d in range(D):
                p, y = 1 / (1 + math.exp(-raw[t, b, d])), float(target[t, b, d])
                nats -= (y * math.log(p) + (1 - y) * math.log(1 - p)) / (F * B)
                squares += (float(raw[t, b, d]) - y) ** 2 / (F * B)
    assert frame_errors(raw, target, "logits").shape == (F, B)
    for output, expected in (("logits", nats), ("linear", squares)):
        built = model("composite", output=output)
        losses = built.loss(Prediction(torch.zeros(T, B, D).double(), raw), inputs, target)
        assert float(losses.future) == pytest.approx(expected, rel=1e-12)
        assert float(losses.total) == float(losses.reconstruction + losses.future)


@pytest.mark.parametrize("branch", ["reconstruction", "future"])
@pytest.mark.parametrize("readout_first", [False, True])
def test_gradients_of_both_decoders_reach_the_state(branch: str, readout_first: bool) -> None:
    """Compare with finite differences of each decoder's loss in the state of every layer."""
    built = model("composite_conditional_future", readout_first=readout_first)
    inputs, future = frames()
    with torch.no_grad():
        _, state = built.encoder(inputs)
    flat = [part for pair in state for part in pair]

    def loss(parts: list[Tensor]) -> Tensor:
        decoder = built.reconstructor if branch == "reconstruction" else built.predictor
        target = inputs.flip(0) if branch == "reconstruction" else future
        truth = future if decoder.conditional else None
        start = [(parts[0], parts[1]), (parts[2], parts[3])]
        return frame_errors(decoder(start, len(target), truth), target, "logits").mean()

    leaves = [part.clone().requires_grad_() for part in flat]
    grads = torch.autograd.grad(loss(leaves), leaves)
    for number, grad in enumerate(grads):
        assert grad.abs().max() > 1e-4, f"layer {number // 2}, {'hc'[number % 2]}"
        for unit in range(H):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [part.clone() for part in flat]
                moved[number][0, unit] += step
                ends.append(float(loss(moved).detach()))
            assert float(grad[0, unit]) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_of_the_total_loss_reach_the_encoder(variant: str) -> None:
    """Compare with finite differences of the training loss in the encoder's weights."""
    built = model(variant)
    inputs, future = frames()

    def total() -> Tensor:
        return built.loss(built(inputs, future), inputs, future).total

    total().backward()
    for name in ("weight_x", "weight_h", "bias", "peepholes"):
        parameter = getattr(built.encoder.layers[0], name)
        index = (1,) * parameter.ndim
        ends = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                parameter[index] += step
                ends.append(float(total().detach()))
        assert float(parameter.grad[index]) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("variant", VARIANTS)
def test_small_model_overfits_a_small_set(variant: str) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(T + F, 3, D, generator=generator)
    inputs, future = drawn[:T], drawn[T:]
    built = EncoderDecoder(variant, D, 24, 1, T, F, output="linear", generator=generator)
    optimizer = torch.optim.Adam(built.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for step in range(400):
        optimizer.zero_grad()
        # At the end a conditional decoder receives only its outputs, as in evaluation.
        sampling_mask = torch.rand(max(T, F) - 1, 3, generator=generator) < step / 150
        prediction = built(inputs, future, sampling_mask=sampling_mask)
        built.loss(prediction, inputs, future).total.backward()
        optimizer.step()
        schedule.step()
    built.eval()
    losses = built.loss(built(inputs), inputs, future)
    for part, target in ((losses.reconstruction, inputs), (losses.future, future)):
        if part is not None:
            variance = (target - target.mean()).square().sum(2).mean()
            assert part < 0.01 * variance, (float(part), float(variance))


@pytest.mark.parametrize("patch_size", [None, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_subtract_mean_makes_outputs_follow_the_brightness(
    variant: str, patch_size: int | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    model = EncoderDecoder(
        *(variant, 16, 3, 1, 3, 2), output="linear", subtract_mean=True, patch_size=patch_size,
        generator=generator,
    ).double()  # fmt: skip
    sequences = torch.randn(5, 2, 16, generator=generator).double()
    brightness = torch.tensor([3.0, -7.0]).view(1, 2, 1)
    for training in (True, False):
        model.train(training)
        plain, brighter = (model(s[:3], s[3:]) for s in (sequences, sequences + brightness))
        for branch in ("reconstruction", "future"):
            before, after = getattr(plain, branch), getattr(brighter, branch)
            if before is not None:
                torch.testing.assert_close(after, before + brightness)
    with pytest.raises(ValueError, match="subtract_mean needs"):
        EncoderDecoder(variant, 16, 3, 1, 3, 2, output="logits", subtract_mean=True)
