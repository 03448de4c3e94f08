"""Which devices multiply in bfloat16."""

import torch


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices faster in bfloat16 than in float32.

    All GPUs that torch supports take it; of CPUs those with the instructions of AVX-512 or AMX.
    """
    if device.type != "cpu":
        return True
    has = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and (
        has.get("avx512_bf16", False) or has.get("amx_bf16", False)
    )
