"""LiteRT, formerly TensorFlow Lite: a `.tflite` file for phones, one image at a time.

Google's converter ``litert_torch`` writes it; its interpreter, ``ai_edge_litert``, reads it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from re import findall
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym._utils.nests import Nest, leaves, samples, take
from amc_gym.compression.handover.error import ExportError, reason_of


def write(network: nn.Module, inputs: Nest, name: str, fields: Mapping[str, Any]) -> list[bytes]:
    """Return the content of a file for one sample, such as (1, C, H, W).

    Raises:
        ImportError: the converter is not installed.
        ExportError: the network cannot be converted, or the inputs have no order.
    """
    litert_torch, _ = packages()
    if isinstance(inputs, list | Mapping):
        raise ExportError(
            f"a LiteRT file takes one tensor or several in order, but {type(network).__name__} "
            f"takes a {type(inputs).__name__}: use format 'safetensors'"
        )
    try:
        example = tuple(tensor.contiguous() for tensor in leaves(take(inputs, slice(1))))
        converted = litert_torch.convert(network, example)
    except Exception as error:  # the converter may raise anything
        raise ExportError(
            f"{type(network).__name__} has no LiteRT form ({reason_of(error)}): use format "
            "'torch-export' or 'safetensors'"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        converted.export(str(path))
        return [path.read_bytes()]


def read(contents: list[bytes], original: nn.Module) -> Callable[[Nest], list[Tensor]]:
    """Return a function that maps a batch to outputs, sample by sample."""
    _, module = packages()
    interpreter = module.Interpreter(model_content=contents[0])
    interpreter.allocate_tensors()

    def in_order(details: list[dict[str, Any]]) -> list[int]:
        """Return positions of tensors by the numbers at the end of their names."""
        numbered = sorted(details, key=lambda each: [int(n) for n in findall(r"\d+", each["name"])])
        return [each["index"] for each in numbered]

    given, asked = map(
        in_order, (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def run(inputs: Nest) -> list[Tensor]:
        outputs = []
        for number in range(samples(inputs)):
            sample = leaves(take(inputs, slice(number, number + 1)))
            for place, tensor in zip(given, sample, strict=True):
                interpreter.set_tensor(place, tensor.contiguous().numpy())
            interpreter.invoke()
            outputs.append([torch.from_numpy(interpreter.get_tensor(place)) for place in asked])
        return [torch.cat(parts) for parts in zip(*outputs, strict=True)]

    return run


def packages() -> tuple[Any, Any]:
    """Return the converter and the interpreter.

    Raises:
        ImportError: one is missing; the message names the extra to install.
    """
    try:
        # Imported by name, because type checkers may not have them.
        return import_module("litert_torch"), import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise ImportError(
            f"LiteRT needs {error.name}, which is not installed: pip install 'amc-gym[litert]'"
        ) from error
