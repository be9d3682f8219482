"""The command line of benchmarks: bad input is one clear line, before anything is run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import ENV, KWARGS

import agents
from benchmarks.__main__ import main
from benchmarks.studies import journals
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
        (["--env", "CartPole-v1"], "not a compression environment"),
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
    assert "the same command continues from here" in capsys.readouterr().err


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
    """Run a study from the command line to its figures, in real workers, of which two fail."""
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
    assert found.history.channels == record.history.channels  # as in this process

    assert main([*command, "--agents", "guess"]) == 0
    assert "1 of 1 runs are finished already" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0
    assert "guess" in capsys.readouterr().out
    pictures = {"learning-curves.png", "policies.png"}
    assert {path.name for path in out.iterdir()} >= {"report.md", "report.csv"} | pictures


def command(out: Path, agents: str, *more: str) -> list[str]:
    """Return the command of a study with three episodes of each agent, in two workers."""
    words = ["run", "--env", ENV, "--out", str(out), "--seeds", "1", "--episodes", "3"]
    words += ["--env-kwargs", json.dumps(KWARGS), "--workers", "2"]
    return [*words, "--agents", agents, *more]


def test_what_failed_is_marked_and_never_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run agents that end by an error, an exit or the death of their process."""
    out = tmp_path / "out"
    words = command(out, "crash,die,die-late,leave,overrun", "--modules", "small_learners")
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "failed: leave seed 0: SystemExit: 0" in said
    assert "overrun seed 0: " in said
    assert "3 evaluations, where it was stopped" in said
    records, foreign = Store(out).load()
    assert not foreign
    assert [(r.run.agent, r.evaluations, r.stopped) for r in records] == [("overrun", 3, True)]
    unfinished, broken = journals.load(out)
    assert not broken
    errors = {j.run.agent: (j.evaluations, j.error) for j in unfinished}
    assert errors == {
        "crash": (1, "RuntimeError: out of luck"),
        "die-late": (2, "the worker died with exit code 9"),
        "leave": (1, "SystemExit: 0"),
    }
    assert main(["report", str(out)]) == 0
    shown = capsys.readouterr().out
    text = (out / "report.md").read_text()
    page = (out / "report.html").read_text()
    line = "crash seed 0: 1 of 3 evaluations, best so far"
    assert line in shown
    assert line in text
    assert line in page
    assert "nothing yet of die-seed0-" in text
    assert "| crash |" not in text
    assert (out / "report.csv").read_text().count("\n") == 3  # header, full network, overrun
    assert main(["publish", str(out), "--to", str(tmp_path / "results")]) == 2
    assert not (tmp_path / "results").exists()

    assert main(words) == 1  # all but the finished one run again
    assert "1 of 5 runs are finished already" in capsys.readouterr().err
    assert len(journals.load(out)[0]) == 3


MINE = """
import agents
from small_learners import Guess

@agents.register("mine")
class Mine(Guess):
    def __init__(self, env, seed, shift={shift}, times=1):
        super().__init__(env, seed + shift)
"""


def test_a_changed_agent_does_not_get_its_old_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, module = tmp_path / "out", tmp_path / "changing_agent.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(agents.FACTORIES, "mine", None)  # removed after the test
    monkeypatch.setitem(sys.modules, "changing_agent", None)

    def run(shift: int, *more: str) -> str:
        module.write_text(MINE.format(shift=shift))
        del agents.FACTORIES["mine"], sys.modules["changing_agent"]
        words = command(out, "mine", "--modules", "changing_agent,small_learners", *more)
        assert main(words) == 0
        return capsys.readouterr().err

    assert "already" not in run(shift=1)
    (first,) = Store(out).load()[0]
    journals.write(out, replace(first.run, code="0" * 16), [], "a bug")  # by earlier code
    assert len(journals.load(out)[0]) == 1
    assert "already" not in run(1, "--rerun")
    assert not journals.load(out)[0]
    assert "1 of 1 runs are finished already" in run(shift=1)
    said = run(shift=20)
    assert "earlier runs of mine: their code has changed since" in said
    assert "already" not in said
    records, _ = Store(out).load()
    assert len({record.run.code for record in records}) == len(records) == 2
    assert records[0].history.channels != records[1].history.channels
    assert main(["report", str(out)]) == 0
    text = (out / "report.md").read_text()
    for record in records:
        assert f"| mine (code {str(record.run.code)[:6]}) | 1 |" in text

    # Another argument makes another agent, too.
    assert "already" not in run(20, "--agent-args", '{"shift": 3}')
    assert "finished already" in run(20, "--agent-args", '{"shift": 3}')
    assert "finished already" in run(20, "--agent-args", '{"mine": {"shift": 3}}')
    by_name = {str(record.run): record for record in Store(out).load()[0]}
    assert set(by_name) == {"mine seed 0", "mine(shift=3) seed 0"}
    assert main(["report", str(out)]) == 0
    assert "| mine(shift=3) | 1 |" in (out / "report.md").read_text()

    # The option --rerun repeats a finished run.
    name = by_name["mine(shift=3) seed 0"].run.name
    before = (out / f"{name}.json").read_bytes()
    assert "already" not in run(20, "--agent-args", '{"shift": 3}', "--rerun")
    assert (out / f"{name}.json").read_bytes() != before  # at least its times differ
    assert len(Store(out).load()[0]) == 3


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        ("guess", "{", "--agent-args is not JSON"),
        ("guess", "[1]", "--agent-args must be a JSON object"),
        ("guess", '{"nothing": 1}', "cannot make agent 'guess'"),
        ("guess,amc-ddpg", '{"sigma": 1}', "needs their names"),
        (
            "guess,uniform",
            '{"amc-policy": {"members": 2}, "uniform": {}}',
            "has arguments of amc-policy, not among the agents here, guess, uniform",
        ),
        ("amc-ddpg", '{"sigmar": 1}', "sigmar"),
        ("amc-ddpg", '{"critic_action_layer": 3}', "critic_action_layer must be 1 or 2"),
        ("sb3-td3", '{"hyperparams": "/nowhere"}', "/nowhere"),
    ],
)
def test_wrong_arguments_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str, given: str, message: str
) -> None:
    assert main(command(tmp_path / "out", names, "--agent-args", given)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_records_without_code_are_kept_and_marked(
    tmp_path: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read a record as earlier versions wrote it: without hash of the code and other new fields."""
    out = tmp_path / "out"
    content = json.loads(record.to_json())
    for field in ("code", "arguments", "stopped", "sha256"):
        del content[field]
    form = content.pop("format")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content = {"format": form, "sha256": hashlib.sha256(canonical.encode()).hexdigest()} | content
    out.mkdir()
    (out / f"{record.run.name}.json").write_text(json.dumps(content))
    assert Store(out).load() == ([record], {})
    assert main(command(out, "guess", "--modules", "small_learners")) == 0
    said = capsys.readouterr().err
    assert "earlier runs of guess: nobody knows which code they ran" in said
    assert len(Store(out).load()[0]) == 2
    assert main(["report", str(out)]) == 0
    text = (out / "report.md").read_text()
    assert "| guess (code unknown) | 1 |" in text
    assert "not known of guess (code unknown)" in text
