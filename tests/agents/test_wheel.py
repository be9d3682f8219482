"""All that a wheel holds works without a checkout, its agents as amc_gym.agents."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import agents
from amc_gym.zoo.datasets.glyphs import ATLAS
from amc_gym.zoo.small import store

ROOT = Path(__file__).parents[2]
SOURCES = ("amc_gym", "agents", "pyproject.toml", "setup.py", "README.md", "LICENSE")

PROGRAM = """
import importlib.util
import sys

sys.path[:] = [path for path in sys.path if path != {root!r}]  # of an editable installation

import gymnasium as gym
from amc_gym import agents

assert importlib.util.find_spec("agents") is importlib.util.find_spec("benchmarks") is None
assert agents.__file__.startswith({site!r}), agents.__file__
env = gym.make("AMC-MobileNet-v0", weights="random", recovery="none", reward_images=20)
for name in ("uniform", "evolution", "sb3-td3"):
    print(name, agents.make(name, env, seed=0).learn(2).evaluations, agents.fingerprint(name))
"""


@pytest.mark.thorough
def test_agents_work_from_an_installed_wheel(tmp_path: Path) -> None:
    checkout, site, elsewhere = tmp_path / "checkout", tmp_path / "site", tmp_path / "elsewhere"
    for folder in (checkout, elsewhere):
        folder.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, checkout / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, checkout)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    run(["-c", build, str(tmp_path)], checkout)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {each.name for each in site.iterdir() if each.suffix != ".dist-info"} == {"amc_gym"}
    for file in (ATLAS, store.DIRECTORY / store.WEIGHTS, store.DIRECTORY / store.CARDS):
        assert (site / file.relative_to(ROOT)).is_file()

    said = run(
        ["-c", PROGRAM.format(site=str(site), root=str(ROOT))], elsewhere, PYTHONPATH=str(site)
    )
    expected = [("uniform", 1), ("evolution", 2), ("sb3-td3", 2)]
    assert said.splitlines() == [f"{name} {n} {agents.fingerprint(name)}" for name, n in expected]


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Output of Python in a folder, without this process's own paths."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=others | variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
