"""Benchmarks: which agent finds the best compressed network, how reliably, and how fast.

``python -m benchmarks run`` compares agents over seeds, and ``python -m benchmarks report`` turns
finished runs into tables, pictures and a web page.  ``benchmarks.record`` records a training loop
of your own.
    studies     runs, how they are executed, and the folders that hold them
    reports     statistics of a study, its tables, figures and web page
    comparison  scores over several tasks
    publishing  finished results become committed ones, in compact form
    reproducing studies as data: configs/*.toml, and their execution
    filling     tables of README and docs, made from committed results
    leaderboard submissions of others, replayed and ranked
    arguments   command lines: how they run and fail
    machine     the machine that figures are measured on

Beyond the search itself:

    finetuning     plans fine-tuned and compared with the full network, with paired intervals
    search_signal  whether a search's reward ranks plans as fine-tuning would
    signals        every ranking and recovery on the same plans
    weight_stages  weight pruning in stages
    pareto         accuracy against MACs and measured latency
    ablations      variants of our own searcher
    speed          speed of all parts
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.argv[:1] == ["-m"]:  # Ctrl-C works during the import of a command, which takes seconds
    import amc_gym  # noqa: F401

if TYPE_CHECKING:
    import gymnasium as gym

    from benchmarks.studies.recording import Recording

__all__ = ["record"]


def record(
    env: gym.Env[Any, Any],
    *,
    agent: str,
    seed: int = 0,
    out: str | Path,
    episodes: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    rerun: bool = False,
) -> Recording:
    """Return an environment that records all training on it, for ``report`` and ``compare``.

    ```python
    env = benchmarks.record(gym.make("AMC-MobileNet-v0"), agent="mine", seed=0, out="runs/x")
    ...  # any loop of reset and step
    env.close()  # the record is finished: python -m benchmarks report runs/x
    ```

    Every finished episode is written immediately, to a journal beside the records, so that a crash
    loses none; a journal is not a result, and reports say so.  The record is finished, and its best
    plan evaluated on the test images, when the environment is closed, when its budget is spent, or
    when the program ends, unless with an error.

    Args:
        env: one AMC environment, wrapped or not; wrappers that change actions or rewards for the
            agent belong around the recorded environment.
        agent: name of the agent in the report.
        seed: of the agent; each seed has its own record.
        out: the results folder.
        episodes: the budget of evaluations, by which runs are compared; later evaluations are not
            recorded.  By default, the number of evaluations when the record is finished.
        arguments: hyper-parameters that become part of the agent's name, such as ``{"rate": 0.1}``.
        rerun: whether to replace a finished record of the same run when this one has finished.

    Raises:
        TypeError: ``env`` is not an AMC environment, or is a vector of them.
        ValueError: a name, seed or budget is invalid; the folder cannot be written, or already
            holds the finished run; or the run is already being recorded.
    """
    from benchmarks.studies.recording import Recording

    return Recording(
        env,
        agent=agent,
        seed=seed,
        out=Path(out),
        episodes=episodes,
        arguments=dict(arguments or {}),
        rerun=rerun,
    )
