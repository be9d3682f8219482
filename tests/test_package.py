"""Properties of the whole package: cheap to import, typed, one version number."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import amc_gym

ROOT = Path(__file__).parents[1]

WATCHED = {
    "torch",
    "torchvision",
    "scipy",
    "sklearn",
    "pydantic",
    "tyro",
    "onnx",
    "sympy",
    "torch._dynamo",
}

IMPORTS = f"""
import sys
import gymnasium as gym
import amc_gym
print(*sorted({WATCHED} & sys.modules.keys()))
amc_gym.CompressionTask
print(*sorted({WATCHED} & sys.modules.keys()))
gym.make("AMC-MobileNet-v0", reward_images=20)
print(*sorted({WATCHED} & sys.modules.keys()))
"""

HELP = f"""
import sys
from amc_gym.__main__ import main
from amc_gym.cli.commands import COMMANDS
for command in ([], *([name] for name in COMMANDS)):
    try:
        main([*command, "--help"])
    except SystemExit as end:
        assert end.code == 0
main(["--version"])
print(*sorted({WATCHED - {"tyro"}} & sys.modules.keys()), file=sys.stderr)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_nothing_is_imported_that_only_some_need() -> None:
    """Check imports, whose time every process pays: torchvision alone takes as long as torch.

    Making an environment, too, imports nothing that takes longer than its use of it.
    """
    none, public, environment = python(IMPORTS).stdout.splitlines()
    assert none == ""
    assert public == "pydantic torch"
    assert environment == "pydantic torch"


def test_help_and_version_need_no_torch() -> None:
    done = python(HELP)
    assert done.stderr == "\n"
    assert done.stdout.splitlines()[-1] == f"amc-gym {amc_gym.__version__}"


def test_public_names_are_those_of_the_interface() -> None:
    assert set(amc_gym.__all__) <= set(dir(amc_gym))
    assert all(hasattr(amc_gym, name) for name in amc_gym.__all__)
    assert amc_gym.envs.amc.AMCEnv.__module__ == "amc_gym.envs.amc"
    with pytest.raises(AttributeError, match="no attribute 'compres'"):
        _ = amc_gym.compres


def test_the_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    weights = tomllib.loads((ROOT / "release/weights/pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert f"\nversion: {amc_gym.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert weights["version"] == amc_gym.__version__
    assert project["optional-dependencies"]["weights"] == [
        f"amc-gym-weights=={amc_gym.__version__}"
    ]


def test_type_checkers_are_told_that_it_is_typed() -> None:
    assert (resources.files(amc_gym) / "py.typed").is_file()
