"""Tests of the classifiers: steps, masks, blocks, dropout, pretrained encoders."""

import pytest
import torch
import torch.nn.functional as F

from video_lstm.models.classifier import (
    LSTMClassifier,
    SingleFrameClassifier,
    classifier_loss,
    predict_blocks,
)
from video_lstm.models.encoder_decoder import EncoderDecoder

T, B, D, H, K = 5, 3, 6, 7, 4

pytestmark = pytest.mark.usefixtures("one_thread")


def percepts() -> torch.Tensor:
    return torch.randn(T, B, D, generator=torch.Generator().manual_seed(1))


def classifier(dropout: float = 0.0) -> LSTMClassifier:
    generator = torch.Generator().manual_seed(0)
    return LSTMClassifier(D, H, 2, K, dropout=dropout, generator=generator)


def test_softmax_reads_the_top_layer_at_every_step() -> None:
    built = classifier()
    hidden, _ = built.encoder(percepts())
    expected = hidden @ built.softmax.weight.T + built.softmax.bias
    torch.testing.assert_close(built(percepts()), expected, rtol=0, atol=1e-6)


def test_lstm_classifier_is_causal() -> None:
    built, x = classifier(), percepts()
    changed = x.clone()
    changed[3:] += 1
    before, after = built(x), built(changed)
    assert torch.equal(before[:3], after[:3]) and not torch.equal(before[3], after[3])


def test_single_frame_classifier_treats_frames_independently() -> None:
    built, x = SingleFrameClassifier(D, K), percepts()
    changed = x.clone()
    changed[2] += 1
    same = (built(x) == built(changed)).flatten(1).all(1)
    assert same.tolist() == [True, True, False, True, True]


def test_padding_changes_nothing() -> None:
    """A padded and masked block has the loss, scores and gradients of the short block."""
    built = classifier()
    x, labels = percepts(), torch.tensor([2, 0, 3])
    mask = torch.ones(T, B, dtype=torch.bool)
    mask[3:] = False
    padded = x.clone()
    padded[3:] = 1e3
    results = []
    for block, block_mask in ((x[:3], None), (padded, mask)):
        built.zero_grad()
        logits = built(block)
        loss = classifier_loss(logits, labels, block_mask)
        loss.backward()
        grads = [parameter.grad.clone() for parameter in built.parameters()]
        results.append([loss.detach(), predict_blocks(logits, block_mask).detach(), *grads])
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-7)


def test_loss_and_prediction_of_ragged_blocks_by_hand() -> None:
    logits = torch.randn(T, B, K, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    labels, lengths = torch.tensor([1, 3, 0]), [5, 2, 1]
    mask = torch.arange(T).unsqueeze(1) < torch.tensor(lengths)
    errors, scores = [], []
    for b, length in enumerate(lengths):
        steps = F.softmax(logits[:length, b], dim=1)
        scores.append(steps.mean(0))
        errors += [-steps[t, labels[b]].log() for t in range(length)]
    torch.testing.assert_close(classifier_loss(logits, labels, mask), torch.stack(errors).mean())
    torch.testing.assert_close(predict_blocks(logits, mask), torch.stack(scores))
    every = torch.ones(T, B)
    unmasked, masked = (classifier_loss(logits, labels, m) for m in (None, every))
    torch.testing.assert_close(unmasked, masked)
    torch.testing.assert_close(predict_blocks(logits, every), predict_blocks(logits))


def test_dropout_is_not_applied_between_steps() -> None:
    built, x = classifier(dropout=0.5), percepts()
    assert torch.equal(built.eval()(x), classifier().eval()(x))
    built.train()
    runs = [built(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    # With everything dropped between the layers the upper one still has its recurrence.
    built.encoder.dropout = 1 - 1e-7
    with torch.no_grad():
        built.encoder.layers[1].bias.fill_(0.5)
    hidden, _ = built.encoder(x, generator=torch.Generator().manual_seed(0))
    without_input, _ = built.encoder.layers[1](torch.zeros(T, B, H))
    assert torch.equal(hidden, without_input)
    assert not torch.equal(without_input[0], without_input[1])


@pytest.mark.parametrize("variant", ["composite", "conditional_future_predictor"])
def test_pretrained_encoder_is_copied(variant: str) -> None:
    generator = torch.Generator().manual_seed(9)
    pretrained = EncoderDecoder(variant, D, H, 2, T, 3, output="linear", generator=generator)
    built = classifier()
    softmax = built.softmax.weight.clone()
    built.load_encoder(pretrained)
    assert torch.equal(built.encoder(percepts())[0], pretrained.encoder(percepts())[0])
    assert torch.equal(built.softmax.weight, softmax)
    with torch.no_grad():
        pretrained.encoder.layers[0].bias += 1
    assert not torch.equal(built.encoder.layers[0].bias, pretrained.encoder.layers[0].bias)
    with pytest.raises(RuntimeError, match="size"):
        LSTMClassifier(D + 1, H, 2, K).load_encoder(pretrained)


def test_lstm_classifier_learns_the_order_of_frames() -> None:
    """Two classes with the same frames in opposite order, which no single frame distinguishes."""
    generator = torch.Generator().manual_seed(2)
    sweep = torch.eye(D)[:T].unsqueeze(1)
    x = torch.cat([sweep, sweep.flip(0)], dim=1)
    labels = torch.tensor([0, 1])
    scores = {}
    for name, built in (
        ("lstm", LSTMClassifier(D, 8, 1, 2, generator=generator)),
        ("frame", SingleFrameClassifier(D, 2, generator=generator)),
    ):
        optimizer = torch.optim.Adam(built.parameters(), lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            classifier_loss(built(x), labels).backward()
            optimizer.step()
        scores[name] = predict_blocks(built(x))[torch.arange(2), labels].min()
    assert scores["lstm"] > 0.7 and scores["frame"] < 0.6
