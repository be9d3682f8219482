"""Every example of an objective goes all the way on a tiny budget: search to a file that runs."""

from __future__ import annotations

import importlib
import subprocess
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


READER = """
import sys

import numpy as np
import onnxruntime
import torch

for path in sys.argv[1:]:
    for n in (1, 3):
        if path.endswith(".pt2"):
            program = torch.export.load(path)
            names = program.graph_signature.user_inputs
            sizes = [
                [side if isinstance(side, int) else n for side in node.meta["val"].shape]
                for node in program.graph.nodes
                if node.op == "placeholder" and node.name in names
            ]
            outputs = torch.utils._pytree.tree_leaves(program.module()(*map(torch.randn, sizes)))
        else:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            given = {}
            for each in session.get_inputs():
                sides = [side if isinstance(side, int) else n for side in each.shape]
                given[each.name] = np.random.rand(*sides)
            outputs = session.run(None, {name: x.astype(np.float32) for name, x in given.items()})
        for output in outputs:
            array = np.asarray(output.detach() if isinstance(output, torch.Tensor) else output)
            assert len(array) == n and np.isfinite(array).all(), path
    print(path)
assert not {"amc_gym", "torchvision", "detectors"} & set(sys.modules)
"""
"""Runs files on one sample and on three, with neither this package nor the examples."""


@pytest.fixture(scope="module")
def written():
    return []


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return importlib.import_module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own exporter, of its parts
@pytest.mark.parametrize("name", TINY)
def test_it_goes_all_the_way(name, example, tmp_path, capsys, written):
    module, options = TINY[name]
    out = tmp_path / f"network.{'pt2' if name in SLOW else 'onnx'}"
    example(module).main(
        **{"epochs": 1, "evaluations": 2, "out": out} | options
    )  # validates on its way
    assert "Exported" in capsys.readouterr().out
    written.append(out)
    if name in SLOW:
        return
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert all(isinstance(one.shape[0], str) for one in session.get_inputs())  # any number


def test_the_files_run_in_a_new_process(written, tmp_path):
    if len(written) < len(TINY):
        pytest.skip("it reads what the tests above have written")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, *map(str, written)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == list(map(str, written)), done.stderr
    assert done.returncode == 0, done.stderr
