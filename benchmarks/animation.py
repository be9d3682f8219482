"""README's picture: one episode of a committed plan, frame by frame.

python -m benchmarks.animation
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import RenderCollection
from PIL import Image

from amc_gym import CompressionPlan
from amc_gym._utils.files import replacing
from amc_gym.cli.console import printer
from benchmarks.arguments import run_command

ROOT = Path(__file__).parents[1]
PLAN = Path(__file__).parent / "leaderboard/submissions/mobilenet-digits-cma-es/plans/seed0.json"

STEP, END = 450, 2600
"""Milliseconds that each frame is shown, and the last one."""

SHADES = 48
"""Number of colours in the file, enough for smooth letters."""


def animate(
    plan: Path = PLAN, env: str = "AMC-MobileNet-v0", out: Path = ROOT / "docs/episode.gif"
) -> int:
    """Play the episode that leads to a plan, and write what `render()` shows as a GIF.

    Args:
        plan: The plan's file.
        env: Id of its environment.
        out: The GIF.

    Examples:
        python -m benchmarks.animation
        python -m benchmarks.animation --plan plan.json --env AMC-VGG16-v0 --out vgg16.gif
    """
    options = {"preserve_ratio": CompressionPlan.load(plan).options["preserve_ratio"]}
    shown = RenderCollection(gym.make(env, render_mode="rgb_array", **options))
    inner = shown.unwrapped
    kept = CompressionPlan.load(plan).kept
    counts = [len(kept[unit.name]) for unit in inner.problem.units]  # type: ignore[attr-defined]
    inner.execute(counts, through=shown)  # type: ignore[attr-defined]
    frames = [Image.fromarray(np.asarray(frame)) for frame in shown.render() or []]
    few = frames[len(frames) // 2].quantize(SHADES)  # has all colours
    drawn = [frame.quantize(palette=few, dither=Image.Dither.NONE) for frame in frames]
    lasting = [STEP] * (len(drawn) - 1) + [END]
    with replacing(out) as file:
        drawn[0].save(
            file,
            "GIF",
            save_all=True,
            append_images=drawn[1:],
            duration=lasting,
            loop=0,
            optimize=True,
        )
    printer().print(f"{out}: {len(drawn)} frames, {out.stat().st_size:,} bytes", highlight=False)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command(animate, "benchmarks.animation", arguments)


if __name__ == "__main__":
    sys.exit(main())
