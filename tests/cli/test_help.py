"""Help texts: their examples parse, their choices are the code's, and shells complete them."""

from __future__ import annotations

import functools
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tyro

from amc_gym.__main__ import main
from amc_gym._utils.options import options_of
from amc_gym.cli.commands import COMMANDS, Command, parse
from amc_gym.cli.parsing import KINDS, examples
from amc_gym.cli.subjects import NAMED
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.evaluation.evaluator import PRECISIONS
from amc_gym.compression.evaluation.hits import METRICS
from amc_gym.compression.latency.runtimes import RUNTIMES
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.compression.ranking.importance import IMPORTANCES
from amc_gym.compression.recovery import RECOVERIES
from amc_gym.engine.options import AUTO, EVALUATIONS, EngineOptions
from amc_gym.envs.actions import ACTION_MODES
from amc_gym.envs.observations import OBSERVATIONS
from amc_gym.envs.options import LATENCY, EnvOptions
from amc_gym.envs.rewards import REWARDS
from benchmarks.__main__ import COMMANDS as STUDIES
from benchmarks.__main__ import main as studies
from benchmarks.best_plans.__main__ import judge
from benchmarks.finetuning.__main__ import finetune
from benchmarks.pareto.__main__ import pareto
from benchmarks.search_signal.__main__ import study as search_signal
from benchmarks.weight_stages import study as weight_stages

CHOICES = {
    "granularity": PRUNINGS,
    "importance": IMPORTANCES,
    "recovery": ["none", *RECOVERIES],
    "metric": METRICS,
    "precision": [AUTO, *PRECISIONS],
    "evaluation": EVALUATIONS,
    "resource": [*RESOURCES, LATENCY],
    "reward": REWARDS,
    "action_mode": ACTION_MODES,
    "observation": OBSERVATIONS,
    "runtime": RUNTIMES,
}


ALONE = {
    "benchmarks.best_plans": judge,
    "benchmarks.finetuning": finetune,
    "benchmarks.pareto": pareto,
    "benchmarks.search_signal": search_signal,
    "benchmarks.weight_stages": weight_stages,
}
"""Parsers of the studies that are modules of their own."""


def helped(call: Callable[[list[str]], object], words: list[str], capsys) -> str:
    """Return the help text that a command line prints."""
    with pytest.raises(SystemExit) as exit_:
        call(words)
    assert not exit_.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples_that_parse(name, capsys) -> None:
    text = helped(main, [name, "--help"], capsys)
    assert "{None}" not in text
    assert examples(COMMANDS[name])
    for line in examples(COMMANDS[name]):
        assert line in text
        words = shlex.split(line.partition(" > ")[0])
        assert words[:2] == ["amc-gym", name]
        assert isinstance(parse(words[1:]), Command)


@pytest.mark.parametrize("name", [*STUDIES, *ALONE])
def test_each_study_has_examples_that_parse(name, capsys) -> None:
    function = {**STUDIES, **ALONE}[name]
    program = f"python -m {name}" if name in ALONE else "python -m benchmarks"

    @functools.wraps(function)
    def said(*given, **options) -> bool:
        return True

    def call(words: list[str]) -> object:
        return tyro.cli(said, args=words, prog=program, registry=KINDS)

    assert "{None}" not in helped(call, ["--help"], capsys)
    assert examples(function)
    for line in examples(function):
        words = shlex.split(line.removeprefix(program))
        if name in STUDIES:
            assert words.pop(0) == name
        assert call(words)


def test_studies_show_their_examples_and_the_agents(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    text = helped(studies, ["run", "--help"], capsys)
    assert examples(STUDIES["run"])[0] in text
    text = " ".join(text.replace("│", "").split())
    assert all(name in text for name in ("amc-ddpg, ", "cma-es, ", "rules, searchers, learners"))
    assert examples(STUDIES["run"])[0] not in helped(studies, ["--help"], capsys)


def test_choices_are_those_of_the_code(monkeypatch, capsys) -> None:
    """Compare choices with the code; help takes them from docstrings, to do without PyTorch."""
    told = {
        each.name: each.names for cls in (EngineOptions, EnvOptions) for each in options_of(cls)
    }
    assert CHOICES.keys() == NAMED
    assert {name: set(told[name]) for name in NAMED} == {k: set(v) for k, v in CHOICES.items()}
    monkeypatch.setenv("COLUMNS", "200")
    assert "--importance magnitude|bn-scale|taylor|greedy" in helped(main, ["search", "-h"], capsys)


def test_none_is_still_no_value() -> None:
    words = ["search", "AMC-MobileNet-v0", "--out", "x.json", "--reward-images"]
    assert [parse([*words, n]).budget.reward_images for n in ("None", "20")] == [None, 20]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("amc-gym sea", "search"), ("amc-gym export p.json --for", "--format")],
)
def test_bash_completes_what_is_typed(typed, offered, tmp_path: Path, capsys) -> None:
    script = tmp_path / "amc-gym"
    script.write_text(helped(main, ["completion", "bash"], capsys))
    words = typed.split(" ")
    line = f"""
source {script}
COMP_WORDS=({" ".join(words)}) COMP_CWORD={len(words) - 1} COMP_LINE="{typed}"
COMP_POINT={len(typed)}
$(complete -p amc-gym | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert offered in done.stdout.split()


def test_the_doctor_says_what_is_there_and_what_installs_the_rest(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    from amc_gym.cli import doctor

    found = doctor.version

    def without(name: str) -> str:
        if name == "onnxruntime":
            raise doctor.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(doctor, "version", without)
    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AMC_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")  # no path is broken
    (tmp_path / "cache" / "latency").mkdir(parents=True)
    (tmp_path / "cache" / "latency" / "times.json").write_bytes(b"x" * 3 * 1024)
    (tmp_path / "imagenette2").mkdir()
    assert main(["doctor"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "missing onnxruntime: pip install 'amc-gym[onnx]'" in said
    assert f"imagenette │ {tmp_path / 'imagenette2'}" in said
    assert "cifar10 │ not found" in said
    assert "latency │ 3 KiB" in said
    assert "bundled │ digits, glyphs" in said
    assert doctor._state("weights", ["amc-gym-weights"]) == "in this checkout"
