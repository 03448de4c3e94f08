"""`brox._linearise` on a CPU, compiled by Numba; the unknown is the whole flow, not its increment.

All steps move down the frame together: derivatives follow two rows behind the images that they are
taken of, so that these come from the cache, of which only the last rows are kept.
"""

import numpy as np

from video_lstm.compiled_loops import compile_inline_loop, compile_loop

_RING = 8
"""Rows that are kept; derivatives of derivatives reach from 6 to 2 rows behind the front."""
_ZERO, _HALF = np.float32(0), np.float32(0.5)
_ONE, _TWO, _THREE = np.float32(1), np.float32(2), np.float32(3)
_NEAR, _FAR = np.float32(8 / 12), np.float32(-1 / 12)
_CUBIC = np.float32(-0.75)  # as torch's grid_sample


@compile_loop
def linearise(
    first: np.ndarray,
    second: np.ndarray,
    flow: np.ndarray,
    sqrt_gamma: np.float32,
    zeta2: np.float32,
    border: int,
    columns: int,
    equations: np.ndarray,
) -> None:
    """Linearise the constancy terms of one pyramid level.

    Args:
        first: Smoothed first frame, (H, W); all arrays are float32.
        second: Smoothed second frame, (H, W).
        flow: Flow to linearise about, (2, H, W).
        sqrt_gamma: Square root of the weight of the gradient constancy term.
        zeta2: Square of `brox.ZETA`.
        border: Column of `equations` in which the frame begins.
        columns: Number of columns that are written, at least half the width; 0 right of the frame.
        equations: Overwritten with the coefficients of u, v and 1 in three residuals, by colour as
            `brox_cpu` describes, (9, 2, H + 2 or more, border + columns or more).
    """
    height, width = first.shape
    image = _pad_for_sampling(second)
    rings = np.empty((5, _RING, width), np.float32)
    mean, grey_x, grey_y, grey_z, inside = rings[0], rings[1], rings[2], rings[3], rings[4]
    corners, weights = np.empty(width, np.int32), np.empty((8, width), np.float32)
    rows = np.zeros((9, 2 * columns), np.float32)
    row = slice(border, border + columns)
    for front in range(height + 4):
        if front < height:
            now = front % _RING
            _locate_samples(flow[0, front], flow[1, front], front, height, corners, weights,
                            inside[now])  # fmt: skip
            _sample_row(image, corners, weights, first[front], mean[now], grey_z[now])
            _differentiate_x(mean[now], grey_x[now])
        y = front - 2
        if 0 <= y < height:
            _differentiate_y(mean, y, height, grey_y[y % _RING])
        y = front - 4
        if y < 0:
            continue
        now, first_colour, second_colour = y % _RING, y & 1, 1 - (y & 1)
        rows[0, :width], rows[1, :width], rows[2, :width] = grey_x[now], grey_y[now], grey_z[now]
        _differentiate_x(grey_x[now], rows[3, :width])
        _differentiate_y(grey_x, y, height, rows[4, :width])
        _differentiate_x(grey_z[now], rows[5, :width])
        _differentiate_x(grey_y[now], rows[6, :width])
        _differentiate_y(grey_y, y, height, rows[7, :width])
        _differentiate_y(grey_z, y, height, rows[8, :width])
        u, v = flow[0, y], flow[1, y]
        _normalise_row(_ONE, zeta2, u, v, inside[now], rows[0], rows[1], rows[2])
        _normalise_row(sqrt_gamma, zeta2, u, v, inside[now], rows[3], rows[4], rows[5])
        _normalise_row(sqrt_gamma, zeta2, u, v, inside[now], rows[6], rows[7], rows[8])
        for index in range(9):
            even = equations[index, first_colour, y + 1, row]
            odd = equations[index, second_colour, y + 1, row]
            _split_row(rows[index], even, odd)


@compile_loop
def _pad_for_sampling(image: np.ndarray) -> np.ndarray:
    """Replicate the border of an image by one pixel before and two pixels after each axis."""
    height, width = image.shape
    padded = np.empty((height + 3, width + 3), np.float32)
    for y in range(height + 3):
        values, out = image[min(max(y - 1, 0), height - 1)], padded[y]
        out[0], out[1 : width + 1], out[width + 1 :] = values[0], values, values[-1]
    return padded


@compile_loop
def _locate_samples(
    u: np.ndarray,
    v: np.ndarray,
    y: int,
    height: int,
    corners: np.ndarray,
    weights: np.ndarray,
    inside: np.ndarray,
) -> None:
    """Compute where the pixels of a row are in the second frame.

    Args:
        u: Flow to the right, (W,).
        v: Flow down, (W,).
        y: Number of the row.
        height: Height of the frame.
        corners: Indices of the first of 16 neighbours in the padded, flattened frame, (W,) int32.
        weights: Weights of the neighbours' columns and rows, (8, W).
        inside: 1 where the sample is in the frame, otherwise 0, (W,).
    """
    width = len(u)
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    for x in range(width):
        sample_x, sample_y = np.float32(x) + u[x], np.float32(y) + v[x]
        nearest_x, nearest_y = _clamp(sample_x, last_x), _clamp(sample_y, last_y)
        is_inside = (nearest_x == sample_x) & (nearest_y == sample_y)
        inside[x] = _ONE if is_inside else _ZERO
        left, top = np.int32(nearest_x), np.int32(nearest_y)
        corners[x] = top * (width + 3) + left
        columns = _cubic_weights(nearest_x - np.float32(left))
        rows = _cubic_weights(nearest_y - np.float32(top))
        weights[0, x], weights[1, x], weights[2, x], weights[3, x] = columns
        weights[4, x], weights[5, x], weights[6, x], weights[7, x] = rows


