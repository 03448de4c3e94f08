"""Peak rate of matrix products, the reference for model FLOPs utilisation."""

import time

import torch

_TRIALS = 5


def measure_matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations per second of large matrix products, best of 5 trials.

    Args:
        device: Device to measure.
        dtype: Data type of the matrices.
    """
    # About 20 ms a trial on a core, a few on a large GPU.
    side = 8192 if device.type == "cuda" else 1024
    # Random numbers, since a GPU draws less power and is faster on constants than on real data.
    left, right = torch.randn(2, side, side, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(_TRIALS):
        start = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # synchronises with a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
