"""Element-wise part of a step of the peephole LSTM on a CPU, compiled by Numba.

Each pass is one loop over the cells of a row, which LLVM vectorises: the values of a step are read
and written once, where PyTorch's operators do so ten times forward and twenty times backward.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from video_lstm.compiled_loops import compile_loop

# Rational approximation of tanh in float32 that Eigen and PyTorch's vectorised code use as well:
# largest error 3e-7, and no branches, so that it can be vectorised.
_LIMIT = np.float32(7.90531110763549805)
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = (
    np.float32(value)
    for value in (
        4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08,
        -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16,
    )
)  # fmt: skip
_Q0, _Q1, _Q2, _Q3 = (
    np.float32(value)
    for value in (
        4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06,
    )
)  # fmt: skip


def _tanh(x):  # noqa: ANN001, ANN202
    """Return tanh(x); compiled code only."""
    raise NotImplementedError


@overload(_tanh)
def _overload_tanh(x):  # noqa: ANN001, ANN202
    if x != types.float32:
        return lambda x: math.tanh(x)

    def rational(x):  # noqa: ANN001, ANN202 - Numba compares the signature with the call's
        x = _LIMIT if x > _LIMIT else x
        x = -_LIMIT if x < -_LIMIT else x
        y = x * x
        p = (((((_P6 * y + _P5) * y + _P4) * y + _P3) * y + _P2) * y + _P1) * y + _P0
        q = ((_Q3 * y + _Q2) * y + _Q1) * y + _Q0
        return x * p / q

    return rational


@compile_loop
def _sigmoid(x: Any) -> Any:
    half = type(x)(0.5)
    return half * _tanh(half * x) + half


@compile_loop
def forward_step(
    gates: np.ndarray,
    recurrent: np.ndarray,
    c: np.ndarray,
    peepholes: np.ndarray,
    new_c: np.ndarray,
    new_h: np.ndarray,
) -> None:
    """Compute gates and states of a step (paper, section 2.1).

    Args:
        gates: Contribution of input and bias, (B, 4, H) in the order i, f, z, o; overwritten with
            the gates after their activations.
        recurrent: Contribution of the hidden state, (B, 4, H).
        c: Cell state before the step, (B, H).
        peepholes: (3, H) in the order i, f, o.
        new_c: Overwritten with the cell state after the step, (B, H).
        new_h: Overwritten with the hidden state after the step, (B, H).
    """
    for b in range(len(gates)):
        _forward_row(
            gates[b, 0], gates[b, 1], gates[b, 2], gates[b, 3],
            recurrent[b, 0], recurrent[b, 1], recurrent[b, 2], recurrent[b, 3],
            peepholes[0], peepholes[1], peepholes[2], c[b], new_c[b], new_h[b],
        )  # fmt: skip


@compile_loop
def _forward_row(
    gate_i: Any, gate_f: Any, gate_z: Any, gate_o: Any,
    r_i: Any, r_f: Any, r_z: Any, r_o: Any,
    p_i: Any, p_f: Any, p_o: Any, c: Any, new_c: Any, new_h: Any,
) -> None:  # fmt: skip
    for j in range(len(c)):
        i = _sigmoid(gate_i[j] + r_i[j] + p_i[j] * c[j])
        f = _sigmoid(gate_f[j] + r_f[j] + p_f[j] * c[j])
        z = _tanh(gate_z[j] + r_z[j])
        cell = f * c[j] + i * z
        o = _sigmoid(gate_o[j] + r_o[j] + p_o[j] * cell)
        gate_i[j], gate_f[j], gate_z[j], gate_o[j] = i, f, z, o
        new_c[j] = cell
        new_h[j] = o * _tanh(cell)


@compile_loop
def backward_step(
    gates: np.ndarray,
    grad_h: np.ndarray,
    grad_out: np.ndarray,
    grad_c: np.ndarray,
    c: np.ndarray,
    new_c: np.ndarray,
    peepholes: np.ndarray,
    grad_peepholes: np.ndarray,
) -> None:
    """Compute the gradients of a step's gates before their activations.

    Args:
        gates: Gates after their activations, (B, 4, H); overwritten with the gradients.
        grad_h: Gradient of the hidden state after the step from the steps after it, (B, H).
        grad_out: Gradient of the step's output, (B, H), added to `grad_h`.
        grad_c: Gradient of the cell state after the step, (B, H); overwritten with that of the cell
            state before it.
        c: Cell state before the step, (B, H).
        new_c: Cell state after the step, (B, H).
        peepholes: (3, H) in the order i, f, o.
        grad_peepholes: (3, H); the step's gradient is added.
    """
    for b in range(len(gates)):
        _backward_row(
            gates[b, 0], gates[b, 1], gates[b, 2], gates[b, 3],
            grad_h[b], grad_out[b], grad_c[b], c[b], new_c[b],
            peepholes[0], peepholes[1], peepholes[2],
            grad_peepholes[0], grad_peepholes[1], grad_peepholes[2],
        )  # fmt: skip


@compile_loop
def _backward_row(
    gate_i: Any, gate_f: Any, gate_z: Any, gate_o: Any,
    grad_h: Any, grad_out: Any, grad_c: Any, c: Any, new_c: Any,
    p_i: Any, p_f: Any, p_o: Any, dp_i: Any, dp_f: Any, dp_o: Any,
) -> None:  # fmt: skip
    for j in range(len(c)):
        i, f, z, o = gate_i[j], gate_f[j], gate_z[j], gate_o[j]
        one = type(i)(1)  # 1 - o of an integer would be float64
        dh = grad_h[j] + grad_out[j]
        tanh_c = _tanh(new_c[j])
        do = dh * tanh_c * o * (one - o)
        dc = grad_c[j] + dh * o * (one - tanh_c * tanh_c) + do * p_o[j]
        di = dc * z * i * (one - i)
        df = dc * c[j] * f * (one - f)
        gate_i[j], gate_f[j], gate_z[j], gate_o[j] = di, df, dc * i * (one - z * z), do
        grad_c[j] = dc * f + di * p_i[j] + df * p_f[j]
        dp_i[j] += di * c[j]
        dp_f[j] += df * c[j]
        dp_o[j] += do * new_c[j]