@compile_inline_loop
def _clamp(value: np.float32, last: np.float32) -> np.float32:
    """Return the nearest value in 0 .. last; `min` and `max` would not be vectorised."""
    value = value if value > _ZERO else _ZERO
    return value if value < last else last


@compile_inline_loop
def _cubic_weights(fraction: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Return the weights of four neighbours for a fraction of a pixel, 0 .. 1 (Keys 1981)."""
    a, rest = _CUBIC, _ONE - fraction
    first = a * fraction * rest * rest
    second = ((a + _TWO) * fraction - (a + _THREE)) * fraction * fraction + _ONE
    third = ((a + _TWO) * rest - (a + _THREE)) * rest * rest + _ONE
    return first, second, third, _ONE - first - second - third


@compile_loop
def _sample_row(
    image: np.ndarray,
    corners: np.ndarray,
    weights: np.ndarray,
    first: np.ndarray,
    mean: np.ndarray,
    change: np.ndarray,
) -> None:
    """Warp a row by cubic convolution; compute its mean with the first frame, and the change."""
    values, step = image.ravel(), image.shape[1]
    for x in range(len(first)):
        top, upper, lower, bottom = weights[4, x], weights[5, x], weights[6, x], weights[7, x]
        corner = corners[x]
        a = values[corner : corner + 4]
        b = values[corner + step : corner + step + 4]
        c = values[corner + 2 * step : corner + 2 * step + 4]
        d = values[corner + 3 * step : corner + 3 * step + 4]
        # All rows first: four columns are one vector.
        value = weights[0, x] * (top * a[0] + upper * b[0] + lower * c[0] + bottom * d[0])
        value += weights[1, x] * (top * a[1] + upper * b[1] + lower * c[1] + bottom * d[1])
        value += weights[2, x] * (top * a[2] + upper * b[2] + lower * c[2] + bottom * d[2])
        value += weights[3, x] * (top * a[3] + upper * b[3] + lower * c[3] + bottom * d[3])
        mean[x] = _HALF * (first[x] + value)
        change[x] = value - first[x]


@compile_loop
def _differentiate_x(values: np.ndarray, out: np.ndarray) -> None:
    """Compute `brox._derivative` of a row in x, (W,), into `out`."""
    width = len(values)
    if width > 4:
        inner, left, right = out[2:-2], values[1:-3], values[3:-1]
        far_left, far_right = values[:-4], values[4:]
        for x in range(len(inner)):
            inner[x] = _NEAR * (right[x] - left[x]) + _FAR * (far_right[x] - far_left[x])
    for end in range(min(4, width)):
        x = end if end < 2 else width + 1 - end
        near = values[min(x + 1, width - 1)] - values[max(x - 1, 0)]
        far = values[min(x + 2, width - 1)] - values[max(x - 2, 0)]
        out[x] = _NEAR * near + _FAR * far


@compile_loop
def _differentiate_y(ring: np.ndarray, y: int, height: int, out: np.ndarray) -> None:
    """Compute row y of `brox._derivative` in y into `out`, (W,), from the last rows."""
    above, below = ring[max(y - 1, 0) % _RING], ring[min(y + 1, height - 1) % _RING]
    far_above, far_below = ring[max(y - 2, 0) % _RING], ring[min(y + 2, height - 1) % _RING]
    for x in range(len(out)):
        out[x] = _NEAR * (below[x] - above[x]) + _FAR * (far_below[x] - far_above[x])


@compile_loop
def _normalise_row(
    weight: np.float32,
    zeta2: np.float32,
    u: np.ndarray,
    v: np.ndarray,
    inside: np.ndarray,
    to_u: np.ndarray,
    to_v: np.ndarray,
    constant: np.ndarray,
) -> None:
    """Divide the equations of a row by the lengths of their gradients; 0 outside of the frame.

    The constants of an increment of the flow become those of the whole flow.
    """
    for x in range(len(inside)):
        factor = weight * inside[x] / np.sqrt(to_u[x] * to_u[x] + to_v[x] * to_v[x] + zeta2)
        to_u[x] *= factor
        to_v[x] *= factor
        constant[x] = constant[x] * factor - to_u[x] * u[x] - to_v[x] * v[x]


@compile_loop
def _split_row(row: np.ndarray, even: np.ndarray, odd: np.ndarray) -> None:
    """Copy the even and the odd pixels of a row, (2 N,), into two rows, (N,)."""
    for j in range(len(even)):
        even[j] = row[2 * j]
        odd[j] = row[2 * j + 1]
