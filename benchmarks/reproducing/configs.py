"""Studies: TOML files of steps, each a command of this project with its options."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError, Name, Schema
from amc_gym._utils.names import choose
from benchmarks.studies.runs import BenchmarkError

CONFIGS = Path(__file__).parents[1] / "configs"

COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("benchmarks", "run"),
    "report": ("benchmarks", "report"),
    "best-plans": ("benchmarks.best_plans",),
    "compare": ("benchmarks", "compare"),
    "finetuning": ("benchmarks.finetuning",),
    "pareto": ("benchmarks.pareto",),
    "search-signal": ("benchmarks.search_signal",),
    "signals": ("benchmarks.signals",),
    "weight-stages": ("benchmarks.weight_stages",),
    "bench-latency": ("amc_gym", "bench-latency"),
    "train": ("amc_gym.zoo.recipes",),
    "transfer": ("benchmarks", "transfer"),
}
"""Name in a config -> words after ``python -m``."""

Option = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)?$")]


class StageSchema(Schema):
    """A ``Stage`` in a file."""

    command: Name
    arguments: list[Name] = Field(default_factory=list)
    options: dict[Option, JsonValue] = Field(default_factory=dict)
    writes: Name | None = None
    prints: Name | None = None


class StudySchema(Schema):
    """A ``Study`` in a file."""

    title: Name
    cost: Name
    paper: Name | None = None
    needs: Name | None = None
    result: Name | None = None
    steps: Annotated[list[StageSchema], Field(min_length=1, max_length=100)]


@dataclass(frozen=True)
class Stage:
    """A step of a study: a command and its options.

    Attributes:
        command: one of ``COMMANDS``.
        arguments: positional arguments; with a star, all files that match.
        options: by their names on the command line, without dashes.
        writes: a file that exists when the step is finished; None: see `finished`.
        prints: a file for the command's output, which is then ``writes``; None: it is shown.
    """

    command: str
    arguments: tuple[str, ...] = ()
    options: Mapping[str, Any] = Field(default_factory=dict)
    writes: str | None = None
    prints: str | None = None

    def words(self) -> list[str]:
        """Return its command line, without the interpreter.

        Raises:
            BenchmarkError: no file matches an argument.
        """
        words = ["-m", *COMMANDS[self.command]]
        for argument in self.arguments:
            words += _files(argument)
        for name, value in self.options.items():
            words += _option(name, value)
        return words


@dataclass(frozen=True)
class Study:
    """A study that ``reproduce`` carries out.

    Attributes:
        name: of the config.
        title: what is studied, in one line.
        cost: duration, and on which machine.
        paper: figure or table of the paper.
        needs: what is needed besides the package.
        result: its committed results, a folder in benchmarks/results.
        steps: in order.
    """

    name: str
    title: str
    cost: str
    paper: str | None
    needs: str | None
    result: str | None
    steps: tuple[Stage, ...]


def names() -> list[str]:
    """Return the names of all studies."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load(name: str) -> Study:
    """Read the config of that name.

    Raises:
        ValueError: there is no such study; the message suggests a close match.
        BenchmarkError: the file is not a valid config.
    """
    return read(CONFIGS / f"{choose('study', name, names())}.toml")


def read(path: Path) -> Study:
    """Read a config.

    Raises:
        BenchmarkError: it is not a config; the message says where it is wrong.
    """
    try:
        content = tomllib.loads(documents.read_text(path))
        schema = documents.check(StudySchema, content)
        for step in schema.steps:
            choose("command", step.command, COMMANDS)
    except (DocumentError, tomllib.TOMLDecodeError, ValueError, OSError) as error:
        raise BenchmarkError(f"{path} is not a study: {error}") from error
    steps = tuple(
        Stage(each.command, tuple(each.arguments), each.options, each.writes, each.prints)
        for each in schema.steps
    )
    fields = ("title", "cost", "paper", "needs", "result")
    return Study(path.stem, **{name: getattr(schema, name) for name in fields}, steps=steps)


def changed(study: Study, settings: Mapping[str, Any]) -> Study:
    """Return the study with other options.

    Args:
        study: the study from its config.
        settings: "COMMAND.OPTION" -> value, for all steps of that command.

    Raises:
        BenchmarkError: the study has no such command, or a setting has another form.
    """
    steps = list(study.steps)
    for key, value in settings.items():
        command, _, option = key.partition(".")
        mine = [i for i, step in enumerate(steps) if step.command == command]
        if not mine or not option:
            known = ", ".join(dict.fromkeys(step.command for step in steps))
            raise BenchmarkError(
                f"--set {key}: should be COMMAND.OPTION=VALUE with a command of the study: {known}"
            )
        for i in mine:
            steps[i] = replace(steps[i], options={**steps[i].options, option: value})
    return replace(study, steps=tuple(steps))


def _files(argument: str) -> list[str]:
    if "*" not in argument:
        return [argument]
    found = sorted(str(path) for path in Path().glob(argument))
    return found or [argument]


def _option(name: str, value: Any) -> list[str]:
    """Return an option as words: lists of names joined by commas, lists of numbers as words."""
    if isinstance(value, bool):
        stem, _, last = name.rpartition(".")
        return [f"--{stem}{'.' * bool(stem)}{'' if value else 'no-'}{last}"]
    if isinstance(value, dict):
        return [f"--{name}", json.dumps(value)]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return [f"--{name}", ",".join(value)]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", *_files(str(value))]
