"""The wheels: their files, and agents as amc_gym.agents, which work without a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import agents
from amc_gym.zoo import bundled
from amc_gym.zoo.datasets.glyphs import ATLAS
from amc_gym.zoo.small import store
from release.building import LARGEST, WEIGHTS

ROOT = Path(__file__).parents[2]
SOURCES = ("amc_gym", "agents", "release", "pyproject.toml", "setup.py", "README.md", "LICENSE")

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
gym.make("amc_gym:AMC-Plain20-v0")
try:
    gym.make("AMC-v0", task="plain-digits-0")
except OSError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both wheels from a copy of the checkout without an earlier build's files."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, checkout / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, checkout)
    build = "import sys; from {} import build_wheel; build_wheel(sys.argv[1])"
    for backend, folder in (
        ("setuptools.build_meta", checkout),
        ("hatchling.build", checkout / WEIGHTS.relative_to(ROOT)),
    ):
        run(["-c", build.format(backend), str(checkout)], folder)
    (package,), (weights,) = checkout.glob("amc_gym-*.whl"), checkout.glob("amc_gym_w*.whl")
    return package, weights


@pytest.mark.thorough
def test_each_file_of_weights_is_in_one_wheel(wheels: tuple[Path, Path]) -> None:
    assert wheels[0].stat().st_size <= LARGEST
    held = [name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()]
    wanted = sorted(
        path.relative_to(ROOT).as_posix()
        for folder in (bundled.DIRECTORY, store.DIRECTORY)
        for path in folder.iterdir()
    )
    assert sorted(name for name in held if name in wanted) == wanted
    run(["-m", "twine", "check", "--strict", *map(str, wheels)], wheels[0].parent)


@pytest.mark.thorough
def test_agents_work_from_an_installed_wheel(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(site)
    assert {each.name for each in site.iterdir() if each.suffix != ".dist-info"} == {"amc_gym"}
    assert (site / ATLAS.relative_to(ROOT)).is_file()
    said = run(
        ["-c", PROGRAM.format(site=str(site), root=str(ROOT))], elsewhere, PYTHONPATH=str(site)
    )
    expected = [("uniform", 1), ("evolution", 2), ("sb3-td3", 2)]
    *lines, refused = said.splitlines()
    assert lines == [f"{name} {n} {agents.fingerprint(name)}" for name, n in expected]
    assert "pip install --force-reinstall 'amc-gym[weights]'" in refused


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run Python in a folder without this process's own paths, and return its output."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=others | variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
