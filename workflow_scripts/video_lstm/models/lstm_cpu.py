"""Peephole LSTM for CPUs with hand-written forward and backward passes.

Only the recurrence is sequential. One matrix product computes the input's contribution to the gates
of all steps, the gates are computed in place in one buffer, and the gradient of each weight is one
product over all steps at the end. Each step is one matrix product and one compiled loop.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from video_lstm.models.lstm_cpu_kernels import backward_step, forward_step
from video_lstm.models.matmul import autocast_to_bfloat16, product

_BFLOAT16_FROM = 2**21
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
        # Slices of arrays cost less than slices of tensors.
        p, gate_steps, h_steps, c_steps = (
            tensor.detach().numpy() for tensor in (peepholes.contiguous(), gates, hs, cs)
        )
        projected_h = gates.new_zeros(batch, 4 * size)
        for t in range(steps):
            if t or h is not None:
                projected_h = product(hs[t], recurrent)
            forward_step(
                gate_steps[t], projected_h.numpy().reshape(batch, 4, size), c_steps[t], p,
                c_steps[t + 1], h_steps[t + 1],
            )  # fmt: skip

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
        # The gradients overwrite the gates, unless another backward pass will need the gates.
        grads = gates.clone() if _is_graph_retained() else gates
        zeros = torch.zeros_like(hs[0])
        dh = zeros if grad_h is None else grad_h.contiguous()
        dc = (zeros if grad_c is None else grad_c).clone(memory_format=torch.contiguous_format)
        if grad_out is not None:
            grad_out = grad_out.contiguous()
        dp = torch.zeros_like(peepholes)
        p, dp_array, dc_array, grad_steps, c_steps = (
            tensor.detach().numpy() for tensor in (peepholes.contiguous(), dp, dc, grads, cs)
        )
        grad_out_steps = [zeros.numpy()] * steps if grad_out is None else grad_out.numpy()
        rows, transposed = grads.view(steps, batch, -1), recurrent.t()
        for t in reversed(range(steps)):
            backward_step(
                grad_steps[t], dh.numpy(), grad_out_steps[t], dc_array, c_steps[t],
                c_steps[t + 1], p, dp_array,
            )  # fmt: skip
            if t or needs_h:
                dh = product(rows[t], transposed)

        dx = dwx = dwh = db = None
        flat = rows.flatten(0, 1)
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
        dh0, dc0 = dh if needs_h else None, dc if needs_c else None
        return dx, dh0, dc0, dwx, dwh, db, dp if needs_p else None, None, None, None


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
