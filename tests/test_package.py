"""Promises of the package as a whole: cheap to import, typed, one version."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import amc_gym

ROOT = Path(__file__).parents[1]

CODE = """
import sys
import gymnasium as gym
import amc_gym
print(*sorted({"torchvision", "scipy", "sklearn", "onnx", "sympy"} & sys.modules.keys()))
gym.make("AMC-MobileNet-v0", reward_images=20)
print(*sorted({"torchvision", "sklearn", "onnx", "torch._dynamo"} & sys.modules.keys()))
"""


def test_nothing_is_imported_that_only_some_need() -> None:
    """Every process pays for it: torchvision alone takes as long as torch.

    Nor has an environment imports that take longer than what it does with them.
    """
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "\n\n"


def test_the_version_is_written_once() -> None:
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    assert f"\nversion: {amc_gym.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_type_checkers_are_told_that_it_is_typed() -> None:
    assert (resources.files(amc_gym) / "py.typed").is_file()
