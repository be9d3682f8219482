"""onnx-policy: any policy, as an ONNX graph from comparable observations to actions.

The graph has one input, observations (n, features) float32, and one output, actions (n, 1) in
[0, 1] of the residual action mode.  It is run by ONNX Runtime on one thread of the CPU.  Standard
operators that loop or draw random numbers are refused, so that it ends and is repeatable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError

from .registry import register
from .step_policy import LARGEST, Act, StepPolicy, Trained

OBSERVATION, ACTION_MODE = "comparable", "residual"

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Domains of ONNX's own operators."""

OUTSIDE = "its weights are in another file: save them in it (torch.onnx: external_data=False)"

LOOPING = {"Loop", "Scan"}
DRAWING = {"Bernoulli", "Dropout", "Multinomial"}  # besides RandomNormal and similar ones


def read(path: Path) -> tuple[Act, Trained]:
    """Read a policy's graph.

    Raises:
        OSError: the file cannot be read, is not such a graph, or does not compute actions.
        ImportError: ONNX or ONNX Runtime is not installed.
    """
    try:
        content = documents.read_bytes(path, LARGEST)
        _check(content)
        session, features = _session(content)
    except (DocumentError, ValueError) as error:
        raise OSError(f"{path} is not a policy in ONNX: {' '.join(str(error).split())}") from error
    name = session.get_inputs()[0].name

    def act(observations: np.ndarray) -> np.ndarray:
        try:
            (actions,) = session.run(None, {name: observations.astype(np.float32)})
        except Exception as error:  # ONNX Runtime's own classes have no common ancestor
            said = " ".join(str(error).split())
            raise OSError(f"{path} is not a policy in ONNX: it fails: {said}") from error
        actions = np.asarray(actions)
        if actions.shape != (len(observations), 1) or not np.isfinite(actions).all():
            raise OSError(
                f"{path} is not a policy in ONNX: for {len(observations)} observations it should "
                f"return ({len(observations)}, 1) finite actions, not {actions.shape}"
            )
        return actions.clip(0, 1).astype(np.float32)

    act(np.zeros((1, features), dtype=np.float32))
    return act, Trained(OBSERVATION, ACTION_MODE, features)


def _check(content: bytes) -> None:
    """Refuse a graph that is incomplete, or has operators that loop or draw random numbers.

    Raises:
        ValueError: it is such a graph.
    """
    onnx = _module("onnx")
    try:
        model = onnx.load_from_string(content)
    except Exception as error:
        raise ValueError(f"it cannot be parsed: {error}") from error
    if model.functions:
        raise ValueError("it defines functions of its own: export it without them")
    for graph in _graphs(model.graph):
        for tensor in (*graph.initializer, *(s.values for s in graph.sparse_initializer)):
            if tensor.external_data:
                raise ValueError(OUTSIDE)
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise ValueError(f"operator {node.domain}.{node.op_type} is not one of ONNX's own")
            if node.op_type in LOOPING:
                raise ValueError(f"operator {node.op_type} is refused: it may never end")
            if node.op_type in DRAWING or node.op_type.startswith("Random"):
                raise ValueError(f"operator {node.op_type} is refused: it draws random numbers")


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and all graphs inside it, with nodes' constants added as initial values."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t") and attribute.t.external_data:
                raise ValueError(OUTSIDE)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _session(content: bytes) -> tuple[Any, int]:
    """Return an inference session and the number of features of an observation.

    Raises:
        ValueError: ONNX Runtime refuses it, or it has other inputs and outputs.
    """
    runtime = _module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common ancestor
        raise ValueError(f"ONNX Runtime refuses it: {error}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    shape = inputs[0].shape
    if inputs[0].type != "tensor(float)" or len(shape) != 2 or not isinstance(shape[1], int):
        raise ValueError(f"its input should be (n, features) float32, not {shape} {inputs[0].type}")
    if shape[0] == 0 or (isinstance(shape[0], int) and shape[0] != 1):
        raise ValueError(
            f"its input takes {shape[0]} observations at a time, not one or any number"
        )
    return session, shape[1]


def _module(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(
            f"agent 'onnx-policy' needs {name}: pip install 'amc-gym[onnx]' (from a checkout: pip "
            "install -e '.[onnx]')"
        ) from error


@register("onnx-policy", kind="policy", deterministic=True)
class ONNXPolicy(StepPolicy):
    """An agent that plays one episode by a policy in ONNX.

    Args:
        env: an AMC environment with ``observation="comparable"`` and ``action_mode="residual"``.
        seed: has no effect.
        weights: the file.

    Raises:
        ValueError: the environment has another observation or action mode.
        OSError: the file cannot be read, or is not such a policy.
        ImportError: ONNX or ONNX Runtime is not installed.
    """

    read = staticmethod(read)
