"""Leaderboard of policies: one of each loader is judged, and bad files are one error."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_study import InProcess

from agents import sb3_suite
from agents.amc_policy import WEIGHTS
from amc_gym.suites.context import Context
from amc_gym.suites.suite import Suite, suite_of
from benchmarks.__main__ import main
from benchmarks.leaderboard import commands, policy_ranking
from benchmarks.leaderboard.policy_submission import FILE, PolicySubmission
from benchmarks.leaderboard.submission import SubmissionError
from benchmarks.transfer import rows

onnx = pytest.importorskip("onnx")

CONTEXTS = [suite_of("zoo-test-v1")[name] for name in ("vgg-digits-3/0.3", "plain-digits-1/0.35")]


def graph() -> bytes:
    """Make an ONNX policy whose actions are all 0.5, which gives the plan of least error."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.zeros((103, 1), dtype=np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["seen", "w"], ["x"]),
        helper.make_node("Sigmoid", ["x"], ["done"]),
    ]
    ends = [
        [helper.make_tensor_value_info("seen", kind, ("n", 103))],
        [helper.make_tensor_value_info("done", kind, ("n", 1))],
    ]
    made = helper.make_graph(nodes, "least error", *ends, [weights])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    suite = Suite("one", [Context("vgg-digits-0", 0.5)])
    changes = {"policy_kwargs": {"net_arch": [4]}, "batch_size": 8}
    found = {
        "sb3": (
            folder / "mine.safetensors",
            sb3_suite.trained("sac", suite, 1, 0, changes=changes),
        ),
        "onnx": (folder / "mine.onnx", graph()),
        "amc-policy": (folder / "ours.safetensors", WEIGHTS.read_bytes()),
    }
    for path, content in found.values():
        path.write_bytes(content)
    return {loader: path for loader, (path, _) in found.items()}


def submit(file: Path, out: Path) -> int:
    words = ["--authors", "Ada, Bob", "--how", "by hand | on zoo-train-v1"]
    return main(["submit-policy", str(file), "--out", str(out), *words])


@pytest.fixture(scope="module")
def board(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with one submission for each loader."""
    folder = tmp_path_factory.mktemp("policies")
    for loader, file in files.items():
        assert submit(file, folder / loader) == 0
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_ranking, "contexts", lambda: CONTEXTS)
    monkeypatch.setattr(commands, "executors", lambda workers, ray: InProcess)
    monkeypatch.setitem(policy_ranking.EVALUATIONS, "amc-policy", 4)


def test_each_loader_is_judged(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(board, tmp_path / "board"))
    assert main(["leaderboard-policies", "--folder", str(folder)]) == 0
    table = (folder / "README.md").read_text()
    found = rows.load(folder / "trials.parquet")
    assert len(found) == 2 * 6
    assert all(row["after 4"] is not None for row in found if row["policy"] == "amc-policy")
    assert "| after 1 | after 4 | after 40 |" in table
    assert "[mine](sb3/policy.json) | Ada, Bob | sb3 |" in table
    assert "[ours](amc-policy/policy.json) | Ada, Bob | amc-policy |" in table
    score = {(r["context"], r["agent"]): r["after 1"] for r in found}
    for context in CONTEXTS:  # actions of 0.5 give the plan of least error
        same = score[context.name, "onnx-policy"], score[context.name, "error-allocation"]
        assert same[0] == same[1]

    # Verdicts are kept; a changed file is refused, and the others are still ranked.
    before = (folder / "trials.parquet").stat().st_mtime_ns
    (folder / "sb3" / "policy.safetensors").write_bytes(b"another")
    assert main(["leaderboard-policies", "--folder", str(folder)]) == 1
    assert (folder / "trials.parquet").stat().st_mtime_ns == before
    table = (folder / "README.md").read_text()
    assert "## Not judged\n\n- `sb3`: " in table
    assert "(sb3/policy.json)" not in table
    assert "(onnx/policy.json)" in table


def test_a_valid_submission_is_a_line(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(board / "onnx")]) == 0
    assert capsys.readouterr().out.startswith("accepted policy.onnx: the loader 'onnx' plays it")


Content = dict[str, Any]

CHANGED: dict[str, tuple[str, Callable[[Path, Content], Any], str]] = {
    "checksum": ("onnx", lambda f, c: c.update(sha256="0" * 64), "sha256"),
    "loader": ("sb3", lambda f, c: c.update(loader="amc-policy"), "is for the loader 'sb3'"),
    "unknown": ("sb3", lambda f, c: c.update(loader="pickle"), "loader"),
    "way out": ("sb3", lambda f, c: c.update(file="../x.safetensors"), "file"),
    "field": ("sb3", lambda f, c: c.update(rank=1), "rank"),
    "missing": ("onnx", lambda f, c: (f / "policy.onnx").unlink(), "missing"),
    "extra": ("onnx", lambda f, c: (f / "setup.py").touch(), "setup.py is an extra file"),
    "author": ("onnx", lambda f, c: c.update(authors=[]), "authors"),
}


@pytest.mark.parametrize(("loader", "change", "message"), CHANGED.values(), ids=CHANGED)
def test_invalid_submissions_are_one_line(
    loader: str, change: Callable[[Path, Content], Any], message: str, board: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(board / loader, tmp_path / "cheat"))
    content = json.loads((folder / FILE).read_text())
    change(folder, content)
    (folder / FILE).write_text(json.dumps(content))
    with pytest.raises(SubmissionError, match=message) as error:
        PolicySubmission.read(folder)
    assert "\n" not in str(error.value)


class Bomb:
    """An object that exits the process when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (SystemExit, ("unpickled",))


def test_files_that_are_no_policies_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bombs = {"x.onnx": "not a policy in ONNX", "x.safetensors": "not a file of a policy's weights"}
    for name, message in bombs.items():
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        out = tmp_path / f"out-{name}"
        status = submit(tmp_path / name, out)
        if status == 0:
            status = 1 if main(["validate", str(out)]) else 0
        error = capsys.readouterr().err
        assert status
        assert message in error
        assert error.count("\n") == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["leaderboard-policies", "--folder", str(empty)]) == 2
    assert "holds no policy" in capsys.readouterr().err
