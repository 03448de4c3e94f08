"""`brox.solve_level` on a CPU, compiled by Numba, without the median filter.

Everything that an iteration reads is stored by colour, as red-black SOR visits it: pixel (y, x) has
colour c = (x + y) % 2 and is at [c, y + 1, x // 2 + _BLOCK], so that the neighbours of a row's
pixels are rows too and loops over them are vectorised. Rows are padded to whole blocks, so that
these loops have no scalar rest; padded pixels have no links and no data, and no effect.

Half sweeps of SOR move down the frame together, each one row behind the previous one, so that all
iterations reach a row while it is in the cache. Values depend on each other in the same order as in
whole sweeps, so the result is the same.

Everything runs in one thread without the GIL, and callers run several pairs in parallel.
"""

import math

import numpy as np

from video_lstm.compiled_loops import compile_inline_loop, compile_loop
from video_lstm.flow.brox_linearise_cpu import linearise

_BLOCK = 16
"""Floats in a vector of AVX-512; also the border to the left and right of each row."""
_ZERO, _QUARTER, _ONE = np.float32(0), np.float32(0.25), np.float32(1)
_TINY = np.float32(1e-30)  # so that padded pixels are not 0 / 0


def create_workspace(height: int, width: int) -> np.ndarray:
    """Return the memory that `solve_level` needs for frames of at most this size.

    Of 18 arrays (2, height + 2, columns), 9 hold the linearised constancy terms and 9 the linear
    equations. Memory that no level writes stays zero. To reuse it is faster than to let the
    operating system clear new pages for each level. Rows start at multiples of 64 bytes: SOR takes
    a third longer if each vector straddles two lines of the cache.
    """
    shape = 18, 2, height + 2, _pad_columns(width) + 2 * _BLOCK
    size = math.prod(shape)
    memory = np.zeros(size + _BLOCK, np.float32)
    start = -memory.ctypes.data // memory.itemsize % _BLOCK
    return memory[start : start + size].reshape(shape)


