"""Your own agent, compared with random search.

Run it from the top of a checkout:

    python examples/bring_your_own_agent.py

The agent is a hill climber: it changes the sparsity of one layer of the best plan so far.  The same
file works as a module for a benchmark that uses all cores and can be resumed:

    PYTHONPATH=examples python -m benchmarks run --env AMC-MobileNet-v0 --seeds 3 --episodes 100 \
        --agents bring_your_own_agent:HillClimber,random --out runs/hill-climber
    python -m benchmarks report runs/hill-climber
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # from a wheel: amc_gym.agents

import agents
import amc_gym


@agents.register("hill-climber", kind="searcher")
class HillClimber:
    """Mutate the best sparsity ratios found so far, one layer at a time."""

    def __init__(self, env: gym.Env, seed: int) -> None:
        self.env = env
        self.rng = np.random.default_rng(seed)

    def learn(self, episodes: int) -> None:
        """Spend ``episodes`` evaluations."""
        best, best_reward = np.full(14, 0.5), -np.inf
        for _ in range(episodes):
            ratios = best.copy()
            layer = self.rng.integers(len(ratios))
            ratios[layer] = np.clip(ratios[layer] + self.rng.normal(0, 0.2), 0, 1)
            reward = self.play(ratios)
            if reward >= best_reward:
                best, best_reward = ratios, reward

    def play(self, ratios: np.ndarray) -> float:
        """Play one episode and return its reward, which comes with the last step."""
        self.env.reset()
        return float(sum(self.env.step(np.array([ratio]))[1] for ratio in ratios))


if __name__ == "__main__":
    for name in ("hill-climber", "random"):
        env = gym.make("AMC-MobileNet-v0")
        result = agents.make(name, env, seed=0).learn(100)
        network = amc_gym.compress(env.unwrapped.task, result.best)
        test = amc_gym.accuracy(network, env.unwrapped.task.test)
        print(
            f"{name}: {result.best_episode.accuracy:.1%} on reward images, "
            f"{test:.1%} on test images, {result.distinct} distinct plans, {result.seconds:.0f} s"
        )
