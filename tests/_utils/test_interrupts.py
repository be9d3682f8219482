"""Interrupts: Ctrl-C ends a command with one line and status 130, even while it starts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import environment, interruptible

from amc_gym._utils import interrupts

SLOW = """
import sys, time
import torch
from torch import nn
from amc_gym import CompressionTask
from small import PlainStack, images, lively

class Slow(PlainStack):
    def forward(self, x):
        print("forward", flush=True)
        time.sleep(0.2)
        return super().forward(x)

def task():
    print("task", flush=True)
    return CompressionTask(lively(Slow()), images(400, 1), images(64, 2), images(64, 3))
"""

BENCHMARKS = ["run", "--env", "AMC-Plain20-v0", "--agents", "random", "--out", "out"]

# Should the signal be missed, the command writes here, and not into the checkout.
RECIPES = ["Plain20", "digits", "--out", "out"]

COMMANDS = {
    "amc-gym": ["-m", "amc_gym", "list"],
    "python -m amc_gym.zoo.recipes": ["-m", "amc_gym.zoo.recipes", *RECIPES],
    "python -m benchmarks": ["-m", "benchmarks", *BENCHMARKS],
    "python -m benchmarks.finetuning": ["-m", "benchmarks.finetuning", "out"],
}


def interrupted(
    command: list[str], folder: Path, ready: Callable[[int], bool]
) -> tuple[int, str, float]:
    """Send Ctrl-C to a command when it is ready; return its status, errors and seconds to end."""
    with (folder / "out.txt").open("w") as output:
        with interruptible():
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                env=environment(AMC_CACHE=str(folder)),
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while not ready(process.pid):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors, time.monotonic() - began


def imports_torch(process: int) -> bool:
    return "libtorch" in Path(f"/proc/{process}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("name", COMMANDS)
def test_while_a_command_is_imported(name: str, tmp_path: Path) -> None:
    command = [sys.executable, *COMMANDS[name]]
    status, errors, _ = interrupted(command, tmp_path, imports_torch)
    assert (status, errors) == (130, f"{name}: interrupted\n")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_while_the_installed_command_is_imported(tmp_path: Path) -> None:
    script = shutil.which("amc-gym", path=os.path.dirname(sys.executable))
    if script is None:
        pytest.skip("the package is not installed")
    status, errors, _ = interrupted([script, "list"], tmp_path, imports_torch)
    assert (status, errors) == (130, "amc-gym: interrupted\n")


@pytest.mark.parametrize("said", ["task", "forward", "forward\n" * 3])
def test_while_a_network_is_traced(said: str, tmp_path: Path) -> None:
    (tmp_path / "slow_network.py").write_text(SLOW)
    command = [sys.executable, "-W", "ignore", "-m", "amc_gym", "search", "slow_network:task"]
    status, errors, _ = interrupted(
        [*command, "--out", "plan.json"],
        tmp_path,
        lambda _: said in (tmp_path / "out.txt").read_text(),
    )
    assert (status, errors) == (130, "amc-gym: interrupted\n")
    assert not (tmp_path / "plan.json").exists()


def test_an_interrupted_search_says_what_it_keeps(tmp_path: Path) -> None:
    (tmp_path / "slow_network.py").write_text(SLOW.replace("0.2", "0.02"))
    command = [sys.executable, "-W", "ignore", "-m", "amc_gym", "search", "slow_network:task"]
    status, errors, _ = interrupted(
        [*command, "--out", "plan.json", "--evaluations", "1000"],
        tmp_path,
        lambda _: "forward\n" * 40 in (tmp_path / "out.txt").read_text(),
    )
    said = "amc-gym: interrupted; the best plan so far is in plan.json\n"
    assert (status, errors) == (130, said)
    assert (tmp_path / "plan.json").exists()


@pytest.mark.parametrize(
    ("argv", "original", "name"),
    [
        (["-m", "list"], ["python", "-m", "amc_gym", "list"], "amc-gym"),
        (["-m"], ["python", "-W", "ignore", "-mamc_gym"], "amc-gym"),
        (["-m", "-m"], ["python", "-m", "benchmarks", "-m"], "python -m benchmarks"),
        (["-m"], ["python", "-m", "benchmarks.pareto"], "python -m benchmarks.pareto"),
        (["/usr/bin/amc-gym", "list"], ["python", "/usr/bin/amc-gym", "list"], "amc-gym"),
        (["-m", "amc_gym"], ["python", "-m", "pytest", "amc_gym"], None),
        (["-m"], ["python", "-m", "amc_gymnast"], None),
        (["train.py", "amc-gym"], ["python", "train.py", "amc-gym"], None),
        (["-c"], ["python", "-c", "import amc_gym"], None),
        ([""], ["python"], None),
        ([], [], None),
    ],
)
def test_only_commands_of_this_project_are_meant(
    argv: list[str], original: list[str], name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert interrupts.program() == name


def test_programs_of_others_keep_their_handler(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import signal, amc_gym\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    command = [sys.executable, "-W", "ignore", str(script)]
    with interruptible():
        subprocess.run(command, check=True, env=environment())


def test_an_ignored_interrupt_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "program", lambda: "amc-gym")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in jobs in the background
    try:
        interrupts.install()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
