"""A long search by a Gaussian process: ``python -m benchmarks.speed.gaussian_process``.

It compares the agent ``gp`` with Optuna's sampler used to the end, in turn for each seed: the time
of the agent itself (CPU time on one thread), and the best reward so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro

import agents
from agents.black_box import gaussian_process
from amc_gym._utils.progress import counter
from benchmarks.reports.sections import interval
from benchmarks.reports.statistics import estimate
from benchmarks.reports.tables import markdown
from benchmarks.speed.clocked import Clocked
from benchmarks.speed.report import report_table
from benchmarks.speed.timing import clock

EVERY = 100
"""Evaluations between two rows of the table."""


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        env: id of the environment.
        evaluations: evaluations of each run.
        seeds: runs of each sampler.
        out: folder for gaussian-process.md and .json, if they are to be written.
    """

    env: str = "AMC-MobileNet-v0"
    evaluations: int = 400
    seeds: int = 3
    out: Path | None = None


def main(options: Options) -> None:
    """Time both samplers; ``--out`` writes the table."""
    torch.set_num_threads(1)
    runs: dict[str, list[dict[str, list[float]]]] = {"gp": [], "Optuna's throughout": []}
    with counter() as bar:
        task = bar.add_task("searching", total=len(runs) * options.seeds * options.evaluations)
        for seed in range(options.seeds):
            for name, of in runs.items():
                bar.update(task, description=f"{name}, seed {seed}")
                of.append(_run(options, seed, name == "gp", lambda _: bar.advance(task)))
    rows = []
    marks = [*range(EVERY, options.evaluations, EVERY), options.evaluations]
    for name, of in runs.items():
        for mark in marks:
            seconds = np.mean([run["seconds"][mark - 1] for run in of])
            rewards = estimate([run["rewards"][mark - 1] for run in of])
            rows.append([name, str(mark), f"{seconds:.1f}", interval(rewards)])
    header = ("sampler", "evaluations", "agent's own time, s", "best reward, %")
    where = (
        f"{options.env}, {options.seeds} seeds by turns; CPU time on one thread without the "
        "environment's; interquartile means and 95 % bootstrap intervals."
    )
    out = options.out and options.out / "gaussian-process"
    shown = {
        name: [{what: [run[what][mark - 1] for mark in marks] for what in run} for run in of]
        for name, of in runs.items()
    }
    figures = {"evaluations": marks, "runs": shown}
    report_table("A long search by a Gaussian process", markdown(header, rows), where, out, figures)


def _run(options: Options, seed: int, frugal: bool, on_evaluated: Any) -> dict[str, list[float]]:
    """Return the agent's own seconds and the best reward after each evaluation of a run."""
    env = Clocked(gym.make(options.env, disable_env_checker=True))
    agent, now = agents.make("gp", env, seed), clock()
    if not frugal:
        learner: Any = agent.learner
        learner.sampler = gaussian_process(seed, few=options.evaluations)
    seconds: list[float] = []
    rewards: list[float] = []
    began = now()

    def on_episode(episode: agents.Episode) -> None:
        seconds.append(now() - began - env.seconds)
        rewards.append(max(episode.reward, *rewards[-1:]) if rewards else episode.reward)
        on_evaluated(episode)

    agent.learn(options.evaluations, on_episode=on_episode)
    return {"seconds": seconds, "rewards": rewards}


if __name__ == "__main__":
    main(tyro.cli(Options))
