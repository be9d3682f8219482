"""The formats of exports: from a network to bytes, and from bytes to something that runs.

| format         | file           | read by                                                        |
|----------------|----------------|----------------------------------------------------------------|
| "safetensors"  | `.safetensors` | `amc_gym.load`, without pickle; a description lies beside it   |
| "torch-export" | `.pt2`         | `torch.export.load`, which unpickles: load only what you trust |
| "onnx"         | `.onnx`        | ONNX Runtime and every other consumer of ONNX                  |
| "litert"       | `.tflite`      | LiteRT, formerly TensorFlow Lite; one image at a time          |
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from amc_gym._utils.names import printable
from amc_gym._utils.nests import Nest, called, joined, leaves, mapped, take
from amc_gym.compression.handover import litert
from amc_gym.compression.handover.error import ExportError, reason_of
from amc_gym.compression.handover.rebuild import Layers, RebuildError, describe, named_in, rebuild
from amc_gym.compression.handover.tied import distinct

VERSION = 1
"""Version of the description beside a safetensors file."""


Contents = list[bytes]
"""Content of a format's files: the network, and for safetensors its description."""

Runner = Callable[[Nest], Any]
"""Function: inputs -> outputs, or the tensors in them in order."""


def nbytes(state: Mapping[str, Tensor]) -> int:
    """Return the bytes of all tensors together."""
    return sum(tensor.nbytes for tensor in state.values())


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a ``state_dict`` with kernels in half precision, but not vectors and numbers."""
    return {
        key: t.half() if t.dtype == torch.float32 and t.ndim > 1 else t for key, t in state.items()
    }


def compact(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file, in half precision if that loses nothing."""
    halves = halved(state)
    exact = all(torch.equal(halves[key].to(tensor.dtype), tensor) for key, tensor in state.items())
    return {key: tensor.contiguous() for key, tensor in (halves if exact else state).items()}


def _write_safetensors(
    network: nn.Module, inputs: Nest, name: str, fields: Mapping[str, Any]
) -> Contents:
    layers: Layers = fields.get("layers") or describe(network)
    content = encode_safetensors(network, layers)
    description = {
        "format": VERSION,
        "layers": layers,
        **fields,
        **({"input_shape": list(inputs.shape[1:])} if isinstance(inputs, Tensor) else {}),
        "weights": {"file": name, "sha256": hashlib.sha256(content).hexdigest()},
    }
    return [content, (json.dumps(description, indent=1) + "\n").encode()]


def _read_safetensors(contents: Contents, original: nn.Module) -> Runner:
    try:
        network = decode_safetensors(contents[0], json.loads(contents[1]), original)
    except RebuildError as error:
        raise ExportError(
            f"{type(original).__name__} cannot be rebuilt from sizes and weights ({error}): "
            "use format 'torch-export' or 'onnx'"
        ) from error
    return partial(called, network)


def encode_safetensors(network: nn.Module, layers: Layers) -> bytes:
    """Return the content of a safetensors file, which is the same for equal networks.

    Args:
        network: the network.
        layers: its description.
    """
    return save_bytes(compact(distinct(network, named_in(layers))))


