"""Exported files: they run, are smaller, and compute what the network computes."""

from __future__ import annotations

import builtins
import copy
import importlib.util
import json

import numpy as np
import pytest
import torch
from small import images
from torch import nn
from torch.nn import functional as F

import amc_gym
from amc_gym import ExportError
from amc_gym.compression.handover import export as hand_over
from amc_gym.compression.handover.export import description_of, export, load
from amc_gym.compression.handover.formats import FORMATS, halved

BATCH = images(9, 7).images


@pytest.fixture(scope="module")
def small(plain_task):
    plan = amc_gym.search(plain_task, 1, progress=False)
    return amc_gym.compress(plain_task, plan)


def logits(network, batch=BATCH):
    with torch.inference_mode():
        return network(batch)


def write(network, path, plain_task, **options):
    return export(network, path, original=plain_task.model, images=BATCH, **options)


def test_safetensors_are_rebuilt_without_pickle(plain_task, small, tmp_path, monkeypatch):
    exported = write(small, tmp_path / "small.safetensors", plain_task)
    assert exported.params == sum(p.numel() for p in small.parameters())
    assert exported.bytes == exported.path.stat().st_size
    monkeypatch.setattr("torch.load", None)
    monkeypatch.setattr("pickle.Unpickler", None)
    original = copy.deepcopy(plain_task.model)
    rebuilt = load(exported.path, original)
    assert torch.equal(logits(rebuilt), logits(small))
    assert repr(rebuilt) == repr(small)
    assert torch.equal(logits(original), logits(plain_task.model))
    assert all(p.requires_grad for p in rebuilt.parameters())
    assert not rebuilt.training


def test_litert_runs_in_its_interpreter(plain_task, small, tmp_path):
    """Export to LiteRT where it is installed; elsewhere the error names the extra to install."""
    path = tmp_path / "small.tflite"
    if importlib.util.find_spec("litert_torch") is None:
        with pytest.raises(ImportError, match=r"pip install 'amc-gym\[litert\]'"):
            write(small, path, plain_task)
        assert not path.exists()
        return
    exported = write(small, path, plain_task)
    assert exported.error < 1e-5
    run = FORMATS["litert"].read([path.read_bytes()], plain_task.model)
    (found,) = run(BATCH)
    assert torch.allclose(found, logits(small), atol=1e-4)


def test_kernels_that_half_precision_holds_take_half_the_room(plain_task, small, tmp_path):
    rounded = copy.deepcopy(small)
    rounded.load_state_dict(halved(small.state_dict()))
    assert not torch.equal(logits(rounded), logits(small))
    exported = write(rounded, tmp_path / "rounded.safetensors", plain_task)
    assert exported.bytes < 0.7 * write(small, tmp_path / "small.safetensors", plain_task).bytes
    rebuilt = load(exported.path, plain_task.model)
    assert torch.equal(logits(rebuilt), logits(rounded))
    assert {p.dtype for p in rebuilt.parameters()} == {torch.float32}


def test_the_original_is_found_by_name(digits_task, tmp_path):
    plan = amc_gym.search(digits_task, 1, progress=False)
    network = amc_gym.compress(digits_task, plan)
    exported = amc_gym.export(network, digits_task, tmp_path / "small.safetensors")
    batch = digits_task.test.images[:20]
    assert torch.equal(logits(amc_gym.load(exported.path), batch), logits(network, batch))
    description = json.loads(description_of(exported.path).read_text())
    assert description["reward"]["top1"] == plan.measured.accuracy
    assert exported.macs == plan.measured.macs


def test_tasks_of_objects_need_the_original(plain_task, small, tmp_path):
    exported = amc_gym.export(small, plain_task, tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match=r"load\(path, model=...\)"):
        amc_gym.load(exported.path)
    assert torch.equal(logits(amc_gym.load(exported.path, plain_task.model)), logits(small))


def test_torch_export_takes_any_number_of_images(plain_task, small, tmp_path):
    exported = write(small, tmp_path / "small.pt2", plain_task)
    program = torch.export.load(exported.path).module()
    for n in (1, 9):
        torch.testing.assert_close(logits(program, BATCH[:n]), logits(small, BATCH[:n]))
    assert __file__.encode() not in exported.path.read_bytes()


