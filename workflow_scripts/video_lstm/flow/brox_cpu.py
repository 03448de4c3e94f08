"""One level of Brox flow on a CPU, compiled by Numba: `brox.solve_level` but for its median.

The linear equations are kept by colour, as red-black SOR visits them: pixel (y, x) is of colour
c = (x + y) % 2 and is at [c, y + 1, x // 2 + 1], so that a half sweep over a row reads neighbours
side by side and runs in vectors. A border of zero weights stands for what is outside the frame.

Half sweeps follow each other down the frame, each a row behind the one before it, so that all
iterations pass while a row is in the cache. The order in which values depend on each other is that
of whole sweeps, and so is the result.

All of it runs in one thread and without the interpreter's lock: pairs are for threads to share.
"""

import llvmlite.binding
import numpy as np
from numba import njit

# LLVM gives up on vectors where it would have to check at run time that more than 8 pairs of rows
# do not overlap; a half sweep has 40.
llvmlite.binding.set_option("brox", "--runtime-memory-check-threshold=100")

_compile = njit(nogil=True, fastmath=True, cache=True, error_model="numpy")
_HALF, _QUARTER = np.float32(0.5), np.float32(0.25)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_NEAR, _FAR = np.float32(8 / 12), np.float32(-1 / 12)
_CUBIC = np.float32(-0.75)  # as torch's grid_sample