def decode_safetensors(
    content: bytes, description: Mapping[str, Any], original: nn.Module
) -> nn.Module:
    """Return the described network.

    Raises:
        RebuildError: it is not a safetensors file, or not one of ``original``.
    """
    try:
        tensors = load_bytes(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RebuildError(f"not a safetensors file ({printable(str(error), 200)})") from error
    return rebuild(original, description["layers"], tensors)


def _write_torch_export(
    network: nn.Module, inputs: Nest, name: str, fields: Mapping[str, Any]
) -> Contents:
    file = io.BytesIO()
    torch.export.save(_traced(network, inputs), file)
    return [file.getvalue()]


def _read_torch_export(contents: Contents, original: nn.Module) -> Runner:
    return partial(called, torch.export.load(io.BytesIO(contents[0])).module())


def _write_onnx(network: nn.Module, inputs: Nest, name: str, fields: Mapping[str, Any]) -> Contents:
    onnxruntime()
    traced = _traced(network, inputs)
    with torch.inference_mode():
        outputs = called(network, take(inputs, slice(1)))
    taken = ["images"] if isinstance(inputs, Tensor) else named("input", inputs)
    given = ["logits"] if isinstance(outputs, Tensor) else named("output", outputs)
    try:
        program = torch.onnx.export(
            traced, input_names=taken, output_names=given, dynamo=True, verbose=False
        )
    except Exception as error:  # the exporter has many errors of its own
        raise ExportError(
            f"{type(network).__name__} has no ONNX form ({reason_of(error)}): use format "
            "'torch-export' or 'safetensors'"
        ) from error
    assert program is not None
    return [program.model_proto.SerializeToString()]


def _read_onnx(contents: Contents, original: nn.Module) -> Runner:
    session = onnxruntime().InferenceSession(contents[0], providers=["CPUExecutionProvider"])
    taken = [each.name for each in session.get_inputs()]  # only inputs that the network reads

    def run(inputs: Nest) -> list[Tensor]:
        names = ["images"] if isinstance(inputs, Tensor) else named("input", inputs)
        given = {name: tensor.numpy() for name, tensor in zip(names, leaves(inputs), strict=True)}
        found = session.run(None, {name: given[name] for name in taken})
        return [torch.from_numpy(array) for array in found]

    return run


def named(what: str, nest: Nest, within: str = "") -> list[str]:
    """Return names of a nest's tensors in order: keys of dictionaries, or numbered positions.

    Args:
        what: name of a position.
        nest: of tensors.
        within: name of what holds the nest.
    """
    if isinstance(nest, Tensor):
        return [within or what]
    dictionary = isinstance(nest, Mapping)
    children = nest.items() if dictionary else enumerate(nest)
    names: list[str] = []
    for key, value in children:
        own = str(key) if dictionary and not str(key).isdigit() else f"{what}_{key}"
        names += named(what, value, f"{within}.{own}" if within else own)
    return names


def _traced(network: nn.Module, inputs: Nest) -> torch.export.ExportedProgram:
    """Return the network as a graph of operations for any number of samples.

    Raises:
        ExportError: it cannot be traced, or its inputs are a list.
    """
    if isinstance(inputs, list):
        raise ExportError(
            f"{type(network).__name__} takes a list with an entry for each sample, which this "
            "format cannot hold for any number of samples: use format 'safetensors'"
        )
    # Two samples, because torch.export treats a size of 0 or 1 as a constant.
    example: Any = joined([take(inputs, slice(1))] * 2)
    shapes: Any = mapped(lambda _: {0: torch.export.Dim("batch")}, inputs)
    if isinstance(inputs, Mapping):
        arguments: dict[str, Any] = {"args": (), "kwargs": example, "dynamic_shapes": shapes}
    else:
        together = isinstance(inputs, tuple)
        arguments = {
            "args": example if together else (example,),
            "dynamic_shapes": shapes if together else (shapes,),
        }
    try:
        program = torch.export.export(network, **arguments)
    except Exception as error:  # the network's code may raise anything
        reason = reason_of(error)
        try:  # traced from bytecode, where even len(x) may vary
            program = torch.export.export(network, **arguments, strict=True)
        except Exception:
            raise ExportError(
                f"torch.export cannot trace {type(network).__name__} for any number of images: "
                f"{reason}"
            ) from error
    for node in program.graph.nodes:  # paths and lines of the user's code are not handed over
        node.meta.pop("stack_trace", None)
    return program


def onnxruntime() -> Any:
    """Return the package, after checking that everything ONNX needs is installed.

    Raises:
        ImportError: it is not; the message names the extra to install.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"ONNX needs {error.name}, which is not installed: pip install 'amc-gym[onnx]'"
        ) from error
    return onnxruntime


@dataclass(frozen=True)
class Format:
    """A file format for networks.

    Attributes:
        suffix: of its file.
        write: (network, inputs to verify it on, file name, fields of the description) -> contents.
        read: (contents, original network) -> function from inputs to outputs.
        operations: whether it holds operations rather than sizes of known modules.
    """

    suffix: str
    write: Callable[[nn.Module, Nest, str, Mapping[str, Any]], Contents]
    read: Callable[[Contents, nn.Module], Runner]
    operations: bool = True


FORMATS = {
    "safetensors": Format(".safetensors", _write_safetensors, _read_safetensors, operations=False),
    "torch-export": Format(".pt2", _write_torch_export, _read_torch_export),
    "onnx": Format(".onnx", _write_onnx, _read_onnx),
    "litert": Format(".tflite", litert.write, litert.read),
}