def test_onnx_agrees_with_pytorch_for_any_number_of_images(plain_task, small, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = write(small, tmp_path / "small.onnx", plain_task)
    assert exported.error < 1e-5
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    for n in (1, 9):
        (found,) = session.run(["logits"], {"images": BATCH[:n].numpy()})
        np.testing.assert_allclose(found, logits(small, BATCH[:n]).numpy(), rtol=1e-4, atol=1e-5)
    assert b"small.py" not in exported.path.read_bytes()  # the file that defines PlainStack


def test_without_the_onnx_extra(plain_task, small, tmp_path, monkeypatch):
    real = builtins.__import__

    def lacking(name, *rest):
        if name == "onnxruntime":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(ImportError, match=r"pip install 'amc-gym\[onnx\]'"):
        write(small, tmp_path / "small.onnx", plain_task)
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_no_smaller_is_refused(plain_task, tmp_path):
    with pytest.raises(ExportError, match="it was not compressed"):
        write(plain_task.model, tmp_path / "same.safetensors", plain_task)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_smaller_is_refused(plain_task, small, tmp_path):
    # A buffer, which does not count as parameters, makes the file as large as the original's.
    padded = copy.deepcopy(small)
    padded.register_buffer("ballast", torch.zeros(20_000))
    with pytest.raises(ExportError, match="compress more"):
        write(padded, tmp_path / "padded.safetensors", plain_task)
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_refused(plain_task, small, tmp_path, monkeypatch):
    monkeypatch.setattr(hand_over, "_difference", lambda read, expected: float("nan"))
    with pytest.raises(ExportError, match="does not give the network's logits"):
        write(small, tmp_path / "wrong.safetensors", plain_task)
    assert not list(tmp_path.iterdir())


def test_untraceable_networks_are_named(plain_task, small, tmp_path):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = small

        def forward(self, x):
            return self.inner(x) if x.sum() > 0 else self.inner(-x)

    with pytest.raises(ExportError, match="cannot trace Branching"):
        write(Branching(), tmp_path / "branching.pt2", plain_task)


def test_what_onnx_cannot_hold_is_said_in_one_plain_line(plain_task, small, tmp_path):
    class ForEachImage(nn.Module):
        """A convolution with a kernel for each image, whose groups are their number."""

        def __init__(self):
            super().__init__()
            self.inner, self.one = small, nn.Buffer(torch.ones(1, 1, 1, 1))

        def forward(self, x):
            n, c, h, w = x.shape
            maps, kernels = x.reshape(1, n * c, h, w), self.one.expand(n * c, 1, 1, 1)
            return self.inner(F.conv2d(maps, kernels, groups=n * c).view(n, c, h, w))

    with pytest.raises(ExportError, match=r"no ONNX form \(.*aten\.conv2d.*use format") as refused:
        write(ForEachImage(), tmp_path / "small.onnx", plain_task)
    assert str(refused.value).isprintable()


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_file_that_does_not_run_is_refused_in_one_plain_line(plain_task, small, tmp_path):
    class Projected(nn.Module):
        """A recurrent layer with projections, which gets wrong sizes in ONNX."""

        def __init__(self, inner):
            super().__init__()
            self.inner, self.l = inner, nn.LSTM(3, 4, proj_size=2, batch_first=True)

        def forward(self, x):
            return self.inner(x) + self.l(x.flatten(2).mT[:, :2])[0].mean()

    network, original = Projected(small), Projected(plain_task.model)
    with pytest.raises(ExportError, match=r"does not run \(.*use another format") as refused:
        export(network, tmp_path / "small.onnx", original=original, images=BATCH)
    assert str(refused.value).isprintable()


def test_existing_files_stay(plain_task, small, tmp_path):
    for name in ("small.safetensors", "small.safetensors.json"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(FileExistsError, match="exists: name another file"):
            write(small, folder / "small.safetensors", plain_task)
        assert [path.read_text() for path in folder.iterdir()] == ["mine"]
        write(small, folder / "small.safetensors", plain_task, overwrite=True)
        assert torch.equal(
            logits(load(folder / "small.safetensors", plain_task.model)), logits(small)
        )


def test_formats_and_suffixes(plain_task, small, tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of \.safetensors, \.pt2, \.onnx"):
        write(small, tmp_path / "small.bin", plain_task)
    with pytest.raises(ValueError, match=r"ends in \.pt2"):
        write(small, tmp_path / "small.onnx", plain_task, format="torch-export")
    with pytest.raises(ValueError, match="did you mean 'onnx'"):
        write(small, tmp_path / "small.onnx", plain_task, format="onx")


def test_damaged_files_are_refused(plain_task, small, tmp_path):
    path = write(small, tmp_path / "small.safetensors", plain_task).path
    beside, whole = description_of(path), path.read_bytes()
    description = json.loads(beside.read_text())

    path.write_bytes(whole[:-4])
    with pytest.raises(ExportError, match="checksum"):
        load(path, plain_task.model)
    path.write_bytes(whole)
    for damaged, message in (
        ("{", "not the description"),
        ("[]", "not the description"),
        (json.dumps(description | {"format": 99}), "update amc-gym"),
        (json.dumps(description | {"layers": [1]}), "damaged"),
        (json.dumps(description | {"layers": {}}), "describes another network"),
    ):
        beside.write_text(damaged)
        with pytest.raises(ExportError, match=message):
            load(path, plain_task.model)
    first = description["layers"]["first"]["tensors"]["weight"]
    for shape, message in (
        ([first[0] - 1, *first[1:]], "not those that are described"),
        ([99, *first[1:]], "not a smaller layer"),
    ):
        changed = copy.deepcopy(description)
        changed["layers"]["first"]["tensors"]["weight"] = shape
        beside.write_text(json.dumps(changed))
        with pytest.raises(ExportError, match=message):
            load(path, plain_task.model)
    beside.unlink()
    with pytest.raises(FileNotFoundError, match=r"the description of .* is missing"):
        load(path, plain_task.model)


def test_the_file_of_another_network_is_refused(plain_task, small, tmp_path):
    path = write(small, tmp_path / "small.safetensors", plain_task).path
    with pytest.raises(ExportError, match="describes another network than Sequential"):
        load(path, nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_zeros_are_not_handed_over_as_if_they_were_smaller(plain_task, tmp_path):
    sparse_network = copy.deepcopy(plain_task.model)
    sparse_network.get_submodule("third").weight.data[:, :5] = 0
    with pytest.raises(ExportError, match="the network was pruned weight by weight"):
        write(sparse_network, tmp_path / "sparse.safetensors", plain_task)
    assert not list(tmp_path.iterdir())
