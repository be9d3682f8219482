"""Every example of an objective goes all the way on a tiny budget: search to a file that runs."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "two inputs": ("two_inputs", {}),
    "time series": ("forecast", {}),
    "U-Net": ("segment_scenes", {"network": "unet", "images": 32, "size": 24, "epochs": 3}),
    "LR-ASPP": ("segment_scenes", {"network": "lraspp", "images": 32, "size": 32, "epochs": 3}),
    "Faster R-CNN": (
        "detect_scenes",
        {"network": "faster-rcnn", "images": 32, "epochs": 3, "finetuning": 1, "size": 48},
    ),
    "SSDLite": (
        "detect_scenes",
        {"network": "ssdlite", "images": 32, "epochs": 3, "finetuning": 1},
    ),
    "YOLO": ("detect_scenes", {"network": "yolo", "images": 32, "epochs": 3, "finetuning": 1}),
    "ViT": ("transformers", {"network": "vit"}),
    "ConvNeXt": ("transformers", {"network": "convnext"}),
}

SLOW = ("LR-ASPP", "SSDLite")
"""Written by torch.export: PyTorch's way to ONNX takes half a minute for their many layers."""


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return importlib.import_module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own exporter, of its parts
@pytest.mark.parametrize("name", TINY)
def test_it_goes_all_the_way(name, example, tmp_path, capsys):
    module, options = TINY[name]
    out = tmp_path / f"network.{'pt2' if name in SLOW else 'onnx'}"
    example(module).main(
        **{"epochs": 1, "evaluations": 2, "out": out} | options
    )  # validates on its way
    assert "Exported" in capsys.readouterr().out
    if name in SLOW:
        return
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert all(isinstance(one.shape[0], str) for one in session.get_inputs())  # any number
