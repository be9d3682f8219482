"""Recording: a user's own loop joins a study, and finished episodes survive any end of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from small_study import ENV, KWARGS

import benchmarks
from benchmarks.__main__ import main
from benchmarks.studies import journals
from benchmarks.studies.execution import setting_of
from benchmarks.studies.records import Store

Record = Callable[..., Any]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    def make(**options: Any) -> Any:
        env = gym.make(ENV, **KWARGS)
        return benchmarks.record(env, **{"agent": "mine", "out": tmp_path / "x"} | options)

    return make


def play(env: gym.Env[Any, Any], episodes: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(episodes):
        env.reset()
        over = False
        while not over:
            over = env.step(rng.random(1, dtype=np.float32))[2]


def test_a_recorded_loop_is_a_run_like_any_other(
    tmp_path: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    for seed in range(2):
        env = record(seed=seed)
        play(env, 3, seed)
        env.close()
    command = ["run", "--env", ENV, "--out", str(out), "--seeds", "1", "--episodes", "3"]
    command += ["--env-kwargs", json.dumps(KWARGS), "--agents", "random,uniform"]
    assert main([*command, "--workers", "1"]) == 0
    records, foreign = Store(out).load()
    assert not foreign
    assert len({record.run.setting for record in records}) == 1  # reports compare equal settings
    mine, random = (
        next(r for r in records if r.run.agent == name and r.run.seed == 0)
        for name in ("mine", "random")
    )
    assert mine.history.channels == random.history.channels  # both draw the same actions
    assert mine.best.test_accuracy == random.best.test_accuracy
    assert (mine.evaluations, mine.run.setting) == (3, setting_of(ENV, KWARGS, 3))
    assert main(["report", str(out)]) == 0
    assert "| mine | 2 | 3 |" in (out / "report.md").read_text()
    assert main(["compare", str(out), "--out", str(tmp_path / "c"), "--against", "random"]) == 2
    assert "nothing" in capsys.readouterr().err  # a random network has no accuracy to lose
    assert not list(out.glob("*.jsonl"))


def test_compare_takes_recorded_loops(tmp_path: Path) -> None:
    out = tmp_path / "x"
    kwargs = {"reward_images": 100}
    env = benchmarks.record(gym.make(ENV, **kwargs), agent="mine", seed=0, out=out)
    play(env, 2)
    env.close()
    command = ["run", "--env", ENV, "--out", str(out), "--seeds", "1", "--episodes", "2"]
    assert main([*command, "--env-kwargs", json.dumps(kwargs), "--agents", "uniform"]) == 0
    assert main(["compare", str(out), "--out", str(tmp_path / "c"), "--against", "mine"]) == 0
    assert "| mine | 1 |" in (tmp_path / "c" / "comparison.md").read_text()


def test_every_episode_is_written_at_once(tmp_path: Path, record: Record) -> None:
    env = record()
    for episode in range(1, 4):
        play(env, 1, episode)
        (journal,), _ = journals.load(tmp_path / "x")
        assert journal.evaluations == len(journal.rewards) == episode
        assert journal.plan is not None
    assert journal.plan is not None
    assert journal.plan.measured.accuracy == journal.accuracy == max(journal.rewards)
    env.close()
    assert journals.load(tmp_path / "x") == ([], {})


def test_an_error_leaves_no_result(
    tmp_path: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> None:
        env = record()
        try:
            play(env, 2)
            raise RuntimeError("out of luck")
        finally:
            env.close()

    def crash_in_block() -> None:
        with record() as env:
            play(env, 1)
            raise RuntimeError("out of luck")

    for fails, evaluations in ((crash, 2), (crash_in_block, 1)):
        with pytest.raises(RuntimeError, match="out of luck"):
            fails()
        assert Store(tmp_path / "x").load() == ([], {})
        (journal,), _ = journals.load(tmp_path / "x")
        assert (journal.evaluations, journal.error) == (evaluations, "RuntimeError: out of luck")
    assert main(["report", str(tmp_path / "x")]) == 0
    said = "mine seed 0: 1 evaluations, best so far"
    assert f"not finished: {said}" in capsys.readouterr().out
    assert said in (tmp_path / "x" / "report.md").read_text()
    assert main(["publish", str(tmp_path / "x"), "--to", str(tmp_path / "results")]) == 2
    assert "not finished" in capsys.readouterr().err

    with record() as env:  # this time to the end
        play(env, 2)
    assert not journals.load(tmp_path / "x")[0]
    assert len(Store(tmp_path / "x").load()[0]) == 1


def test_a_budget_ends_the_record_and_not_the_loop(tmp_path: Path, record: Record) -> None:
    env = record(episodes=2)
    play(env, 4)
    assert env.record.evaluations == env.record.run.setting.episodes == 2
    env.close()
    (saved,), _ = Store(tmp_path / "x").load()
    assert len(saved.history.reward) == 2


def test_finished_records_are_not_overwritten(tmp_path: Path, record: Record) -> None:
    with record() as env:
        play(env, 1)
    (path,) = (tmp_path / "x").glob("*.json")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="already holds a finished record of mine seed 0"):
        record()
    with pytest.raises(ValueError, match="already"):
        record(episodes=1)
    env = record(rerun=True)
    play(env, 2)
    assert path.read_bytes() == before  # replaced only by a finished record
    env.close()
    (saved,), _ = Store(tmp_path / "x").load()
    assert saved.evaluations == 2
    with record(arguments={"rate": 0.1}) as env:  # other arguments make another agent
        play(env, 1)
    assert str(env.record.run) == "mine(rate=0.1) seed 0"


def test_one_run_is_recorded_once_at_a_time(record: Record) -> None:
    env = record()
    with pytest.raises(ValueError, match=r"is already being recorded in .*"):
        record()
    other = record(seed=1)
    for each in (env, other):
        play(each, 1)
        each.close()


def test_without_a_finished_episode_no_file_is_left(tmp_path: Path, record: Record) -> None:
    env = record()
    env.reset()
    with pytest.warns(UserWarning, match="no episode was finished"):
        env.close()
    assert not list((tmp_path / "x").iterdir())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"agent": ""}, ValueError, "agent must be a name"),
        ({"agent": 3}, ValueError, "agent must be a name"),
        ({"seed": -1}, ValueError, "seed must be a whole number"),
        ({"seed": True}, ValueError, "seed must be a whole number"),
        ({"episodes": 0}, ValueError, "episodes must be a whole number"),
        ({"arguments": {"x": object()}}, ValueError, "must be JSON values"),
    ],
)
def test_bad_input_is_one_clear_error(
    tmp_path: Path, record: Record, options: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        record(**options)
    assert not (tmp_path / "x").exists()


def test_other_environments_are_refused(tmp_path: Path) -> None:
    for env in (gym.make("CartPole-v1"), gym.make_vec(ENV, 2, **KWARGS), "AMC-MobileNet-v0"):
        with pytest.raises(TypeError, match="record needs"):
            benchmarks.record(env, agent="mine", seed=0, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


SCRIPT = """
import sys, time
import gymnasium as gym
import amc_gym, benchmarks
env = benchmarks.record(gym.make({env!r}, **{kwargs!r}), agent="mine", seed=0, out={out!r})
for _ in range(3):
    env.reset()
    while not env.step([0.5])[2]: pass
print("played", flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "finished", "error"),
    [
        ("", True, ""),
        ("raise OSError('cable')", False, "OSError: cable"),
        ("time.sleep(60)", False, ""),  # the test kills it
    ],
)
@pytest.mark.thorough
def test_however_a_script_ends(tmp_path: Path, end: str, finished: bool, error: str) -> None:
    out = tmp_path / "x"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(env=ENV, kwargs=KWARGS, out=str(out), end=end))
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, str(script)], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"played\n"
        if "sleep" in end:
            time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
        process.wait()
    records, _ = Store(out).load()
    unfinished, _ = journals.load(out)
    assert (len(records), len(unfinished)) == ((1, 0) if finished else (0, 1))
    if finished:
        assert records[0].evaluations == 3
        assert records[0].run.code is not None  # the hash of the script
    else:
        assert (unfinished[0].evaluations, unfinished[0].error) == (3, error)
