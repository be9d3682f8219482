"""Precision: which devices compute in bfloat16 themselves."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from amc_gym.compression.evaluation.precision import has_bf16

X86 = platform.machine().lower() in ("x86_64", "amd64")


@pytest.mark.skipif(
    not X86 or not Path("/proc/cpuinfo").exists(), reason="x86 Linux lists its processor's flags"
)
def test_an_x86_processor_has_it_where_its_flags_say_so() -> None:
    (line, *_) = (
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")
    )
    assert has_bf16("cpu") == bool({"avx512_bf16", "amx_tile"} & set(line.split()))


@pytest.mark.skipif(not X86, reason="tests of x86 processors")
@pytest.mark.parametrize("test", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_either_instruction_set_will_do(test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, other, lambda has=other == test: has)
    assert has_bf16(torch.device("cpu"))


def test_other_processors_are_judged_by_torchs_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    expected = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    # The flags of x86 make no difference.
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not expected)
    assert has_bf16("cpu") == bool(expected)


def test_emulation_does_not_count_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def supported(including_emulation: bool = True) -> bool:
        asked["including_emulation"] = including_emulation
        return including_emulation

    class Chosen:
        def __init__(self, device: torch.device) -> None:
            asked["device"] = device

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "device", Chosen)
    assert not has_bf16("cuda:1")
    assert asked == {"including_emulation": False, "device": torch.device("cuda:1")}
