"""Which devices have bfloat16 arithmetic, instead of converting each number back and forth."""

from __future__ import annotations

import platform

import torch


def has_bf16(device: torch.device | str) -> bool:
    """Return whether a device has bfloat16 arithmetic.

    Without it ``precision="bf16"`` works but is slow: on CPUs about ten times slower than float32.

    * x86 CPUs: AVX512-BF16 or AMX.  AVX-512 alone is not enough, although torch's own test of
      oneDNN accepts it; bfloat16 is then converted back and forth.
    * Other CPUs: what torch reports for oneDNN, or for the Arm library in its place.
    * CUDA: from compute capability 8.0 (Ampere); torch emulates it on older GPUs.
    * Other devices do not report it, and are assumed to have it.
    """
    device = torch.device(device)
    if device.type == "cpu":
        if platform.machine().lower() in ("x86_64", "amd64"):
            return any(
                getattr(torch.cpu, test)()
                for test in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
            )
        return torch.backends.mkldnn.is_available() and bool(
            torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return True
