"""Policies as ONNX graphs: computed exactly, and refused where they could do anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents.onnx_policy import read
from agents.policy_loaders import declared, is_for
from amc_gym.suites.context import Context
from amc_gym.suites.environment import SuiteEnv
from amc_gym.suites.suite import Suite

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT

FEATURES = 103


def saved(
    path: Path,
    nodes: list[Any] | None = None,
    *,
    shape: tuple[Any, ...] = ("n", FEATURES),
    weights: np.ndarray | None = None,
    domain: str = "",
    external: bool = False,
) -> Path:
    """Write a linear layer and a sigmoid, or other nodes from "seen" and "w" to "done"."""
    if weights is None:
        weights = np.random.default_rng(0).normal(size=(FEATURES, 1)) / 5
    tensor = onnx.numpy_helper.from_array(weights.astype(np.float32), "w")
    if external:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
    nodes = nodes or [
        helper.make_node("MatMul", ["seen", "w"], ["x"]),
        helper.make_node("Sigmoid", ["x"], ["done"]),
    ]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("seen", FLOAT, shape)],
        [helper.make_tensor_value_info("done", FLOAT, None)],
        [tensor],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def env() -> SuiteEnv:
    return SuiteEnv(Suite("one", [Context("vgg-digits-0", 0.5)]))


def test_a_graph_is_carried_out(env: SuiteEnv, tmp_path: Path) -> None:
    weights = np.random.default_rng(1).normal(size=(FEATURES, 1))
    path = saved(tmp_path / "mine.onnx", weights=weights)
    assert declared(path) == "onnx"
    assert is_for(path, "onnx-policy")
    act, trained = read(path)
    seen = np.random.default_rng(2).uniform(size=(4, FEATURES)).astype(np.float32)
    np.testing.assert_allclose(act(seen), 1 / (1 + np.exp(-seen @ weights)), rtol=1e-4)
    assert trained.features == FEATURES
    first = agents.make("onnx-policy", env, seed=0, weights=path).learn(3)
    assert first.evaluations == 1
    half = saved(tmp_path / "half.onnx", weights=np.zeros((FEATURES, 1)))
    env.reset()
    plan = agents.make("onnx-policy", env, seed=0, weights=half).learn(1).best.counts
    assert plan == env.problem.allocation.least_error
    assert plan != first.best.counts


def node(kind: str, *inputs: str, **options: Any) -> Any:
    return helper.make_node(kind, list(inputs), ["done"], **options)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "other features": ({"shape": ("n", 11), "weights": np.zeros((11, 1))}, "expects 11 numbers"),
    "images": ({"shape": (1, 3, 8, FEATURES)}, "should be .n, features"),
    "many at a time": ({"shape": (7, FEATURES)}, "7 observations at a time"),
    "two actions": ({"weights": np.zeros((FEATURES, 2))}, r"\(1, 1\) finite actions"),
    "nan": ({"weights": np.full((FEATURES, 1), np.nan)}, "finite actions"),
    "external": ({"external": True}, "in another file"),
    "draws": ({"nodes": [node("RandomUniformLike", "seen")]}, "it draws"),
    "own": ({"nodes": [node("Evil", "seen", domain="mine")], "domain": "mine"}, "mine.Evil"),
    "unknown": ({"nodes": [node("Sigmoidd", "seen")]}, "ONNX Runtime refuses it"),
    "loops": ({"nodes": [node("Loop", "seen")]}, "it may never end"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_graphs_are_one_error(
    options: dict[str, Any], message: str, env: SuiteEnv, tmp_path: Path
) -> None:
    path = saved(tmp_path / "bad.onnx", **options)
    with pytest.raises((OSError, ValueError), match=message) as error:
        agents.make("onnx-policy", env, seed=0, weights=path)
    assert "\n" not in str(error.value)


def test_no_graph_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(OSError, match="not a policy in ONNX"):
        read(tmp_path / "x.onnx")
    with pytest.raises(OSError, match="No such file"):
        read(tmp_path / "y.onnx")
