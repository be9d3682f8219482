"""Examples with an objective: each runs on a tiny budget, from search to a file that works."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from children import environment
from safetensors.torch import save_file

import amc_gym
from amc_gym._utils.nests import called, leaves

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
"""Examples exported by torch.export; to ONNX, their many layers take PyTorch half a minute."""


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
"""Program that runs files on one sample and on three, without this package or the examples."""


ORIGINALS = {
    "two inputs": "two_inputs.PictureAndNumbers()",
    "time series": "forecast.Forecaster()",
    "U-Net": "segment_scenes.UNet()",
    "LR-ASPP": "segment_scenes.lraspp()",
    "Faster R-CNN": "detect_scenes.NETWORKS['faster-rcnn'](48)",
    "SSDLite": "detect_scenes.NETWORKS['ssdlite'](64)",
    "YOLO": "detect_scenes.NETWORKS['yolo'](64)",
    "ViT": "transformers.vit()",
    "ConvNeXt": "transformers.convnext()",
}
"""Code that makes the network that an example compresses, with any weights."""

LOADER = """
import sys
from pathlib import Path

import torch
from children import environment
from safetensors.torch import load_file

import amc_gym
from amc_gym._utils.nests import called, leaves

sys.path.insert(0, sys.argv[1])
import detect_scenes, forecast, segment_scenes, transformers, two_inputs

torch.set_num_threads(1)
for original, file in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    network = amc_gym.load(file, eval(original))
    known = load_file(Path(file).with_name("known.safetensors"))
    inputs = {name[3:]: known.pop(name) for name in list(known) if name.startswith("in.")}
    with torch.no_grad():
        outputs = leaves(called(network, inputs.get("", inputs)))
    assert len(outputs) == len(known), file
    for number, output in enumerate(outputs):
        torch.testing.assert_close(output, known[f"out.{number}"], rtol=1e-4, atol=1e-5)
    print(original)
"""
"""Program that loads safetensors into the originals' classes, and compares their outputs."""


@pytest.fixture(scope="module")
def written():
    return {}


@pytest.fixture
def exported(monkeypatch):
    """Record the networks and tasks that an example exports."""
    export, seen = amc_gym.export, []

    def exporting(network, task, path, **keywords):
        seen.append((network, task))
        return export(network, task, path, **keywords)

    monkeypatch.setattr(amc_gym, "export", exporting)
    return seen


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return importlib.import_module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's exporter uses old parts of it
@pytest.mark.parametrize("name", TINY)
def test_an_example_goes_from_search_to_export(name, example, tmp_path, capsys, written, exported):
    module, options = TINY[name]
    out = tmp_path / f"network.{'pt2' if name in SLOW else 'onnx'}"
    example(module).main(
        **{"epochs": 1, "evaluations": 2, "out": out} | options
    )  # this validates the plan, too
    assert "Exported" in capsys.readouterr().out
    written[name] = out
    ((network, task),) = exported
    amc_gym.export(network, task, out.with_name("tensors.safetensors"))
    inputs = task.test.batch(slice(2))
    with torch.no_grad():
        outputs = leaves(called(network, inputs))
    known = {
        f"in.{key}": x for key, x in (inputs if isinstance(inputs, dict) else {"": inputs}).items()
    }
    known |= {f"out.{number}": x for number, x in enumerate(outputs)}
    save_file({key: x.contiguous() for key, x in known.items()}, out.with_name("known.safetensors"))
    if name in SLOW:
        return
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert all(isinstance(one.shape[0], str) for one in session.get_inputs())  # any number


def test_the_files_run_in_a_new_process(written, tmp_path):
    if len(written) < len(TINY):
        pytest.skip("it reads what the tests above have written")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, *map(str, written.values())],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == list(map(str, written.values())), done.stderr
    assert done.returncode == 0, done.stderr


def test_tensors_come_back_in_a_new_process(written, tmp_path):
    if len(written) < len(TINY):
        pytest.skip("it reads what the tests above have written")
    words = []
    for name, out in written.items():
        words += [ORIGINALS[name], str(out.with_name("tensors.safetensors"))]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADER, str(EXAMPLES), *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == words[::2], done.stderr