@_compile
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
    """Replace the flow (2, H, W) by that of this level; frames (H, W); all float32, contiguous."""
    height, width = first.shape
    equations = np.empty((9, height, width), np.float32)
    _linearise(first, second, flow, np.float32(np.sqrt(gamma)), np.float32(zeta2), equations)
    start, links = flow.copy(), np.zeros((2, height, width), np.float32)
    # Weights to the right and down; the inverse blocks; the known side; the flow.
    system = np.zeros((9, 2, height + 2, (width + 1) // 2 + 2), np.float32)
    for _ in range(inner_iterations):
        _diffuse(flow, np.float32(alpha), np.float32(smooth_epsilon2), links)
        _assemble(equations, start, flow, links, np.float32(epsilon2), system)
        _sweep(system, np.float32(omega), solver_iterations, height, width)
        _unpack(system[7:], flow)


@_compile
def _linearise(
    first: np.ndarray,
    second: np.ndarray,
    flow: np.ndarray,
    root: np.float32,
    zeta2: np.float32,
    out: np.ndarray,
) -> None:
    """`brox._linearise`, to (9, H, W); `root` is that of gamma."""
    height, width = first.shape
    mean, inside = np.empty_like(first), np.empty_like(first)
    for y in range(height):
        for x in range(width):
            at_x, at_y = x + flow[0, y, x], y + flow[1, y, x]
            there = 0 <= at_x <= width - 1 and 0 <= at_y <= height - 1
            inside[y, x] = _ONE if there else _ZERO
            value = _sample(second, at_x, at_y)
            mean[y, x] = _HALF * (first[y, x] + value)
            out[2, y, x] = value - first[y, x]
    grey_x, grey_y, grey_z = out[0], out[1], out[2]
    _derive_x(mean, grey_x)
    _derive_y(mean, grey_y)
    _derive_x(grey_x, out[3])
    _derive_y(grey_x, out[4])
    _derive_x(grey_z, out[5])
    _derive_x(grey_y, out[6])
    _derive_y(grey_y, out[7])
    _derive_y(grey_z, out[8])
    for row in range(0, 9, 3):
        weight = _ONE if row == 0 else root
        for y in range(height):
            for x in range(width):
                a, b = out[row, y, x], out[row + 1, y, x]
                factor = weight * inside[y, x] / np.sqrt(a * a + b * b + zeta2)
                out[row, y, x] = a * factor
                out[row + 1, y, x] = b * factor
                out[row + 2, y, x] *= factor


@_compile
def _sample(image: np.ndarray, x: np.float32, y: np.float32) -> np.float32:
    """Cubic convolution (Keys 1981), the border repeated."""
    height, width = image.shape
    x = min(max(x, _ZERO), np.float32(width - 1))
    y = min(max(y, _ZERO), np.float32(height - 1))
    left, top = int(x), int(y)
    across, along = _taps(x - np.float32(left)), _taps(y - np.float32(top))
    x0, x2, x3 = max(left - 1, 0), min(left + 1, width - 1), min(left + 2, width - 1)
    total = _ZERO
    for row in range(4):
        line = image[min(max(top + row - 1, 0), height - 1)]
        total += along[row] * (
            across[0] * line[x0] + across[1] * line[left]
            + across[2] * line[x2] + across[3] * line[x3]
        )  # fmt: skip
    return total


@_compile
def _taps(part: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    a, rest, before = _CUBIC, _ONE - part, _ONE + part
    first = ((a * before - 5 * a) * before + 8 * a) * before - 4 * a
    second = ((a + _TWO) * part - (a + 3)) * part * part + _ONE
    third = ((a + _TWO) * rest - (a + 3)) * rest * rest + _ONE
    return (
        np.float32(first),
        np.float32(second),
        np.float32(third),
        np.float32(_ONE - first - second - third),
    )


@_compile
def _derive_x(image: np.ndarray, out: np.ndarray) -> None:
    height, width = image.shape
    for y in range(height):
        line, to = image[y], out[y]
        for x in range(2, width - 2):
            to[x] = _NEAR * (line[x + 1] - line[x - 1]) + _FAR * (line[x + 2] - line[x - 2])
        for end in range(min(4, width)):
            x = end if end < 2 else width + 1 - end
            right, left = min(x + 1, width - 1), max(x - 1, 0)
            far_right, far_left = min(x + 2, width - 1), max(x - 2, 0)
            to[x] = _NEAR * (line[right] - line[left]) + _FAR * (line[far_right] - line[far_left])


@_compile
def _derive_y(image: np.ndarray, out: np.ndarray) -> None:
    height, width = image.shape
    for y in range(height):
        above, below = image[max(y - 1, 0)], image[min(y + 1, height - 1)]
        far_above, far_below = image[max(y - 2, 0)], image[min(y + 2, height - 1)]
        to = out[y]
        for x in range(width):
            to[x] = _NEAR * (below[x] - above[x]) + _FAR * (far_below[x] - far_above[x])


@_compile
def _diffuse(flow: np.ndarray, alpha: np.float32, epsilon2: np.float32, links: np.ndarray) -> None:
    """Weights alpha psi' between a pixel and the one to its right, and the one below it."""
    _, height, width = flow.shape
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width - 1):
            square = epsilon2
            for part in range(2):
                w = flow[part]
                step = w[y, x + 1] - w[y, x]
                turn = w[below, x] - w[above, x] + w[below, x + 1] - w[above, x + 1]
                square += step * step + _QUARTER * _QUARTER * turn * turn
            links[0, y, x] = alpha / np.sqrt(square)
        if y == height - 1:
            break
        for x in range(1, width - 1):
            links[1, y, x] = _down(flow, y, x - 1, x, x + 1, alpha, epsilon2)
        links[1, y, 0] = _down(flow, y, 0, 0, min(1, width - 1), alpha, epsilon2)
        last = width - 1
        links[1, y, last] = _down(flow, y, max(last - 1, 0), last, last, alpha, epsilon2)


@_compile
def _down(
    flow: np.ndarray, y: int, left: int, x: int, right: int, alpha: np.float32, epsilon2: np.float32
) -> np.float32:
    square = epsilon2
    for part in range(2):
        w = flow[part]
        step = w[y + 1, x] - w[y, x]
        turn = w[y, right] - w[y, left] + w[y + 1, right] - w[y + 1, left]
        square += step * step + _QUARTER * _QUARTER * turn * turn
    return alpha / np.sqrt(square)


@_compile
def _assemble(
    equations: np.ndarray,
    start: np.ndarray,
    flow: np.ndarray,
    links: np.ndarray,
    epsilon2: np.float32,
    system: np.ndarray,
) -> None:
    """The linear equations of one fixed-point iteration, by colour."""
    height, width = flow.shape[1:]
    rows = np.empty((5, width), np.float32)
    for y in range(height):
        for x in range(width):
            u, v = start[0, y, x], start[1, y, x]
            du, dv = flow[0, y, x] - u, flow[1, y, x] - v
            ix, iy, iz = equations[0, y, x], equations[1, y, x], equations[2, y, x]
            xx, xy, xz = equations[3, y, x], equations[4, y, x], equations[5, y, x]
            yx, yy, yz = equations[6, y, x], equations[7, y, x], equations[8, y, x]
            grey = iz + ix * du + iy * dv
            along_x, along_y = xz + xx * du + xy * dv, yz + yx * du + yy * dv
            p = _ONE / np.sqrt(grey * grey + epsilon2)
            q = _ONE / np.sqrt(along_x * along_x + along_y * along_y + epsilon2)
            a11 = p * ix * ix + q * (xx * xx + yx * yx)
            a12 = p * ix * iy + q * (xx * xy + yx * yy)
            a22 = p * iy * iy + q * (xy * xy + yy * yy)
            rows[3, x] = a11 * u + a12 * v - p * ix * iz - q * (xx * xz + yx * yz)
            rows[4, x] = a12 * u + a22 * v - p * iy * iz - q * (xy * xz + yy * yz)
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


@_compile
def _sweep(system: np.ndarray, omega: np.float32, iterations: int, height: int, width: int) -> None:
    """Red-black SOR."""
    right, down, known, flow = system[0], system[1], system[5:7], system[7:]
    half_sweeps = 2 * iterations
    for front in range(height + half_sweeps - 1):
        for sweep in range(max(0, front - height + 1), min(half_sweeps, front + 1)):
            y, own = front - sweep, sweep & 1
            offset, other = (y + own) & 1, 1 - own
            count, y = (width - offset + 1) // 2, y + 1
            # A row of one colour; its neighbours in x are at `offset` and one further.
            here = slice(1, 1 + count)
            before, after = slice(offset, offset + count), slice(offset + 1, offset + 1 + count)
            _half_sweep_row(
                omega,
                system[2, own, y, here], system[3, own, y, here], system[4, own, y, here],
                known[0, own, y, here], known[1, own, y, here],
                right[other, y, before], right[own, y, here],
                down[other, y - 1, here], down[own, y, here],
                flow[0, other, y, before], flow[0, other, y, after],
                flow[0, other, y - 1, here], flow[0, other, y + 1, here],
                flow[1, other, y, before], flow[1, other, y, after],
                flow[1, other, y - 1, here], flow[1, other, y + 1, here],
                flow[0, own, y, here], flow[1, own, y, here],
            )  # fmt: skip


@_compile
def _half_sweep_row(
    omega: np.float32,
    m11: np.ndarray, m12: np.ndarray, m22: np.ndarray,
    known_u: np.ndarray, known_v: np.ndarray,
    to_left: np.ndarray, to_right: np.ndarray, to_above: np.ndarray, to_below: np.ndarray,
    u_left: np.ndarray, u_right: np.ndarray, u_above: np.ndarray, u_below: np.ndarray,
    v_left: np.ndarray, v_right: np.ndarray, v_above: np.ndarray, v_below: np.ndarray,
    u: np.ndarray, v: np.ndarray,
) -> None:  # fmt: skip
    for j in range(len(u)):
        left, right, above, below = to_left[j], to_right[j], to_above[j], to_below[j]
        pull_u = known_u[j] + left * u_left[j] + right * u_right[j]
        pull_u += above * u_above[j] + below * u_below[j]
        pull_v = known_v[j] + left * v_left[j] + right * v_right[j]
        pull_v += above * v_above[j] + below * v_below[j]
        u[j] += omega * (m11[j] * pull_u + m12[j] * pull_v - u[j])
        v[j] += omega * (m12[j] * pull_u + m22[j] * pull_v - v[j])


@_compile
def _unpack(by_colour: np.ndarray, flow: np.ndarray) -> None:
    _, height, width = flow.shape
    for part in range(2):
        for y in range(height):
            for colour in range(2):
                offset = (y + colour) & 1
                for j in range((width - offset + 1) // 2):
                    flow[part, y, 2 * j + offset] = by_colour[part, colour, y + 1, j + 1]
