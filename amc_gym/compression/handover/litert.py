"""LiteRT, formerly TensorFlow Lite: a `.tflite` file for phones, one image at a time.

Google's converter ``litert_torch`` writes it; its interpreter, ``ai_edge_litert``, reads it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym.compression.handover.error import ExportError


def write(network: nn.Module, images: Tensor, name: str, fields: Mapping[str, Any]) -> list[bytes]:
    """The content of a file for one image, (1, C, H, W).

    Raises:
        ImportError: the converter is not installed.
        ExportError: it cannot convert the network.
    """
    litert_torch, _ = packages()
    try:
        converted = litert_torch.convert(network, (images[:1].contiguous(),))
    except Exception as error:  # it raises what it happens to run into
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"{type(network).__name__} has no LiteRT form: {reason}") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        converted.export(str(path))
        return [path.read_bytes()]


def read(contents: list[bytes], original: nn.Module) -> Callable[[Tensor], Tensor]:
    """What maps images, (N, C, H, W), to logits, image by image."""
    _, interpreter_module = packages()
    interpreter = interpreter_module.Interpreter(model_content=contents[0])
    interpreter.allocate_tensors()
    (given,), (asked,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: Tensor) -> Tensor:
        logits = []
        for image in images.split(1):
            interpreter.set_tensor(given["index"], image.contiguous().numpy())
            interpreter.invoke()
            logits.append(torch.from_numpy(interpreter.get_tensor(asked["index"])))
        return torch.cat(logits)

    return run


def packages() -> tuple[Any, Any]:
    """The converter and the interpreter.

    Raises:
        ImportError: naming the extra to install.
    """
    try:
        # By name, since type checkers need not have them.
        return import_module("litert_torch"), import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise ImportError(
            f"LiteRT needs {error.name}, which is not installed: pip install 'amc-gym[litert]'"
        ) from error
