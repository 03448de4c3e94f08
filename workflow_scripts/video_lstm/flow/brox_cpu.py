"""`brox.solve_level` on a CPU, compiled by Numba, without the median filter.

The linear equations are stored by colour, as red-black SOR visits them: pixel (y, x) has colour
c = (x + y) % 2 and is at [c, y + 1, x // 2 + 1], so that a half sweep over a row reads contiguous
neighbours and is vectorised. A border with zero weights surrounds the frame.

Half sweeps move down the frame together, each one row behind the previous one, so that all
iterations reach a row while it is in the cache. Values depend on each other in the same order as in
whole sweeps, so the result is the same.

Everything runs in one thread without the GIL, and callers run several pairs in parallel.
"""

import numpy as np

from video_lstm.compiled_loops import compile_loop

_HALF, _QUARTER = np.float32(0.5), np.float32(0.25)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_NEAR, _FAR = np.float32(8 / 12), np.float32(-1 / 12)
_CUBIC = np.float32(-0.75)  # as torch's grid_sample


@compile_loop
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
    """
    height, width = first.shape
    equations = np.empty((9, height, width), np.float32)
    _linearise(first, second, flow, np.float32(np.sqrt(gamma)), np.float32(zeta2), equations)
    start, links = flow.copy(), np.zeros((2, height, width), np.float32)
    # 2 weights (right, down), 3 entries of the inverse blocks, 2 right-hand sides, 2 of the flow.
    system = np.zeros((9, 2, height + 2, (width + 1) // 2 + 2), np.float32)
    for _ in range(inner_iterations):
        _compute_link_weights(flow, np.float32(alpha), np.float32(smooth_epsilon2), links)
        _assemble_equations(equations, start, flow, links, np.float32(epsilon2), system)
        _solve_equations(system, np.float32(omega), solver_iterations, height, width)
        _unpack_colours(system[7:], flow)


@compile_loop
def _linearise(
    first: np.ndarray,
    second: np.ndarray,
    flow: np.ndarray,
    sqrt_gamma: np.float32,
    zeta2: np.float32,
    out: np.ndarray,
) -> None:
    """Compute `brox._linearise` into `out`, (9, H, W)."""
    height, width = first.shape
    mean, inside = np.empty_like(first), np.empty_like(first)
    for y in range(height):
        for x in range(width):
            sample_x, sample_y = x + flow[0, y, x], y + flow[1, y, x]
            is_inside = 0 <= sample_x <= width - 1 and 0 <= sample_y <= height - 1
            inside[y, x] = _ONE if is_inside else _ZERO
            value = _sample_cubic(second, sample_x, sample_y)
            mean[y, x] = _HALF * (first[y, x] + value)
            out[2, y, x] = value - first[y, x]
    grey_x, grey_y, grey_z = out[0], out[1], out[2]
    _differentiate_x(mean, grey_x)
    _differentiate_y(mean, grey_y)
    _differentiate_x(grey_x, out[3])
    _differentiate_y(grey_x, out[4])
    _differentiate_x(grey_z, out[5])
    _differentiate_x(grey_y, out[6])
    _differentiate_y(grey_y, out[7])
    _differentiate_y(grey_z, out[8])
    for row in range(0, 9, 3):
        weight = _ONE if row == 0 else sqrt_gamma
        for y in range(height):
            for x in range(width):
                a, b = out[row, y, x], out[row + 1, y, x]
                factor = weight * inside[y, x] / np.sqrt(a * a + b * b + zeta2)
                out[row, y, x] = a * factor
                out[row + 1, y, x] = b * factor
                out[row + 2, y, x] *= factor


@compile_loop
def _sample_cubic(image: np.ndarray, x: np.float32, y: np.float32) -> np.float32:
    """Interpolate an image at (x, y) by cubic convolution (Keys 1981), borders replicated."""
    height, width = image.shape
    x = min(max(x, _ZERO), np.float32(width - 1))
    y = min(max(y, _ZERO), np.float32(height - 1))
    left, top = int(x), int(y)
    weights_x, weights_y = _cubic_weights(x - np.float32(left)), _cubic_weights(y - np.float32(top))
    x0, x2, x3 = max(left - 1, 0), min(left + 1, width - 1), min(left + 2, width - 1)
    total = _ZERO
    for row in range(4):
        values = image[min(max(top + row - 1, 0), height - 1)]
        total += weights_y[row] * (
            weights_x[0] * values[x0] + weights_x[1] * values[left]
            + weights_x[2] * values[x2] + weights_x[3] * values[x3]
        )  # fmt: skip
    return total


@compile_loop
def _cubic_weights(fraction: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Return the weights of four neighbours for a fraction of a pixel, 0 .. 1."""
    a, distance_right, distance_left = _CUBIC, _ONE - fraction, _ONE + fraction
    first = ((a * distance_left - 5 * a) * distance_left + 8 * a) * distance_left - 4 * a
    second = ((a + _TWO) * fraction - (a + 3)) * fraction * fraction + _ONE
    third = ((a + _TWO) * distance_right - (a + 3)) * distance_right * distance_right + _ONE
    return (
        np.float32(first),
        np.float32(second),
        np.float32(third),
        np.float32(_ONE - first - second - third),
    )


