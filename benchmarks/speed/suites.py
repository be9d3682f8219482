"""``python -m benchmarks.speed.suites``: memory and time of a suite, context by context.

It plays a few episodes of random actions on each of 64 contexts (or all, if there are fewer) in one
process.
"""

from __future__ import annotations

import resource
import statistics
import time

import gymnasium as gym
import numpy as np

import amc_gym  # noqa: F401  # registers the ids
from amc_gym._utils.progress import counter
from amc_gym.suites.engines import engines
from amc_gym.suites.suite import suite_of


def peak() -> float:
    """Return the peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(suite: str = "digits-v1", contexts: int = 64, episodes: int = 4) -> None:
    """Measure a suite.

    Args:
        suite: its name, or the path of a TOML file.
        contexts: number of contexts that are played, evenly spread.
        episodes: number of episodes of each context.
    """
    listed = suite_of(suite).contexts
    places = np.linspace(0, len(listed) - 1, min(contexts, len(listed))).round().astype(int)
    env = gym.make("AMC-Suite-v0", suite=suite)
    env.action_space.seed(0)
    before, made, played = peak(), [], []
    with counter() as bar:
        for place in bar.track(places.tolist(), description=suite):
            for _ in range(episodes):
                began = time.perf_counter()
                env.reset(options={"context": listed[place].name})
                made.append(time.perf_counter() - began)
                while not env.step(env.action_space.sample())[2]:
                    pass
                played.append(time.perf_counter() - began - made[-1])
    print(f"{len(places)} contexts of {suite}, {episodes} episodes each")
    print(f"peak memory {peak():.0f} MB, {before:.0f} MB of it before the first network")
    print(f"engines kept: {len(engines)}, {engines.bytes / 1e6:.0f} MB in tensors")
    print(
        f"a first reset took {max(made):.1f} s at most, half of the others at most "
        f"{1000 * statistics.median(made):.2f} ms"
    )
    print(f"an episode took {1000 * statistics.median(played):.0f} ms (median)")


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
