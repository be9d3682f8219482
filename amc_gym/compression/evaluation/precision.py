"""Which devices compute in bfloat16, rather than widening each number and rounding it again."""

from __future__ import annotations

import platform

import torch


def has_bf16(device: torch.device | str) -> bool:
    """Whether a device has bfloat16 arithmetic.

    Without it ``precision="bf16"`` still works and is slow: on processors some ten times slower
    than float32.

    * x86 processors: AVX512-BF16 or AMX.  AVX-512 alone does not do, though torch's own test of
      oneDNN is content with it; there bfloat16 is converted back and forth.
    * Other processors: what torch says of oneDNN, or of the Arm library in its place.
    * CUDA: compute capability 8.0 (Ampere) on; before, torch emulates it.
    * Other devices say nothing about it, and are taken to have it.
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
