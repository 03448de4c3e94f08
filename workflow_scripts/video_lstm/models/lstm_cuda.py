"""Peephole LSTM for GPUs: each step is one matrix product and one Triton kernel.

One product computes the input's contribution to the gates of all steps, and the gradient of each
weight is one product over all steps at the end. Under autocast weights, outputs and factors of
products have autocast's dtype; gates, cell states and sums stay float32.
"""

# ruff: noqa: ANN001, ANN202 (a kernel's arguments are pointers and numbers on the device)

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 512
"""Values of a state per Triton program."""


@triton.jit
def _tanh(x):
    e = tl.exp(-2.0 * tl.abs(x))
    t = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -t, t)


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _forward_step(
    gates, product, bias, peepholes, c_old, c_new, h_new, count, size,
    HAS_INPUT: tl.constexpr, HAS_STATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute gates (B, 4, H) in place of the projected input, and the new states (B, H)."""
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < count
    j = n % size
    first = n // size * 4 * size + j
    c = tl.load(c_old + n, inside, 0.0)
    i = tl.load(bias + j, inside, 0.0)
    f = tl.load(bias + size + j, inside, 0.0)
    z = tl.load(bias + 2 * size + j, inside, 0.0)
    o = tl.load(bias + 3 * size + j, inside, 0.0)
    if HAS_INPUT:
        i += tl.load(gates + first, inside, 0.0)
        f += tl.load(gates + first + size, inside, 0.0)
        z += tl.load(gates + first + 2 * size, inside, 0.0)
        o += tl.load(gates + first + 3 * size, inside, 0.0)
    if HAS_STATE:
        i += tl.load(product + first, inside, 0.0)
        f += tl.load(product + first + size, inside, 0.0)
        z += tl.load(product + first + 2 * size, inside, 0.0)
        o += tl.load(product + first + 3 * size, inside, 0.0)
    i = _sigmoid(i + tl.load(peepholes + j, inside, 0.0) * c)
    f = _sigmoid(f + tl.load(peepholes + size + j, inside, 0.0) * c)
    z = _tanh(z)
    c = f * c + i * z
    o = _sigmoid(o + tl.load(peepholes + 2 * size + j, inside, 0.0) * c)
    tl.store(gates + first, i, inside)
    tl.store(gates + first + size, f, inside)
    tl.store(gates + first + 2 * size, z, inside)
    tl.store(gates + first + 3 * size, o, inside)
    tl.store(c_new + n, c, inside)
    tl.store(h_new + n, (o * _tanh(c)).to(h_new.dtype.element_ty), inside)


@triton.jit
def _backward_step(
    gates, grads, peepholes, c_old, c_new, grad_out, dh, dc, dp, count, size,
    HAS_GRAD_OUT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute gradients of the pre-activations (B, 4, H); update those of c and peepholes."""
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < count
    j = n % size
    first = n // size * 4 * size + j
    i = tl.load(gates + first, inside, 0.0)
    f = tl.load(gates + first + size, inside, 0.0)
    z = tl.load(gates + first + 2 * size, inside, 0.0)
    o = tl.load(gates + first + 3 * size, inside, 0.0)
    c_before = tl.load(c_old + n, inside, 0.0)
    c_after = tl.load(c_new + n, inside, 0.0)
    h = tl.load(dh + n, inside, 0.0)
    c = tl.load(dc + n, inside, 0.0)
    if HAS_GRAD_OUT:
        h += tl.load(grad_out + n, inside, 0.0).to(h.dtype)
    t = _tanh(c_after)
    do = h * t * o * (1.0 - o)
    c += h * o * (1.0 - t * t) + do * tl.load(peepholes + 2 * size + j, inside, 0.0)
    di = c * z * i * (1.0 - i)
    df = c * c_before * f * (1.0 - f)
    dz = c * i * (1.0 - z * z)
    dtype = grads.dtype.element_ty
    tl.store(grads + first, di.to(dtype), inside)
    tl.store(grads + first + size, df.to(dtype), inside)
    tl.store(grads + first + 2 * size, dz.to(dtype), inside)
    tl.store(grads + first + 3 * size, do.to(dtype), inside)
    c *= f
    c += di * tl.load(peepholes + j, inside, 0.0)
    c += df * tl.load(peepholes + size + j, inside, 0.0)
    tl.store(dc + n, c, inside)
    p_i, p_f, p_o = dp + n, dp + count + n, dp + 2 * count + n
    tl.store(p_i, tl.load(p_i, inside, 0.0) + di * c_before, inside)
    tl.store(p_f, tl.load(p_f, inside, 0.0) + df * c_before, inside)
    tl.store(p_o, tl.load(p_o, inside, 0.0) + do * c_after, inside)


def _product(x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Return x @ weight.T, accumulated and returned in float32 if the factors are narrower."""
    if x.dtype in (torch.float32, torch.float64):
        return torch.mm(x, weight.t(), out=out)
    if x.is_cuda:
        return torch.mm(x, weight.t(), out_dtype=torch.float32, out=out)
    return torch.mm(x.float(), weight.float().t(), out=out)


class _CudaLSTM(torch.autograd.Function):
    """Buffers: gates (T, B, 4, H) in the order i, f, z, o; hs and cs (T + 1, B, H) from step 0."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor | None,
        h: Tensor | None,
        c: Tensor | None,
        weight_x: Tensor | None,
        weight_h: Tensor,
        bias: Tensor,
        peepholes: Tensor,
        steps: int,
        batch: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        size = weight_h.shape[1]
        x, weight_x = (None if tensor is None else tensor.to(dtype) for tensor in (x, weight_x))
        weight_h = weight_h.to(dtype)
        first_input = steps if x is None else steps - len(x)
        gates = bias.new_empty(steps, batch, 4, size)
        if x is not None:
            assert weight_x is not None
            _product(x.reshape(-1, x.shape[2]), weight_x, gates[first_input:].view(-1, 4 * size))
        hs = bias.new_empty(steps + 1, batch, size, dtype=dtype)
        cs = bias.new_empty(steps + 1, batch, size)
        for initial, buffer in ((h, hs), (c, cs)):
            if initial is None:
                buffer[0].zero_()
            else:
                buffer[0].copy_(initial)
        peepholes = peepholes.contiguous()
        product = bias.new_empty(batch, 4 * size)
        count = batch * size
        for t in range(steps):
            has_state = t > 0 or h is not None
            if has_state:
                _product(hs[t], weight_h, product)
            _forward_step[(triton.cdiv(count, _BLOCK),)](
                gates[t], product, bias, peepholes, cs[t], cs[t + 1], hs[t + 1], count, size,
                HAS_INPUT=t >= first_input, HAS_STATE=has_state, BLOCK=_BLOCK,
            )  # fmt: skip
        ctx.first_input, ctx.wide_dtype = first_input, bias.dtype
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight_x, weight_h, peepholes, gates, hs, cs)
        return hs[1:], hs[steps].clone(), cs[steps].clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_out: Tensor | None, grad_h: Tensor | None, grad_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, weight_x, weight_h, peepholes, gates, hs, cs = ctx.saved_tensors
        needs_x, needs_h, needs_c, needs_wx, needs_wh, needs_b, needs_p = ctx.needs_input_grad[:7]
        steps, batch, _, size = gates.shape
        count = batch * size
        grads = torch.empty_like(gates, dtype=hs.dtype)
        dh, dc = torch.zeros_like(cs[0]), torch.zeros_like(cs[0])
        for grad, buffer in ((grad_h, dh), (grad_c, dc)):
            if grad is not None:
                buffer.copy_(grad)
        dp = cs.new_zeros(3, batch, size)
        grad_out = None if grad_out is None else grad_out.contiguous()
        for t in reversed(range(steps)):
            _backward_step[(triton.cdiv(count, _BLOCK),)](
                gates[t], grads[t], peepholes, cs[t], cs[t + 1],
                dh if grad_out is None else grad_out[t], dh, dc, dp, count, size,
                HAS_GRAD_OUT=grad_out is not None, BLOCK=_BLOCK,
            )  # fmt: skip
            if t or needs_h:
                _product(grads[t].view(batch, -1), weight_h.t(), dh)

        dx = dwx = dwh = db = None
        flat = grads.view(steps * batch, -1)
        with_input = flat[ctx.first_input * batch :]
        if needs_x:
            dx = _product(with_input, weight_x.t()).view(x.shape)
        if needs_wx:
            dwx = _product(with_input.t(), x.reshape(len(with_input), -1).t())
        if needs_wh:
            dwh = _product(flat.t(), hs[:steps].reshape(steps * batch, size).t())
        if needs_b:
            db = flat.sum(0, dtype=ctx.wide_dtype)
        dp = dp.sum(1) if needs_p else None
        dh0, dc0 = dh if needs_h else None, dc if needs_c else None
        return dx, dh0, dc0, dwx, dwh, db, dp, None, None, None


def cuda_lstm(
    x: Tensor | None,
    h: Tensor | None,
    c: Tensor | None,
    weight_x: Tensor | None,
    weight_h: Tensor,
    bias: Tensor,
    peepholes: Tensor,
    steps: int,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `video_lstm.models.lstm.reference_lstm`, with the same arguments and results.

    Under autocast the outputs and h have autocast's dtype.
    """
    device, dtype = weight_h.device.type, weight_h.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        return _CudaLSTM.apply(
            x, h, c, weight_x, weight_h, bias, peepholes, steps, batch, dtype
        )  # fmt: skip
