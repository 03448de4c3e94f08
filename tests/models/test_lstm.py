"""Tests of the peephole LSTM against torch.nn.LSTM, its equations and finite differences."""

import gc
import importlib.util
import os
import weakref
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from video_lstm.models import matmul
from video_lstm.models.lstm import LSTMStack, PeepholeLSTM

if not torch.cuda.is_available():  # Triton's interpreter runs the kernels on a CPU
    os.environ["TRITON_INTERPRET"] = "1"
needs_triton = pytest.mark.skipif(
    not importlib.util.find_spec("triton"), reason="Triton is not installed"
)
CUDA = pytest.param("cuda", marks=needs_triton)
FAST = ("cpu", CUDA)
BACKENDS = ("reference", *FAST)
DEVICES = {"cuda": "cuda" if torch.cuda.is_available() else "cpu"}


def random_layer(
    input_size: int | None, hidden_size: int, backend: str, dtype: torch.dtype, seed: int = 0
) -> PeepholeLSTM:
    """Return a layer whose parameters are all different from 0."""
    generator = torch.Generator().manual_seed(seed)
    layer = PeepholeLSTM(input_size, hidden_size, backend=backend, generator=generator)
    with torch.no_grad():
        for parameter in (layer.bias, layer.peepholes):
            parameter.uniform_(-1, 1, generator=generator)
    return layer.to(DEVICES.get(backend, "cpu"), dtype)


def values_and_gradients(
    layer: nn.Module, x: Tensor | None, state: list[Tensor] | None, steps: int
) -> dict[str, Tensor]:
    """Return outputs, final state, and all gradients of a randomly weighted sum of them."""
    leaves = {"x": x} | (dict(zip(("h0", "c0"), state, strict=True)) if state else {})
    leaves = {
        n: leaf.detach().to(layer.weight_h.device, copy=True).requires_grad_()
        for n, leaf in leaves.items()
        if leaf is not None
    }
    initial = (leaves["h0"], leaves["c0"]) if state else None
    outputs, (h, c) = layer(leaves.get("x"), initial, steps=steps)
    values = {"outputs": outputs, "h": h, "c": c}
    generator = torch.Generator().manual_seed(9)
    weights = [torch.randn(y.shape, generator=generator).to(y) for y in values.values()]
    sum((y * w).sum() for y, w in zip(values.values(), weights, strict=True)).backward()
    values |= {f"grad {name}": leaf.grad for name, leaf in leaves.items()}
    values |= {f"grad {n}": p.grad for n, p in layer.named_parameters() if p.grad is not None}
    return {name: tensor.detach().cpu() for name, tensor in values.items()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_step_by_hand(backend: str) -> None:
    device = DEVICES.get(backend, "cpu")
    layer = PeepholeLSTM(1, 1, backend=backend).to(device, torch.float64)
    with torch.no_grad():
        layer.weight_x.copy_(torch.tensor([[0.1], [0.2], [0.3], [0.4]]))
        layer.weight_h.copy_(torch.tensor([[0.5], [0.6], [0.7], [0.8]]))
        layer.bias.copy_(torch.tensor([0.01, 0.02, 0.03, 0.04]))
        layer.peepholes.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
    w, u, b = layer.weight_x.flatten(), layer.weight_h.flatten(), layer.bias
    x, h0, c0 = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64, device=device)
    i = torch.sigmoid(w[0] * x + u[0] * h0 + 1 * c0 + b[0])
    f = torch.sigmoid(w[1] * x + u[1] * h0 + 2 * c0 + b[1])
    z = torch.tanh(w[2] * x + u[2] * h0 + b[2])
    c = f * c0 + i * z
    o = torch.sigmoid(w[3] * x + u[3] * h0 + 3 * c + b[3])
    outputs, (h_end, c_end) = layer(x.view(1, 1, 1), (h0.view(1, 1), c0.view(1, 1)))
    torch.testing.assert_close(c_end.squeeze(), c, rtol=1e-12, atol=0)
    torch.testing.assert_close(h_end.squeeze(), o * torch.tanh(c), rtol=1e-12, atol=0)
    assert torch.equal(outputs[0], h_end)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("with_state", [False, True])
