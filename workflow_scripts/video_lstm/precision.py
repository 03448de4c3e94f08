"""Support for bfloat16 by device."""

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies matrices faster in bfloat16 than in float32.

    True for all GPUs that torch supports, and for CPUs with AVX-512 or AMX bfloat16 instructions.
    """
    if device.type != "cpu":
        return True
    capabilities = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and (
        capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
    )