def _pad_columns(width: int) -> int:
    """Return the number of pixels of one colour in a row, padded to whole blocks."""
    return -(-width // (2 * _BLOCK)) * _BLOCK


def solve_level(
    first: np.ndarray,
    second: np.ndarray,
    flow: np.ndarray,
    alpha: float,
    gamma: float,
    epsilon2: float,
    smooth_epsilon2: float,
    zeta2: float,
    omega: float,
    inner_iterations: int,
    solver_iterations: int,
    workspace: np.ndarray,
) -> None:
    """Refine the flow on one pyramid level, in place.

    Args:
        first: Smoothed first frame in -1 .. 1, (H, W); all arrays are contiguous float32.
        second: Smoothed second frame, (H, W).
        flow: Flow of the coarser level, resized, (2, H, W); overwritten with the refined flow.
        alpha: Weight of the smoothness term.
        gamma: Weight of the gradient constancy term.
        epsilon2: Squared epsilon in the constancy terms.
        smooth_epsilon2: Squared epsilon in the smoothness term.
        zeta2: Square of `brox.ZETA`.
        omega: Relaxation factor of SOR.
        inner_iterations: Number of fixed-point iterations.
        solver_iterations: Number of SOR iterations per fixed-point iteration.
        workspace: From `create_workspace`, for frames of this size or larger ones.
    """
    columns = _pad_columns(first.shape[1])
    sqrt_gamma, float32_zeta2 = np.float32(math.sqrt(gamma)), np.float32(zeta2)
    linearise(first, second, flow, sqrt_gamma, float32_zeta2, _BLOCK, columns, workspace[:9])
    _iterate(
        flow, np.float32(alpha), np.float32(epsilon2), np.float32(smooth_epsilon2),
        np.float32(omega), inner_iterations, solver_iterations, columns,
        workspace[:9], workspace[9:],
    )  # fmt: skip


@compile_loop
def _iterate(
    flow: np.ndarray,
    alpha: np.float32,
    epsilon2: np.float32,
    smooth_epsilon2: np.float32,
    omega: np.float32,
    inner_iterations: int,
    solver_iterations: int,
    columns: int,
    equations: np.ndarray,
    system: np.ndarray,
) -> None:
    """Run the fixed-point iterations; the arguments are as above, and the parts of the workspace.

    The system has 2 link weights (right, down), 3 entries of the inverse blocks, 2 right-hand
    sides, 2 components of the flow.
    """
    height, width = flow.shape[1:]
    flow_by_colour = system[7:]
    _pack_colours(flow, flow_by_colour)
    for _ in range(inner_iterations):
        _replicate_border(flow_by_colour, height, width)
        _assemble_equations(
            equations, system, alpha, epsilon2, smooth_epsilon2, height, width, columns
        )
        _solve_equations(system, omega, solver_iterations, height, columns)
    _unpack_colours(flow_by_colour, flow)


@compile_loop
def _pack_colours(flow: np.ndarray, by_colour: np.ndarray) -> None:
    """Copy flow (2, H, W) into storage by colour."""
    _, height, width = flow.shape
    for component in range(2):
        for y in range(height):
            for colour in range(2):
                offset = (y + colour) & 1
                values = by_colour[component, colour, y + 1, _BLOCK:]
                for j in range((width - offset + 1) // 2):
                    values[j] = flow[component, y, 2 * j + offset]


@compile_loop
def _unpack_colours(by_colour: np.ndarray, flow: np.ndarray) -> None:
    """Copy flow stored by colour into (2, H, W)."""
    _, height, width = flow.shape
    for component in range(2):
        for y in range(height):
            for colour in range(2):
                offset = (y + colour) & 1
                values = by_colour[component, colour, y + 1, _BLOCK:]
                for j in range((width - offset + 1) // 2):
                    flow[component, y, 2 * j + offset] = values[j]


@compile_loop
def _replicate_border(flow: np.ndarray, height: int, width: int) -> None:
    """Replicate flow stored by colour by one pixel on each side of the frame."""
    for component in range(2):
        values = flow[component]
        for y in range(1, height + 1):
            first_colour, last_colour = (y - 1) & 1, (y + width) & 1
            values[1 - first_colour, y, _BLOCK - 1] = values[first_colour, y, _BLOCK]
            last = values[last_colour, y, _BLOCK + (width - 1) // 2]
            values[1 - last_colour, y, _BLOCK + width // 2] = last
        for colour in range(2):
            values[colour, 0] = values[1 - colour, 1]
            values[colour, height + 1] = values[1 - colour, height]


@compile_loop
def _assemble_equations(
    equations: np.ndarray,
    system: np.ndarray,
    alpha: np.float32,
    epsilon2: np.float32,
    smooth_epsilon2: np.float32,
    height: int,
    width: int,
    columns: int,
) -> None:
    """Compute the linear equations of one fixed-point iteration, `system[:7]`, about its flow."""
    to_right, to_below, flow = system[0], system[1], system[7:]
    row = slice(_BLOCK, _BLOCK + columns)
    for y in range(1, height + 1):
        for colour in range(2):
            offset, other = (y - 1 + colour) & 1, 1 - colour
            # Neighbours in x have the other colour and are at j + offset - 1 and j + offset.
            at_left = slice(_BLOCK + offset - 1, _BLOCK + offset - 1 + columns)
            at_right = slice(_BLOCK + offset, _BLOCK + offset + columns)
            _compute_link_weights(
                alpha, smooth_epsilon2,
                flow[0, colour, y, row], flow[0, other, y, at_left], flow[0, other, y, at_right],
                flow[0, other, y - 1, row], flow[0, colour, y - 1, at_right],
                flow[0, other, y + 1, row], flow[0, colour, y + 1, at_left],
                flow[0, colour, y + 1, at_right],
                flow[1, colour, y, row], flow[1, other, y, at_left], flow[1, other, y, at_right],
                flow[1, other, y - 1, row], flow[1, colour, y - 1, at_right],
                flow[1, other, y + 1, row], flow[1, colour, y + 1, at_left],
                flow[1, colour, y + 1, at_right],
                to_right[colour, y, row], to_below[colour, y, row],
            )  # fmt: skip
            # No link leads out of the frame.
            to_right[colour, y, _BLOCK + (width - offset) // 2 : _BLOCK + columns] = _ZERO
            last = (width - offset + 1) // 2 if y < height else 0
            to_below[colour, y, _BLOCK + last : _BLOCK + columns] = _ZERO
        for colour in range(2):
            offset, other = (y - 1 + colour) & 1, 1 - colour
            at_left = slice(_BLOCK + offset - 1, _BLOCK + offset - 1 + columns)
            _assemble_row(
                epsilon2,
                equations[0, colour, y, row], equations[1, colour, y, row],
                equations[2, colour, y, row], equations[3, colour, y, row],
                equations[4, colour, y, row], equations[5, colour, y, row],
                equations[6, colour, y, row], equations[7, colour, y, row],
                equations[8, colour, y, row],
                flow[0, colour, y, row], flow[1, colour, y, row],
                to_right[other, y, at_left], to_right[colour, y, row],
                to_below[other, y - 1, row], to_below[colour, y, row],
                system[2, colour, y, row], system[3, colour, y, row], system[4, colour, y, row],
                system[5, colour, y, row], system[6, colour, y, row],
            )  # fmt: skip


@compile_inline_loop
def _compute_link_weights(
    alpha: np.float32, epsilon2: np.float32,
    u: np.ndarray, u_left: np.ndarray, u_right: np.ndarray,
    u_above: np.ndarray, u_above_right: np.ndarray,
    u_below: np.ndarray, u_below_left: np.ndarray, u_below_right: np.ndarray,
    v: np.ndarray, v_left: np.ndarray, v_right: np.ndarray,
    v_above: np.ndarray, v_above_right: np.ndarray,
    v_below: np.ndarray, v_below_left: np.ndarray, v_below_right: np.ndarray,
    to_right: np.ndarray, to_below: np.ndarray,
) -> None:  # fmt: skip
    """Compute the weights alpha psi' of the links to the right and down of one colour in a row."""
    for j in range(len(u)):
        step_u, step_v = u_right[j] - u[j], v_right[j] - v[j]
        cross_u = _QUARTER * (u_below[j] - u_above[j] + u_below_right[j] - u_above_right[j])
        cross_v = _QUARTER * (v_below[j] - v_above[j] + v_below_right[j] - v_above_right[j])
        square = step_u * step_u + cross_u * cross_u + step_v * step_v + cross_v * cross_v
        to_right[j] = alpha / np.sqrt(square + epsilon2)
        step_u, step_v = u_below[j] - u[j], v_below[j] - v[j]
        cross_u = _QUARTER * (u_right[j] - u_left[j] + u_below_right[j] - u_below_left[j])
        cross_v = _QUARTER * (v_right[j] - v_left[j] + v_below_right[j] - v_below_left[j])
        square = step_u * step_u + cross_u * cross_u + step_v * step_v + cross_v * cross_v
        to_below[j] = alpha / np.sqrt(square + epsilon2)


@compile_inline_loop
def _assemble_row(
    epsilon2: np.float32,
    grey_x: np.ndarray, grey_y: np.ndarray, grey_z: np.ndarray,
    grey_xx: np.ndarray, grey_xy: np.ndarray, grey_xz: np.ndarray,
    grey_yx: np.ndarray, grey_yy: np.ndarray, grey_yz: np.ndarray,
    flow_u: np.ndarray, flow_v: np.ndarray,
    to_left: np.ndarray, to_right: np.ndarray, to_above: np.ndarray, to_below: np.ndarray,
    inverse11: np.ndarray, inverse12: np.ndarray, inverse22: np.ndarray,
    constant_u: np.ndarray, constant_v: np.ndarray,
) -> None:  # fmt: skip
    """Compute the inverse 2 x 2 blocks and right-hand sides of one colour in a row."""
    for j in range(len(grey_x)):
        u, v = flow_u[j], flow_v[j]
        ix, iy, iz = grey_x[j], grey_y[j], grey_z[j]
        xx, xy, xz = grey_xx[j], grey_xy[j], grey_xz[j]
        yx, yy, yz = grey_yx[j], grey_yy[j], grey_yz[j]
        residual = iz + ix * u + iy * v
        residual_x, residual_y = xz + xx * u + xy * v, yz + yx * u + yy * v
        psi = _ONE / np.sqrt(residual * residual + epsilon2)
        psi_grad = _ONE / np.sqrt(residual_x * residual_x + residual_y * residual_y + epsilon2)
        a11 = psi * ix * ix + psi_grad * (xx * xx + yx * yx)
        a12 = psi * ix * iy + psi_grad * (xx * xy + yx * yy)
        a22 = psi * iy * iy + psi_grad * (xy * xy + yy * yy)
        constant_u[j] = -psi * ix * iz - psi_grad * (xx * xz + yx * yz)
        constant_v[j] = -psi * iy * iz - psi_grad * (xy * xz + yy * yz)
        weight = to_left[j] + to_right[j] + to_above[j] + to_below[j]
        of_data = a11 * a22 - a12 * a12
        of_data = of_data if of_data > _ZERO else _ZERO
        inverse = _ONE / (of_data + weight * (a11 + a22 + weight) + _TINY)
        inverse11[j] = (a22 + weight) * inverse
        inverse12[j] = -a12 * inverse
        inverse22[j] = (a11 + weight) * inverse


@compile_loop
def _solve_equations(
    system: np.ndarray, omega: np.float32, iterations: int, height: int, columns: int
) -> None:
    """Solve the equations by red-black SOR; the flow is `system[7:]`."""
    to_right, to_below, u, v = system[0], system[1], system[7], system[8]
    row = slice(_BLOCK, _BLOCK + columns)
    half_sweeps = 2 * iterations
    for front_row in range(height + half_sweeps - 1):
        for half_sweep in range(max(0, front_row - height + 1), min(half_sweeps, front_row + 1)):
            y, colour = front_row - half_sweep + 1, half_sweep & 1
            offset, other = (y - 1 + colour) & 1, 1 - colour
            at_left = slice(_BLOCK + offset - 1, _BLOCK + offset - 1 + columns)
            at_right = slice(_BLOCK + offset, _BLOCK + offset + columns)
            _update_row(
                omega,
                system[2, colour, y, row], system[3, colour, y, row], system[4, colour, y, row],
                system[5, colour, y, row], system[6, colour, y, row],
                to_right[other, y, at_left], to_right[colour, y, row],
                to_below[other, y - 1, row], to_below[colour, y, row],
                u[other, y, at_left], u[other, y, at_right],
                u[other, y - 1, row], u[other, y + 1, row],
                v[other, y, at_left], v[other, y, at_right],
                v[other, y - 1, row], v[other, y + 1, row],
                u[colour, y, row], v[colour, y, row],
            )  # fmt: skip


@compile_inline_loop
def _update_row(
    omega: np.float32,
    inverse11: np.ndarray, inverse12: np.ndarray, inverse22: np.ndarray,
    constant_u: np.ndarray, constant_v: np.ndarray,
    to_left: np.ndarray, to_right: np.ndarray, to_above: np.ndarray, to_below: np.ndarray,
    u_left: np.ndarray, u_right: np.ndarray, u_above: np.ndarray, u_below: np.ndarray,
    v_left: np.ndarray, v_right: np.ndarray, v_above: np.ndarray, v_below: np.ndarray,
    u: np.ndarray, v: np.ndarray,
) -> None:  # fmt: skip
    """Update the pixels of one colour in a row."""
    for j in range(len(u)):
        left, right, above, below = to_left[j], to_right[j], to_above[j], to_below[j]
        sum_u = constant_u[j] + left * u_left[j] + right * u_right[j]
        sum_u += above * u_above[j] + below * u_below[j]
        sum_v = constant_v[j] + left * v_left[j] + right * v_right[j]
        sum_v += above * v_above[j] + below * v_below[j]
        u[j] += omega * (inverse11[j] * sum_u + inverse12[j] * sum_v - u[j])
        v[j] += omega * (inverse12[j] * sum_u + inverse22[j] * sum_v - v[j])