@compile_loop
def _differentiate_x(image: np.ndarray, out: np.ndarray) -> None:
    """Compute `brox._derivative` in x, (H, W), into `out`."""
    height, width = image.shape
    for y in range(height):
        values, result = image[y], out[y]
        for x in range(2, width - 2):
            result[x] = _NEAR * (values[x + 1] - values[x - 1]) + _FAR * (
                values[x + 2] - values[x - 2]
            )
        for end in range(min(4, width)):
            x = end if end < 2 else width + 1 - end
            right, left = min(x + 1, width - 1), max(x - 1, 0)
            far_right, far_left = min(x + 2, width - 1), max(x - 2, 0)
            result[x] = _NEAR * (values[right] - values[left]) + _FAR * (
                values[far_right] - values[far_left]
            )


@compile_loop
def _differentiate_y(image: np.ndarray, out: np.ndarray) -> None:
    """Compute `brox._derivative` in y, (H, W), into `out`."""
    height, width = image.shape
    for y in range(height):
        above, below = image[max(y - 1, 0)], image[min(y + 1, height - 1)]
        far_above, far_below = image[max(y - 2, 0)], image[min(y + 2, height - 1)]
        result = out[y]
        for x in range(width):
            result[x] = _NEAR * (below[x] - above[x]) + _FAR * (far_below[x] - far_above[x])


@compile_loop
def _compute_link_weights(
    flow: np.ndarray, alpha: np.float32, epsilon2: np.float32, links: np.ndarray
) -> None:
    """Compute the weights alpha psi' of the links to the right and down into `links`, (2, H, W)."""
    _, height, width = flow.shape
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width - 1):
            square = epsilon2
            for component in range(2):
                w = flow[component]
                step = w[y, x + 1] - w[y, x]
                cross = w[below, x] - w[above, x] + w[below, x + 1] - w[above, x + 1]
                square += step * step + _QUARTER * _QUARTER * cross * cross
            links[0, y, x] = alpha / np.sqrt(square)
        if y == height - 1:
            break
        for x in range(1, width - 1):
            links[1, y, x] = _weight_below(flow, y, x - 1, x, x + 1, alpha, epsilon2)
        links[1, y, 0] = _weight_below(flow, y, 0, 0, min(1, width - 1), alpha, epsilon2)
        last = width - 1
        links[1, y, last] = _weight_below(flow, y, max(last - 1, 0), last, last, alpha, epsilon2)


@compile_loop
def _weight_below(
    flow: np.ndarray, y: int, left: int, x: int, right: int, alpha: np.float32, epsilon2: np.float32
) -> np.float32:
    """Return the weight of the link from (y, x) to the pixel below."""
    square = epsilon2
    for component in range(2):
        w = flow[component]
        step = w[y + 1, x] - w[y, x]
        cross = w[y, right] - w[y, left] + w[y + 1, right] - w[y + 1, left]
        square += step * step + _QUARTER * _QUARTER * cross * cross
    return alpha / np.sqrt(square)


