"""``python -m benchmarks reproduce``: shows a study, and executes it step by step."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import Positional, arg

from amc_gym._utils.files import write_whole
from amc_gym.cli.console import printer
from benchmarks.reports.escaping import terminal_text
from benchmarks.reports.tables import terminal
from benchmarks.reproducing.configs import Stage, Study, changed, load, names
from benchmarks.reproducing.finished import finished
from benchmarks.studies.runs import BenchmarkError

ENOUGH = 1
"""Exit status of a command that failed in part; the study continues without that part."""


def reproduce(
    studies: Positional[tuple[str, ...]] = (),
    dry_run: bool = False,
    jobs: int = 1,
    settings: Annotated[tuple[str, ...], arg(name="set", metavar="COMMAND.OPTION=VALUE")] = (),
) -> int:
    """Execute studies of benchmarks/configs, step by step; without a name, list them.

    Finished work is kept, so that the same command continues where it was stopped. The first step
    that fails ends its study.

    Args:
        studies: Names of studies.
        dry_run: Only show what would be run, what it costs, and what is finished already.
        jobs: Number of parallel studies; one network rarely fills a GPU.
        settings: Options that replace the config's, for all steps of a command, as in
            run.seeds=2 or finetuning.recipe.epochs=5.

    Examples:
        python -m benchmarks reproduce
        python -m benchmarks reproduce digits-mobilenet --dry-run
        python -m benchmarks reproduce digits-mobilenet --set run.seeds=2
    """
    if jobs < 1:
        raise BenchmarkError(f"--jobs {jobs}: should be at least 1")
    console = printer()
    if not studies:
        rows = [(each.name, each.title, each.cost) for each in map(load, names())]
        console.print(terminal("Studies", ("name", "what", "cost"), rows, words=3))
        return 0
    chosen = [changed(load(name), _settings(settings)) for name in studies]
    if dry_run:
        for study in chosen:
            _show(study, console)
        return 0
    with ThreadPoolExecutor(jobs) as side_by_side:
        return max(side_by_side.map(partial(_carry_out, console=console), chosen))


def _show(study: Study, console: Console) -> None:
    """Show what would be run, and how much of it is finished."""
    about = {"paper": study.paper, "cost": study.cost, "needs": study.needs}
    lines = [f"{study.name}: {study.title}"]
    lines += [f"  {name}: {text}" for name, text in about.items() if text]
    if study.result:
        lines.append(f"  our result: benchmarks/results/{study.result}")
    for line in lines:
        console.print(terminal_text(line), highlight=False, soft_wrap=True)
    for number, step in enumerate(study.steps, start=1):
        console.print(
            terminal_text(f"  {number}. {_state(step)}: {_shown(step)}"),
            highlight=False,
            soft_wrap=True,
        )


def _state(step: Stage) -> str:
    found = finished(step)
    if found is None:
        return "always run"
    done, of, what = found
    return f"{done} of {of} {what} finished"


def _shown(step: Stage) -> str:
    into = "" if step.prints is None else f" > {shlex.quote(step.prints)}"
    return f"{shlex.join(['python', *step.words()])}{into}"


def _carry_out(study: Study, console: Console) -> int:
    """Execute the steps, and return the exit status of the step that failed, else 0.

    A failed run is no reason to withhold the report on the others.
    """
    status = 0
    for step in study.steps:
        if step.prints is not None and Path(step.prints).exists():
            continue
        console.print(terminal_text(f"$ {_shown(step)}"), highlight=False, soft_wrap=True)
        status = max(status, _call(step))
        if status > ENOUGH or (status and step.command != "run"):
            break
    return status


def _call(step: Stage) -> int:
    command = [sys.executable, *step.words()]
    if step.prints is None:
        return subprocess.run(command, check=False).returncode
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
    if not done.returncode:
        Path(step.prints).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(step.prints), done.stdout)
    return done.returncode


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """Return COMMAND.OPTION -> value; a value that is not JSON is text."""
    settings = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise BenchmarkError(f"--set {word}: should be COMMAND.OPTION=VALUE")
        try:
            settings[key] = json.loads(text)
        except ValueError:
            settings[key] = text
    return settings
