"""Runtimes of a network: PyTorch, torch.compile, or ONNX Runtime."""

from __future__ import annotations

import copy
import io
import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym.compression.evaluation.layout import fastest_layout
from amc_gym.compression.handover.formats import FORMATS, onnxruntime
from amc_gym.compression.latency.layers import as_onnx

_COMPILED = itertools.count()

Pass = Callable[[], object]
"""Function that runs a network once, and returns when it is done."""


@dataclass(frozen=True)
class Runtime:
    """A runtime of networks.

    Attributes:
        prepare: (network in eval mode, images (N, C, H, W) on the device, threads) -> its pass.
        package: the package whose version the times depend on.
    """

    prepare: Callable[[nn.Module, Tensor, int], Pass]
    package: str

    @property
    def version(self) -> str:
        """Return the version of the package.

        Raises:
            ImportError: it is not installed.
        """
        if self.package == "onnxruntime":
            onnxruntime()
        return version(self.package)


def _torch(network: nn.Module, images: Tensor, threads: int) -> Pass:
    return _timed_on(*_laid_out(network, images))


def _compiled(network: nn.Module, images: Tensor, threads: int) -> Pass:
    network, images = _laid_out(network, images)

    def forward(images: Tensor) -> Tensor:
        return network(images)

    # PyTorch stores compiled code with a function's code object and stops at eight versions of it,
    # so each network gets a function with its own code object.
    code = forward.__code__.replace(co_name=f"network_{next(_COMPILED)}")
    own = FunctionType(code, forward.__globals__, None, None, forward.__closure__)
    optimised: Any = torch.compile(own, dynamic=False, options={"freezing": True})
    with torch.no_grad():  # freezing needs no_grad rather than inference_mode
        optimised(images)
    return _timed_on(optimised, images)


def _laid_out(network: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
    """Return copies on the images' device, in the fastest memory layout for convolutions."""
    network = copy.deepcopy(network).to(images.device)
    layout = fastest_layout(network, images[:1])
    network.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    return network, images.contiguous(memory_format=layout)


def _timed_on(network: Callable[[Tensor], Tensor], images: Tensor) -> Pass:
    def run() -> None:
        with torch.no_grad():
            network(images)
            if images.is_cuda:
                torch.cuda.synchronize()

    return run


def _onnx(network: nn.Module, images: Tensor, threads: int) -> Pass:
    ort = onnxruntime()
    images = images.cpu().contiguous()
    network = copy.deepcopy(network).cpu()  # ONNX Runtime runs on the CPU; the caller's copy stays
    content = as_onnx(network, images) or _exported(network, images)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name, array = session.get_inputs()[0].name, images.numpy()
    return lambda: session.run(None, {name: array})


def _exported(network: nn.Module, images: Tensor) -> bytes:
    """Return a network as an ONNX file for timing only, never for hand-over.

    PyTorch's older exporter takes a thirtieth of the newer one's time, and ONNX Runtime makes the
    same fused operations of both; if it is missing or fails, the newer one is used.
    """
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the older exporter
            torch.onnx.export(network, (images,), file, dynamo=False)  # type: ignore[arg-type]
    except Exception:  # the exporter may raise anything
        return FORMATS["onnx"].write(network, images, "network.onnx", {})[0]
    return file.getvalue()


RUNTIMES = {
    "torch": Runtime(_torch, "torch"),
    "compile": Runtime(_compiled, "torch"),
    "onnx": Runtime(_onnx, "onnxruntime"),
}
"""Name -> runtime.  "onnx" is the one that exported networks run in."""
