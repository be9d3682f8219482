"""Studies described by configs: every config is valid, and what it says is what is run."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from small_study import ENV, KWARGS

import agents
import benchmarks.__main__ as benchmarks_main
from amc_gym.cli.commands import BenchLatency
from amc_gym.training.recipe import Recipe
from amc_gym.zoo.recipes import RECIPES
from amc_gym.zoo.recipes import main as train
from benchmarks.__main__ import main
from benchmarks.best_plans.__main__ import judge
from benchmarks.finetuning.__main__ import check_recovery, finetune
from benchmarks.finetuning.jobs import RECIPE
from benchmarks.pareto.__main__ import pareto
from benchmarks.reproducing.configs import COMMANDS, CONFIGS, Stage, changed, load, names, read
from benchmarks.reproducing.finished import finished
from benchmarks.search_signal.__main__ import study as search_signal
from benchmarks.signals import main as signals
from benchmarks.studies.execution import import_modules
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer.command import transfer
from benchmarks.weight_stages import study as weight_stages

FUNCTIONS = {
    "run": benchmarks_main.run,
    "report": benchmarks_main.report,
    "best-plans": judge,
    "compare": benchmarks_main.compare,
    "finetuning": finetune,
    "pareto": pareto,
    "search-signal": search_signal,
    "signals": signals,
    "weight-stages": weight_stages,
    "bench-latency": BenchLatency,
    "train": train,
    "transfer": transfer,
}
RESULTS = CONFIGS.parent / "results"

SMALL = f"""
title = "a small one"
cost = "seconds"
[[steps]]
command = "run"
[steps.options]
env = "{ENV}"
out = "OUT"
seeds = 2
episodes = 2
modules = "small_learners"
agents = ["uniform", "guess"]
workers = 1
[steps.options.env-kwargs]
{chr(10).join(f"{name} = {json.dumps(value)}" for name, value in KWARGS.items())}
[[steps]]
command = "report"
arguments = ["OUT"]
prints = "OUT/printed.txt"
"""


@pytest.mark.parametrize("name", names())
def test_configs_name_what_there_is(name: str) -> None:
    study = load(name)
    import_modules(["benchmarks.ablations"])
    recipe = {f"recipe.{each.name.replace('_', '-')}" for each in fields(Recipe)}
    assert study.result is None or (RESULTS / study.result).is_dir()
    for step in study.steps:
        taken = inspect.signature(FUNCTIONS[step.command]).parameters
        known = {each.replace("_", "-") for each in taken} | (
            recipe if "recipe" in taken else set()
        )
        assert step.options.keys() <= known
        there = finished(step)
        assert there is None or there[1] > 0
        if "agents" in step.options:
            assert agents.named(word.partition("=")[0] for word in step.options["agents"])
        if step.command == "train":
            assert step.arguments in RECIPES
        if step.command == "finetuning":
            check_recovery(step.options.get("recovery"), recipe_of(step.options))
    assert FUNCTIONS.keys() == COMMANDS.keys()


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    names = [name for name in options if name.startswith("recipe.")]
    return replace(
        RECIPE, **{name.removeprefix("recipe.").replace("-", "_"): options[name] for name in names}
    )


def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace("OUT", str(tmp_path / "out")))
    return path


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in child processes import the small learners."""
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.mark.usefixtures("reachable")
@pytest.mark.thorough
def test_a_study_is_carried_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.reproducing.configs.CONFIGS", small(tmp_path).parent)
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["reproduce", "small", "--dry-run"]) == 0
    said = capfd.readouterr().out
    assert "cost: seconds" in said
    assert "1. 0 of 3 runs finished: python -m benchmarks run" in said
    assert "2. 0 of 1 file finished: python -m benchmarks report" in said
    assert not (tmp_path / "out").exists()
    assert main(["reproduce", "small", "--set", "run.seeds=1"]) == 0
    printed = (tmp_path / "out" / "printed.txt").read_bytes()
    assert b"guess" in printed
    capfd.readouterr()
    assert main(["reproduce", "small", "--dry-run"]) == 0
    assert "1. 2 of 3 runs finished" in (said := capfd.readouterr().out)
    assert "2. 1 of 1 file finished" in said
    assert main(["reproduce", "small"]) == 0
    assert "2 of 3 runs are finished already" in capfd.readouterr().err
    assert (tmp_path / "out" / "printed.txt").read_bytes() == printed


@pytest.mark.usefixtures("reachable")
def test_a_step_that_fails_ends_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = small(tmp_path)
    path.write_text(path.read_text().replace(ENV, "AMC-MobilNet-v0"))
    monkeypatch.setattr("benchmarks.reproducing.configs.CONFIGS", path.parent)
    assert main(["reproduce", "small"]) == 2
    assert "AMC-MobileNet" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("reachable")
@pytest.mark.thorough
def test_several_studies_are_carried_out_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        text = SMALL.replace("OUT", str(tmp_path / name)).replace('"uniform", "guess"', '"uniform"')
        (tmp_path / f"{name}.toml").write_text(text)
    monkeypatch.setattr("benchmarks.reproducing.configs.CONFIGS", tmp_path)
    assert main(["reproduce", "first", "second", "--jobs", "2"]) == 0
    for name in ("first", "second"):
        assert b"uniform" in (tmp_path / name / "printed.txt").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('cost = "seconds"', ""), "its cost is missing"),
        (("title = ", 'heading = "x"\ntitle = '), "its heading is unknown"),
        (('command = "run"', 'command = "rum"'), "did you mean 'run'"),
        (("seeds = 2", "seeds = "), "Invalid value"),
        (("episodes = 2", "Episodes = 2"), "Episodes"),
    ],
)
def test_a_config_with_a_mistake_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = small(tmp_path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(BenchmarkError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} is not a study: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar10-plain20"], "did you mean 'cifar10-plain20-50'"),
        (["digits-agents", "--jobs", "0"], "--jobs 0: should be at least 1"),
        (["digits-agents", "--set", "seeds=1"], "COMMAND.OPTION=VALUE"),
        (["digits-agents", "--set", "run.seeds"], "COMMAND.OPTION=VALUE"),
        (["digits-agents", "--set", "pareto.seeds=1"], "a command of the study: run, report"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *arguments, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_options_are_words_of_a_command_line() -> None:
    options = {"agents": ["a", "b"], "ratios": [0.3, 0.7], "recipe.flip": False, "rerun": True}
    step = Stage("run", ("x",), options | {"env-kwargs": {"dataset": "digits"}})
    assert step.words()[3:] == [
        *("x", "--agents", "a,b", "--ratios", "0.3", "0.7", "--recipe.no-flip", "--rerun"),
        *("--env-kwargs", '{"dataset": "digits"}'),
    ]
    study = changed(load("digits-agents"), {"run.seeds": 1})
    assert study.steps[0].options["seeds"] == 1


@pytest.mark.parametrize("target", ["bench-full", "pareto", "cifar10", "cifar10-more", "weights"])
def test_targets_of_make_name_studies(target: str) -> None:
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "-o", ".venv/.installed-onnx", target],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    commands = done.stdout.replace("\\\n", " ").splitlines()
    named = [line.split(" reproduce ")[1].split() for line in commands if " reproduce " in line]
    assert named
    for words in named:
        studies = words[: words.index("--set")] if "--set" in words else words
        assert set(studies) <= set(names())
