"""onnx-policy: anybody's policy, as an ONNX graph from comparable observations to actions.

The graph has one input, observations (n, features) float32, and one output, actions (n, 1) in
[0, 1] of the residual action mode.  It is computed by ONNX Runtime on one thread of the CPU; of the
standard operators those are refused that loop or draw, so that it ends and repeats.
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
"""Domains of operators that are ONNX's own."""

OUTSIDE = "its weights are in another file: save them with it (torch.onnx: external_data=False)"

LOOPING = {"Loop", "Scan"}
DRAWING = {"Bernoulli", "Dropout", "Multinomial"}  # beside RandomNormal and the like


def read(path: Path) -> tuple[Act, Trained]:
    """Read a policy's graph.

    Raises:
        OSError: it cannot be read, is no such graph, or does not answer as one.
        ImportError: ONNX or ONNX Runtime is not installed.
    """
    try:
        content = documents.read_bytes(path, LARGEST)
        _check(content)
        session, features = _session(content)
    except (DocumentError, ValueError) as error:
        raise OSError(f"{path} is no policy in ONNX: {' '.join(str(error).split())}") from error
    name = session.get_inputs()[0].name

    def act(observations: np.ndarray) -> np.ndarray:
        try:
            (actions,) = session.run(None, {name: observations.astype(np.float32)})
        except Exception as error:  # ONNX Runtime's own classes have no common ancestor
            said = " ".join(str(error).split())
            raise OSError(f"{path} is no policy in ONNX: it fails: {said}") from error
        actions = np.asarray(actions)
        if actions.shape != (len(observations), 1) or not np.isfinite(actions).all():
            raise OSError(
                f"{path} is no policy in ONNX: of {len(observations)} observations it should make "
                f"({len(observations)}, 1) finite actions, not {actions.shape}"
            )
        return actions.clip(0, 1).astype(np.float32)

    act(np.zeros((1, features), dtype=np.float32))
    return act, Trained(OBSERVATION, ACTION_MODE, features)


def _check(content: bytes) -> None:
    """See that a graph has what it needs with it, and only operators that end and repeat.

    Raises:
        ValueError: it has not.
    """
    onnx = _module("onnx")
    try:
        model = onnx.load_from_string(content)
    except Exception as error:
        raise ValueError(f"it cannot be parsed: {error}") from error
    if model.functions:
        raise ValueError("it defines functions of its own: export it without")
    for graph in _graphs(model.graph):
        for tensor in (*graph.initializer, *(s.values for s in graph.sparse_initializer)):
            if tensor.external_data:
                raise ValueError(OUTSIDE)
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise ValueError(f"operator {node.domain}.{node.op_type} is none of ONNX's own")
            if node.op_type in LOOPING:
                raise ValueError(f"operator {node.op_type} is refused: nobody knows when it ends")
            if node.op_type in DRAWING or node.op_type.startswith("Random"):
                raise ValueError(f"operator {node.op_type} is refused: it draws")


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside of it; with constants of nodes, as graphs' initial values."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t") and attribute.t.external_data:
                raise ValueError(OUTSIDE)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _session(content: bytes) -> tuple[Any, int]:
    """Return an inference session and how many features an observation has.

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
    """One episode of a policy in ONNX.

    Args:
        env: an AMC environment with ``observation="comparable"`` and ``action_mode="residual"``.
        seed: of nothing.
        weights: the file.

    Raises:
        ValueError: the environment is another one.
        OSError: the file cannot be read, or is none.
        ImportError: ONNX or ONNX Runtime is not installed.
    """

    read = staticmethod(read)