@compile_loop
def _assemble_equations(
    equations: np.ndarray,
    start: np.ndarray,
    flow: np.ndarray,
    links: np.ndarray,
    epsilon2: np.float32,
    system: np.ndarray,
) -> None:
    """Compute the linear equations of one fixed-point iteration into `system`, by colour."""
    height, width = flow.shape[1:]
    rows = np.empty((5, width), np.float32)
    for y in range(height):
        for x in range(width):
            u, v = start[0, y, x], start[1, y, x]
            du, dv = flow[0, y, x] - u, flow[1, y, x] - v
            ix, iy, iz = equations[0, y, x], equations[1, y, x], equations[2, y, x]
            xx, xy, xz = equations[3, y, x], equations[4, y, x], equations[5, y, x]
            yx, yy, yz = equations[6, y, x], equations[7, y, x], equations[8, y, x]
            residual = iz + ix * du + iy * dv
            residual_x, residual_y = xz + xx * du + xy * dv, yz + yx * du + yy * dv
            psi = _ONE / np.sqrt(residual * residual + epsilon2)
            psi_grad = _ONE / np.sqrt(residual_x * residual_x + residual_y * residual_y + epsilon2)
            a11 = psi * ix * ix + psi_grad * (xx * xx + yx * yx)
            a12 = psi * ix * iy + psi_grad * (xx * xy + yx * yy)
            a22 = psi * iy * iy + psi_grad * (xy * xy + yy * yy)
            rows[3, x] = a11 * u + a12 * v - psi * ix * iz - psi_grad * (xx * xz + yx * yz)
            rows[4, x] = a12 * u + a22 * v - psi * iy * iz - psi_grad * (xy * xz + yy * yz)
            weight = links[0, y, x] + links[1, y, x]
            if x > 0:
                weight += links[0, y, x - 1]
            if y > 0:
                weight += links[1, y - 1, x]
            determinant = max(a11 * a22 - a12 * a12, _ZERO) + weight * (a11 + a22 + weight)
            rows[0, x] = (a22 + weight) / determinant
            rows[1, x] = -a12 / determinant
            rows[2, x] = (a11 + weight) / determinant
        for colour in range(2):
            offset = (y + colour) & 1
            for j in range((width - offset + 1) // 2):
                x = 2 * j + offset
                system[0, colour, y + 1, j + 1] = links[0, y, x]
                system[1, colour, y + 1, j + 1] = links[1, y, x]
                for row in range(5):
                    system[2 + row, colour, y + 1, j + 1] = rows[row, x]
                system[7, colour, y + 1, j + 1] = flow[0, y, x]
                system[8, colour, y + 1, j + 1] = flow[1, y, x]


@compile_loop
def _solve_equations(
    system: np.ndarray, omega: np.float32, iterations: int, height: int, width: int
) -> None:
    """Solve the equations by red-black SOR; the flow is `system[7:]`."""
    to_right, to_below, constant, flow = system[0], system[1], system[5:7], system[7:]
    half_sweeps = 2 * iterations
    for front_row in range(height + half_sweeps - 1):
        for half_sweep in range(max(0, front_row - height + 1), min(half_sweeps, front_row + 1)):
            y, colour = front_row - half_sweep, half_sweep & 1
            offset, other_colour = (y + colour) & 1, 1 - colour
            count, y = (width - offset + 1) // 2, y + 1
            # Neighbours in x have the other colour and start at `offset` and at `offset + 1`.
            row = slice(1, 1 + count)
            at_left, at_right = slice(offset, offset + count), slice(offset + 1, offset + 1 + count)
            _update_row(
                omega,
                system[2, colour, y, row], system[3, colour, y, row], system[4, colour, y, row],
                constant[0, colour, y, row], constant[1, colour, y, row],
                to_right[other_colour, y, at_left], to_right[colour, y, row],
                to_below[other_colour, y - 1, row], to_below[colour, y, row],
                flow[0, other_colour, y, at_left], flow[0, other_colour, y, at_right],
                flow[0, other_colour, y - 1, row], flow[0, other_colour, y + 1, row],
                flow[1, other_colour, y, at_left], flow[1, other_colour, y, at_right],
                flow[1, other_colour, y - 1, row], flow[1, other_colour, y + 1, row],
                flow[0, colour, y, row], flow[1, colour, y, row],
            )  # fmt: skip


@compile_loop
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


@compile_loop
def _unpack_colours(by_colour: np.ndarray, flow: np.ndarray) -> None:
    """Copy flow stored by colour into (2, H, W)."""
    _, height, width = flow.shape
    for component in range(2):
        for y in range(height):
            for colour in range(2):
                offset = (y + colour) & 1
                for j in range((width - offset + 1) // 2):
                    flow[component, y, 2 * j + offset] = by_colour[component, colour, y + 1, j + 1]