def test_zero_peepholes_equal_torch(backend: str, with_state: bool) -> None:
    generator = torch.Generator().manual_seed(7)
    lstm = nn.LSTM(5, 4, num_layers=2).double()
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    lstm.to(DEVICES.get(backend, "cpu"))
    stack = LSTMStack.from_torch(lstm, backend=backend)

    draw = torch.randn(6 * 3 * 5 + 2 * 2 * 2 * 3 * 4, generator=generator, dtype=torch.float64)
    draw = draw.to(lstm.weight_hh_l0)
    x = draw[:90].view(6, 3, 5).requires_grad_()
    h0, c0 = (s.requires_grad_() for s in draw[90:138].view(2, 2, 3, 4))
    weights = draw[:72].detach().view(6, 3, 4)
    layers = [(h0[level], c0[level]) for level in range(2)]
    ours, final = stack(x, layers if with_state else None)
    theirs, (h, c) = lstm(x, (h0, c0) if with_state else None)
    h_ours, c_ours = (torch.stack(part) for part in zip(*final, strict=True))

    parameters = [[], []]
    for layer, (weight_x, weight_h, bias, _) in zip(stack.layers, lstm.all_weights, strict=True):
        parameters[0] += [layer.weight_x, layer.weight_h, layer.bias]
        parameters[1] += [weight_x, weight_h, bias]
    inputs = [x, h0, c0] if with_state else [x]
    results = []
    for outputs, weights_of_layer in zip(
        ((ours, h_ours, c_ours), (theirs, h, c)), parameters, strict=True
    ):
        y, h_end, c_end = outputs
        scalar = (y * weights).sum() + 2 * h_end.sum() - c_end.square().sum()
        results.append([*outputs, *torch.autograd.grad(scalar, inputs + weights_of_layer)])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)

    torch.testing.assert_close(stack.to_torch()(x)[0], lstm(x)[0], rtol=0, atol=1e-12)


def test_conversion_to_torch_rejects_peepholes_and_batch_first() -> None:
    stack = LSTMStack(3, 2)
    with torch.no_grad():
        stack.layers[0].peepholes[1, 0] = 0.1
    with pytest.raises(ValueError, match="peepholes"):
        stack.to_torch()
    with pytest.raises(ValueError, match="time-major"):
        LSTMStack.from_torch(nn.LSTM(3, 2, batch_first=True))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(
    ("input_size", "num_inputs", "with_state"),
    [(96, 5, False), (96, 5, True), (96, 3, False), (96, 3, True), (96, 0, True), (None, 0, True)],
)
def test_fast_backends_equal_the_reference(
    backend: str,
    dtype: torch.dtype,
    tolerance: float,
    input_size: int | None,
    num_inputs: int,
    with_state: bool,
) -> None:
    """All, some or none of five steps have input; with and without input weights.

    Large enough that every float32 product uses the library for large products.
    """
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(num_inputs, 32, 96, generator=generator, dtype=dtype) if num_inputs else None
    state = list(torch.randn(2, 32, 128, generator=generator, dtype=dtype)) if with_state else None
    actual, expected = (
        values_and_gradients(random_layer(input_size, 128, name, dtype), x, state, 5)
        for name in (backend, "reference")
    )
    assert actual.keys() == expected.keys()
    assert ("grad x" in actual, "grad weight_x" in actual) == (bool(num_inputs),) * 2
    for name, value in expected.items():
        error = (actual[name] - value).abs().max() / value.abs().max()
        assert error <= tolerance, (name, float(error))


