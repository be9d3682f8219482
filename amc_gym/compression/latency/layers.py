"""The layers of a network, each as its own module with any channel counts.

A layer is timed together with the batch norm that reads it and an activation, because runtimes fuse
them.  Layers of equal geometry take equally long and share their times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym.compression.graph import ChannelGraph, Layer


@dataclass(frozen=True)
class Geometry:
    """Geometry of a layer: everything that its time depends on besides its channels.

    Attributes:
        kind: "conv", "depthwise" or "linear".
        kernel: (height, width).
        stride: of both axes.
        padding: of both axes.
        height: of its input.
        width: of its input.
        groups: of a grouped convolution.
        norm: whether a batch norm follows.
    """

    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    height: int
    width: int
    groups: int
    norm: bool

    @property
    def key(self) -> str:
        """Name in tables: "conv 3x3 stride 1 on 32x32"."""
        kernel, stride = ("x".join(map(str, pair)) for pair in (self.kernel, self.stride))
        groups = f" groups {self.groups}" if self.groups > 1 else ""
        pad = "x".join(map(str, self.padding))
        norm = " norm" if self.norm else ""
        place = f"stride {stride} pad {pad} on {self.height}x{self.width}{groups}{norm}"
        return f"{self.kind} {kernel} {place}"

    def module(self, inputs: int, outputs: int) -> nn.Module:
        """Return the layer with the given channels; depthwise convolutions have ``outputs``."""
        layers: list[nn.Module]
        if self.kind == "linear":
            return nn.Sequential(nn.Linear(inputs, outputs)).eval()
        groups = outputs if self.kind == "depthwise" else self.groups
        inputs = outputs if self.kind == "depthwise" else inputs
        layers = [
            nn.Conv2d(
                inputs,
                outputs,
                self.kernel,
                self.stride,
                self.padding,
                groups=groups,
                bias=not self.norm,
            )
        ]
        if self.norm:
            layers.append(nn.BatchNorm2d(outputs))
        return nn.Sequential(*layers, nn.ReLU()).eval()

    def input(self, batch: int, inputs: int, outputs: int) -> Tensor:
        """Return noise as its input, (batch, inputs, height, width) or (batch, inputs)."""
        generator = torch.Generator().manual_seed(0)
        if self.kind == "linear":
            return torch.randn(batch, inputs, generator=generator)
        channels = outputs if self.kind == "depthwise" else inputs
        return torch.randn(batch, channels, self.height, self.width, generator=generator)


def geometries(model: nn.Module, graph: ChannelGraph) -> dict[str, Geometry]:
    """Return the geometry of each convolution and linear layer, by name, including its norm.

    Raises:
        ValueError: there are layers that a table cannot hold.
    """
    return {
        name: _geometry(model.get_submodule(name), layer)
        for name, layer in graph.layers.items()
        if layer.kind != "norm"
    }


def widths(layer: Layer) -> tuple[int, int]:
    """Return a layer's channels in and out in the full network; depthwise ones have one axis."""
    return len(layer.inputs or layer.outputs), len(layer.outputs)


def _geometry(module: nn.Module, layer: Layer) -> Geometry:
    if not layer.refits or layer.multiplier > 1:
        raise ValueError(
            f"the latency of layer {layer.name!r} cannot be looked up: a table holds plain "
            f"convolutions and linear layers that run once, and this is a {type(module).__name__}; "
            "search by resource='macs' or 'params'"
        )
    if isinstance(module, nn.Linear):
        return Geometry("linear", (1, 1), (1, 1), (0, 0), 1, 1, 1, norm=False)
    assert isinstance(module, nn.Conv2d)
    padding = module.padding if not isinstance(module.padding, str) else (layer.kernel // 2,) * 2
    return Geometry(
        layer.kind,
        _pair(module.kernel_size),
        _pair(module.stride),
        _pair(padding),
        layer.height,
        layer.width,
        layer.groups,
        norm=layer.norm is not None,
    )


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second


def as_onnx(network: nn.Module, images: Tensor) -> bytes | None:
    """Return a convolution or linear layer, with its norm and ReLU, as the content of an ONNX file.

    Thousands of layers are measured for a table, and the general export takes a second for each.

    Returns:
        The file's content; None for any other network.
    """
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.ReLU)
    if not isinstance(network, nn.Sequential) or not all(isinstance(m, kinds) for m in network):
        return None
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors = [], []
    at = "images"

    def add(kind: str, values: list[Tensor | None], **attributes: Any) -> None:
        nonlocal at
        names = [at]
        for value in values:
            if value is not None:
                names.append(f"{kind}{len(tensors)}")
                tensors.append(numpy_helper.from_array(value.detach().numpy(), names[-1]))
        at = f"{kind}_output{len(nodes)}"
        nodes.append(helper.make_node(kind, names, [at], **attributes))

    for module in network:
        if isinstance(module, nn.Conv2d):
            assert not isinstance(module.padding, str)
            add(
                "Conv",
                [module.weight, module.bias],
                kernel_shape=list(module.kernel_size),
                strides=list(module.stride),
                pads=[*module.padding, *module.padding],
                group=module.groups,
            )
        elif isinstance(module, nn.Linear):
            add("Gemm", [module.weight, module.bias], transB=1)
        elif isinstance(module, nn.BatchNorm2d):
            values = [module.weight, module.bias, module.running_mean, module.running_var]
            add("BatchNormalization", values, epsilon=module.eps)
        else:
            add("Relu", [])
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(images.shape))],
        [helper.make_tensor_value_info(at, TensorProto.FLOAT, list("nchw"[: images.dim()]))],
        tensors,
    )
    # The oldest format with these operations, which every version of ONNX Runtime reads.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
