"""Matrix products with the fastest library for the CPU.

PyTorch computes float32 products on a CPU with MKL. oneDNN, which `torch.nn.LSTM` uses on CPUs, has
AVX-512 code for the processors of every vendor; the operator below is the one that `torch.compile`
emits for a linear layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from video_lstm.precision import has_fast_bfloat16

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_ONEDNN_BFLOAT16 = _ONEDNN and has_fast_bfloat16(torch.device("cpu"))
"""oneDNN may refuse bfloat16 on other CPUs; PyTorch's product is slow there, but works."""
_ONEDNN_FROM = 2**20
"""Multiplications above which oneDNN's 10 us of setup per product pay off."""


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias, without autograd.

    If one factor is bfloat16 the other is rounded to bfloat16. Contiguous factors and transposed
    views of contiguous matrices are equally fast.

    Args:
        x: (N, D).
        weight: (M, D).
        bias: (M,) or None.

    Returns:
        (N, M), a new tensor; float32 for bfloat16 factors too.
    """
    if torch.bfloat16 in (x.dtype, weight.dtype):
        factors = _make_dense(x.bfloat16()), _make_dense(weight.bfloat16())
        rounded = (
            torch.ops.mkldnn._linear_pointwise(*factors, None, "none", [], "")
            if _ONEDNN_BFLOAT16
            else torch.mm(factors[0], factors[1].t())
        )
        return rounded.float() if bias is None else torch.add(rounded, bias)
    large = x.numel() * weight.shape[0] >= _ONEDNN_FROM
    if _ONEDNN and large and x.dtype == torch.float32 and x.device.type == "cpu":
        return torch.ops.mkldnn._linear_pointwise(
            _make_dense(x), _make_dense(weight), bias, "none", [], ""
        )
    if bias is None:
        return torch.mm(x, weight.t())
    return torch.addmm(bias, x, weight.t())


def autocast_to_bfloat16(weight: Tensor) -> bool:
    """Return whether autocast on the CPU rounds products with this weight to bfloat16."""
    is_bfloat16 = (
        torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    return is_bfloat16 and weight.dtype == torch.float32


def _make_dense(matrix: Tensor) -> Tensor:
    """Copy matrices with other strides, for which oneDNN's fallback is a hundred times slower."""
    if matrix.is_contiguous() or matrix.t().is_contiguous():
        return matrix
    return matrix.contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, bfloat16: bool) -> Tensor:
        ctx.bfloat16 = bfloat16
        if bfloat16:
            x = x.bfloat16()
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        factor = grad.bfloat16() if ctx.bfloat16 else grad
        return (
            product(factor, weight.t()) if needs_x else None,
            product(factor.t(), x.t()) if needs_weight else None,
            grad.sum(0) if needs_bias else None,
            None,
        )


class Linear(nn.Linear):
    """`torch.nn.Linear` with the paper's initialisation and `product` on CPUs.

    Under autocast on a CPU the factors of products are bfloat16, outputs and sums float32.

    Args:
        in_features: D, number of input features.
        out_features: M, number of output features.
        generator: Random generator for the weights, U(-1/sqrt(D), 1/sqrt(D)) (paper, section 4);
            biases start at 0.
    """

    def __init__(
        self, in_features: int, out_features: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(in_features, out_features)
        uniform_fan_in_(self.weight, generator)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., M)."""
        if x.device.type != "cpu":
            return super().forward(x)
        bfloat16 = autocast_to_bfloat16(self.weight)
        with torch.autocast("cpu", enabled=False):
            flat = _Linear.apply(x.reshape(-1, self.in_features), self.weight, self.bias, bfloat16)
        return flat.view(*x.shape[:-1], self.out_features)


def uniform_fan_in_(weight: Tensor, generator: torch.Generator | None) -> None:
    """Initialise a weight (M, D, ...) from U(-s, s), s = 1/sqrt(fan-in) (paper, section 4)."""
    bound = weight[0].numel() ** -0.5
    with torch.no_grad():
        weight.uniform_(-bound, bound, generator=generator)
