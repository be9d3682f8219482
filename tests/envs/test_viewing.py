"""``render_mode="human"``: a window where there is a screen, or a notebook's cell, or text."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from amc_gym.envs.picture import HEIGHT, WIDTH, rgb_array
from amc_gym.envs.rendering import Frame
from amc_gym.envs.viewing import Notebook, Window

CHEAP = {"weights": "random", "reward_images": 5, "render_mode": "human"}
HALF = np.array([0.5], dtype=np.float32)


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    pytest.importorskip("tkinter")
    name = f":{90 + os.getpid() % 1000}"
    server = subprocess.Popen(["Xvfb", name], stderr=subprocess.DEVNULL)
    time.sleep(1)
    yield name
    server.terminate()
    server.wait()


def test_a_window_shows_each_step_and_closes(screen: str, monkeypatch) -> None:
    monkeypatch.setenv("DISPLAY", screen)
    env = gym.make("AMC-Plain20-v0", **CHEAP)
    env.reset()
    began = time.monotonic()
    env.step(HALF)
    env.step(HALF)
    assert time.monotonic() - began >= 2 / env.metadata["render_fps"] - 0.05  # people can follow
    window = env.unwrapped._viewer.viewer
    assert isinstance(window, Window)
    assert (window._image.width(), window._image.height()) == (WIDTH, HEIGHT)
    assert env.render() is None
    window._root.destroy()  # as a user does to close the window
    env.step(HALF)
    env.close()


def test_without_a_screen_steps_are_lines_in_the_terminal(monkeypatch, capsys) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    env = gym.make("AMC-Plain20-v0", **CHEAP)
    monkeypatch.setitem(env.unwrapped.metadata, "render_fps", 1000)
    units = env.unwrapped.engine.graph.units
    env.reset()
    for _ in units:
        env.step(HALF)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"0/{len(units)} units decided")
    assert any(line.split()[:1] == [units[-1].name] for line in said[len(units) :])


def test_a_notebook_shows_the_last_frame_in_its_cell() -> None:
    client = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    code = f"""
import gymnasium as gym, numpy as np, torch, amc_gym
torch.set_num_threads(1)
env = gym.make("AMC-Plain20-v0", **{CHEAP})
env.reset()
env.step(np.array([0.5], dtype=np.float32))
viewer = env.unwrapped._viewer.viewer
type(viewer).__name__"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client.NotebookClient(notebook, timeout=120).execute()
    picture, result = notebook.cells[0].outputs  # one picture, whatever the number of steps
    assert Notebook.__name__ in result["data"]["text/plain"]
    with Image.open(io.BytesIO(base64.b64decode(picture["data"]["image/png"]))) as image:
        assert image.size == (WIDTH, HEIGHT)


def test_the_picture_tells_cost_budget_and_the_unit_that_is_next() -> None:
    frame = Frame(["first", "second"], [8, 16], [4], "macs", ratio=0.7, score=None, budget=0.5)
    picture = rgb_array(frame)
    unbounded = rgb_array(Frame(["first", "second"], [8, 16], [4], "macs", 0.7, None))
    budget, now, kept = ((0xC2, 0x18, 0x5B), (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2))

    def columns(of: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
        return np.flatnonzero((of == colour).all(-1).any(0))

    assert columns(picture, budget).size
    assert not columns(unbounded, budget).size
    assert columns(picture[100:270], kept).max() < columns(picture[100:270], now).min()
    assert (picture[46:66, 52:] == kept).all(-1).any(0).sum() == pytest.approx(0.7 * 536, abs=30)
