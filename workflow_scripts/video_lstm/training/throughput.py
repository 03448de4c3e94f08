"""How fast a training is, against what the machine can do."""

import time

import torch

_TRIALS = 5


def measure_matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of large matrix products, the best of a few trials.

    Args:
        device: which.
        dtype: Data type of the matrices.
    """
    # About 20 ms a trial on a core, a few on a large GPU.
    side = 8192 if device.type == "cuda" else 1024
    # Random: on constants a GPU draws less power and is faster than it is on real data.
    left, right = torch.randn(2, side, side, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(_TRIALS):
        start = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
