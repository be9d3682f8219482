"""The command line: bad input is one clear line, and costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_study import ENV, KWARGS

import agents
from benchmarks.__main__ import main
from benchmarks.studies.records import Record, Store


def test_alone_it_prints_help() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "run" in done.stdout
    assert "report" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "AMC-MobilNet-v0"], "AMC-MobileNet"),
        (["--env", "CartPole-v1"], "no compression environment"),
        (["--env", "no_such_module:AMC-v0"], "no_such_module"),
        (["--agents", "gues,uniform"], "did you mean 'guess'"),
        (["--agents", ","], "names no agent"),
        (["--modules", "no_such_module"], "cannot import 'no_such_module'"),
        (["--env-kwargs", "{"], "not JSON"),
        (["--env-kwargs", "[1]"], "must be a JSON object"),
        (["--env-kwargs", '{"reward": "acuracy"}'], "did you mean 'accuracy'"),
        (["--env-kwargs", '{"frameskip": 1}'], "frameskip"),
        (["--env-kwargs", '{"preserve_ratio": 0.0001}'], "preserve_ratio"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--episodes", "0"], "--episodes must be at least 1"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--workers", "2", "--ray", "auto"], "--workers is for this machine"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    sound = {"--env": ENV, "--agents": "guess", "--out": str(tmp_path / "out")}
    sound |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert main(["run", *(word for pair in sound.items() for word in pair)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.rglob("*.json"))


def test_interrupted_it_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.studies.records.Store.save", interrupt)  # after the first run
    out = str(tmp_path / "out")
    arguments = ["--env", ENV, "--out", out, "--env-kwargs", json.dumps(KWARGS), "--workers", "1"]
    assert main(["run", *arguments, "--agents", "uniform", "--episodes", "1"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def test_without_ray_its_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "benchmarks.studies.ray_executor", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    assert main(["run", "--env", ENV, "--out", str(tmp_path / "out"), "--ray"]) == 2
    assert capsys.readouterr().err == "error: --ray needs Ray: pip install 'amc-gym[ray]'\n"


def test_ray_takes_one_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["run", "--env", ENV, "--out", out, "--ray", "head:1", "head:2"]) == 2
    assert capsys.readouterr().err == "error: --ray takes one address, not head:1 head:2\n"


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "file"
    out.write_text("precious")
    assert main(["run", "--env", ENV, "--out", str(out), "--agents", "guess"]) == 2
    assert "cannot write to the results folder" in capsys.readouterr().err
    assert out.read_text() == "precious"
    assert main(["report", str(out)]) == 2
    assert "no finished runs" in capsys.readouterr().err


def test_run_and_report(tmp_path: Path, record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line to the pictures, in real workers, of which two fail."""
    out = tmp_path / "out"
    command = ["run", "--env", ENV, "--out", str(out), "--seeds", "1", "--episodes", "3"]
    command += ["--env-kwargs", json.dumps(KWARGS), "--modules", "small_learners"]
    assert main([*command, "--agents", "crash,die,guess"]) == 1
    said = capsys.readouterr().err
    assert "failed: crash seed 0: RuntimeError: out of luck" in said
    assert "failed: die seed 0: the worker died with exit code 9" in said
    (found,), foreign = Store(out).load()
    assert not foreign
    assert (found.run.setting, found.run.agent) == (record.run.setting, "guess")
    assert found.run.code == agents.fingerprint("guess")
    assert found.history.channels == record.history.channels  # a worker finds what we find

    assert main([*command, "--agents", "guess"]) == 0
    assert "1 of 1 runs are finished already" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0
    assert "guess" in capsys.readouterr().out
    pictures = {"learning-curves.png", "policies.png"}
    assert {path.name for path in out.iterdir()} >= {"report.md", "report.csv"} | pictures
