"""Peephole LSTM for CPUs with hand-written forward and backward passes.

Only the recurrence is sequential. One matrix product computes the input's contribution to the gates
of all steps, the gates are computed in place in one buffer, and the gradient of each weight is one
product over all steps at the end.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from video_lstm.models.matmul import autocast_to_bfloat16, product

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_BFLOAT16_FROM = 2**22
"""Multiplications per step above which rounding the factors to bfloat16 pays off."""
_is_graph_retained = torch._C._autograd._get_current_graph_task_keep_graph


class _CpuLSTM(torch.autograd.Function):
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
        bfloat16: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        size = weight_h.shape[1]
        if bfloat16 and x is not None:
            x = x.bfloat16()
        recurrent = weight_h
        if bfloat16 and batch * weight_h.numel() >= _BFLOAT16_FROM:
            recurrent = weight_h.bfloat16()
        first_input = steps if x is None else steps - len(x)
        if x is not None and not first_input:
            assert weight_x is not None
            gates = product(x.reshape(-1, x.shape[2]), weight_x, bias)
            gates = gates.view(steps, batch, 4, size)
        else:
            gates = weight_h.new_empty(steps, batch, 4, size)
            gates[:first_input] = bias.view(4, size)
            if x is not None:
                assert weight_x is not None
                projected = product(x.reshape(-1, x.shape[2]), weight_x, bias)
                gates[first_input:] = projected.view(-1, batch, 4, size)
        hs = weight_h.new_empty(steps + 1, batch, size)
        cs = torch.empty_like(hs)
        for initial, buffer in ((h, hs), (c, cs)):
            if initial is None:
                buffer[0].zero_()
            else:
                buffer[0].copy_(initial)
        tanh_c = torch.empty_like(hs[0])
        p_if, p_o = peepholes[:2], peepholes[2]

        for t in range(steps):
            if t or h is not None:
                gates[t].view(batch, -1).add_(product(hs[t], recurrent))
            i_f, (i, f, z, o) = gates[t, :, :2], gates[t].unbind(1)
            i_f.addcmul_(cs[t].unsqueeze(1), p_if).sigmoid_()
            z.tanh_()
            torch.mul(f, cs[t], out=cs[t + 1]).addcmul_(i, z)
            o.addcmul_(cs[t + 1], p_o).sigmoid_()
            torch.mul(o, torch.tanh(cs[t + 1], out=tanh_c), out=hs[t + 1])

        ctx.first_input, ctx.bfloat16 = first_input, bfloat16
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight_x, recurrent, peepholes, gates, hs, cs)
        return hs[1:], hs[steps].clone(), cs[steps].clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_out: Tensor | None, grad_h: Tensor | None, grad_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, weight_x, recurrent, peepholes, gates, hs, cs = ctx.saved_tensors
        needs_x, needs_h, needs_c, needs_wx, needs_wh, needs_b, needs_p = ctx.needs_input_grad[:7]
        steps, batch, _, size = gates.shape
        p_i, p_f, p_o = peepholes
        # The gradients overwrite the gates, unless another backward pass will need the gates.
        grads = gates.clone() if _is_graph_retained() else gates
        dh = torch.zeros_like(hs[0]) if grad_h is None else grad_h.clone()
        dc = torch.zeros_like(hs[0]) if grad_c is None else grad_c.clone()
        buffer, buffer2 = torch.empty_like(dh), torch.empty_like(dh)
        # Sum over steps now, while the values are in the cache; over the batch at the end.
        dp = dh.new_zeros(3, batch, size) if needs_p else None

        for t in reversed(range(steps)):
            if grad_out is not None:
                dh.add_(grad_out[t])
            i, f, z, o = grads[t].unbind(1)
            tanh_c = torch.tanh(cs[t + 1], out=buffer2)
            _tanh_backward(torch.mul(dh, o, out=buffer), tanh_c, grad_input=buffer)
            do = _sigmoid_backward(buffer2.mul_(dh), o, grad_input=o)
            dc.add_(buffer).addcmul_(do, p_o)
            torch.mul(dc, i, out=buffer), torch.mul(dc, z, out=buffer2)
            _tanh_backward(buffer, z, grad_input=z)
            di = _sigmoid_backward(buffer2, i, grad_input=i)
            torch.mul(dc, cs[t], out=buffer)
            dc.mul_(f)
            df = _sigmoid_backward(buffer, f, grad_input=f)
            dc.addcmul_(di, p_i).addcmul_(df, p_f)
            if dp is not None:
                dp[0].addcmul_(di, cs[t])
                dp[1].addcmul_(df, cs[t])
                dp[2].addcmul_(do, cs[t + 1])
            if t or needs_h:
                dh = product(grads[t].view(batch, -1), recurrent.t())

        dx = dwx = dwh = db = None
        flat = grads.view(steps * batch, -1)
        factor = flat.bfloat16() if ctx.bfloat16 else flat
        first_input_row = ctx.first_input * batch
        if needs_x:
            dx = product(factor[first_input_row:], weight_x.t()).view(x.shape)
        if needs_b:
            db = flat.sum(0)
        if needs_wx or needs_wh:
            # oneDNN would copy a strided matrix for each of the two products.
            columns = factor.t().contiguous()
        if needs_wh:
            dwh = product(columns, hs[:steps].reshape(steps * batch, size).t())
        if needs_wx:
            dwx = product(columns[:, first_input_row:], x.reshape(-1, x.shape[2]).t())
        dp = None if dp is None else dp.sum(1)
        dh0, dc0 = dh if needs_h else None, dc if needs_c else None
        return dx, dh0, dc0, dwx, dwh, db, dp, None, None, None


def cpu_lstm(
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

    Under autocast the factors of large products are bfloat16; sums, gates and states stay float32.
    """
    bfloat16 = autocast_to_bfloat16(weight_h)
    with torch.autocast("cpu", enabled=False):
        return _CpuLSTM.apply(x, h, c, weight_x, weight_h, bias, peepholes, steps, batch, bfloat16)