@pytest.mark.parametrize("num_inputs", [3, 2, 0])
def test_gradcheck(num_inputs: int) -> None:
    layer = random_layer(2 if num_inputs else None, 3, "cpu", torch.float64)
    generator = torch.Generator().manual_seed(1)
    names = [name for name, _ in layer.named_parameters()]
    x = torch.randn(num_inputs, 2, 2, generator=generator, dtype=torch.float64).requires_grad_()
    h, c = (s.requires_grad_() for s in torch.randn(2, 2, 3, generator=generator).double())

    def run(x: Tensor, h: Tensor, c: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        weights = dict(zip(names, parameters, strict=True))
        arguments = (x if num_inputs else None, (h, c)), {"steps": 3}
        outputs, state = torch.func.functional_call(layer, weights, *arguments)
        return outputs, *state

    assert torch.autograd.gradcheck(run, (x, h, c, *layer.parameters()))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("num_inputs", [4, 0])
@pytest.mark.parametrize("has_instructions", [True, False])
def test_bfloat16_rounds_factors_only(
    monkeypatch: pytest.MonkeyPatch, backend: str, num_inputs: int, has_instructions: bool
) -> None:
    """Compared with float64, for weights and inputs that bfloat16 represents exactly.

    h is rounded for each product, and on a GPU the outputs are; cell states and sums are not.
    """
    if not has_instructions:
        monkeypatch.setattr(matmul, "_ONEDNN_BFLOAT16", False)
    size, batch = (256, 32) if backend == "cpu" else (64, 8)  # a CPU rounds for large products only
    layer = random_layer(size if num_inputs else None, size, backend, torch.bfloat16).float()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(num_inputs, batch, size, generator=generator).bfloat16().float()
    x = x if num_inputs else None
    state = list(torch.randn(2, batch, size, generator=generator).bfloat16().float())
    device = layer.weight_h.device
    with torch.autocast(device.type, torch.bfloat16):
        inputs = None if x is None else x.to(device)
        outputs, (h, c) = layer(inputs, (state[0].to(device), state[1].to(device)), steps=4)
        values = values_and_gradients(layer, x, state, 4)
    dtype = torch.float32 if backend == "cpu" else torch.bfloat16
    assert (outputs.dtype, h.dtype, c.dtype) == (dtype, dtype, torch.float32)
    assert all(p.grad.dtype == torch.float32 for p in layer.parameters() if p.grad is not None)
    exact = random_layer(size if num_inputs else None, size, "reference", torch.bfloat16).double()
    x_float64 = None if x is None else x.double()
    expected = values_and_gradients(exact, x_float64, [s.double() for s in state], 4)
    for name, value in expected.items():
        error = (values[name].double() - value).norm() / value.norm()
        assert 0 < error < (0.004 if name in ("outputs", "h", "c") else 0.012), (name, float(error))


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_with_the_state_handed_over_equal_one_run(backend: str) -> None:
    generator = torch.Generator().manual_seed(2)
    device = DEVICES.get(backend, "cpu")
    stack = LSTMStack(4, 5, 2, cell=partial(PeepholeLSTM, backend=backend), generator=generator)
    stack.to(device, torch.float64)
    x = torch.randn(7, 2, 4, generator=generator, dtype=torch.float64).to(device)
    whole, final = stack(x)
    first, state = stack(x[:3])
    second, last = stack(x[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(last, final, rtol=0, atol=1e-14)


def test_second_backward_pass_gives_the_same_gradient() -> None:
    layer = random_layer(4, 5, "cpu", torch.float32)
    outputs, _ = layer(torch.ones(3, 2, 4))
    first, second = (
        torch.autograd.grad(outputs.sum(), layer.weight_h, retain_graph=True)[0] for _ in range(2)
    )
    assert torch.equal(first, second)


def test_backward_rejects_outputs_changed_in_place() -> None:
    """The outputs are saved for the backward pass, so that overwriting them is an error."""
    layer = random_layer(4, 5, "cpu", torch.float32)
    outputs, _ = layer(torch.ones(3, 2, 4))
    with torch.no_grad():
        outputs.mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        outputs.sum().backward()


def test_a_graph_is_freed_without_the_garbage_collector() -> None:
    layer = random_layer(4, 5, "cpu", torch.float32)
    gc.disable()
    try:
        outputs, state = layer(torch.ones(3, 2, 4))
        node = weakref.ref(outputs.grad_fn)
        del outputs, state
        assert node() is None
    finally:
        gc.enable()


def test_initial_weights() -> None:
    layer, same_seed_layer = (
        PeepholeLSTM(400, 100, forget_bias=5, generator=torch.Generator().manual_seed(4))
        for _ in range(2)
    )
    pairs = zip(layer.parameters(), same_seed_layer.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for weight, fan_in in ((layer.weight_x, 400), (layer.weight_h, 100)):
        bound = fan_in**-0.5
        assert 0.99 * bound < weight.abs().max() <= bound
        assert abs(float(weight.detach().std()) - bound / 3**0.5) < 0.01 * bound
    assert not layer.peepholes.any() and layer.peepholes.requires_grad
    assert layer.bias.view(4, 100).unique(dim=1).flatten().tolist() == [0, 5, 0, 0]


def test_dropout_is_between_layers_only_and_drawn_from_the_generator() -> None:
    x = torch.ones(4, 3, 6)
    one = LSTMStack(6, 5, 1, dropout=0.9, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one(x)[0], one.eval()(x)[0]), "a single layer has nothing to drop"

    two = LSTMStack(6, 5, 2, dropout=0.5, generator=torch.Generator().manual_seed(1))
    runs = [two(x, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(runs[0][0], runs[1][0]) and not torch.equal(runs[0][0], runs[2][0])
    # Dropout comes after the lower layer, whose state must not change.
    assert torch.equal(runs[0][1][0][0], runs[2][1][0][0])
    with pytest.raises(ValueError, match="generator"):
        two(x)


def test_mismatched_sizes_are_rejected() -> None:
    layer = PeepholeLSTM(4, 3)
    for x, state, steps, message in (
        (torch.ones(2, 1, 5), None, None, "inputs"),
        (torch.ones(2, 1, 4), (torch.ones(2, 3), torch.ones(2, 3)), None, "states"),
        (torch.ones(3, 1, 4), None, 2, "expected at most 2 inputs, found 3"),
        (None, None, 2, "needs a state"),
    ):
        with pytest.raises(ValueError, match=message):
            layer(x, state, steps=steps)
    with pytest.raises(ValueError, match="inputs"):
        PeepholeLSTM(None, 3)(torch.ones(2, 1, 4))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_reach_the_outputs(value: float) -> None:
    """Otherwise a training that diverged would not be noticed."""
    layer = random_layer(4, 5, "cpu", torch.float32)
    with torch.no_grad():
        layer.weight_h[:] = value
    outputs, _ = layer(torch.ones(3, 2, 4))
    outputs.sum().backward()
    assert not outputs[2].isfinite().all()
    assert not layer.weight_x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_on_a_cpu(dtype: torch.dtype) -> None:
    layer = random_layer(4, 5, "auto", torch.float32)
    x = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    expected = layer(x)[0]
    actual = layer.to(dtype)(x.to(dtype))[0]
    actual.sum().backward()
    assert actual.dtype == layer.weight_h.grad.dtype == dtype
    torch.testing.assert_close(actual.float(), expected, rtol=0, atol=0.05)
