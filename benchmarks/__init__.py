"""Which agent finds the best compressed network, how surely, and how fast.

``python -m benchmarks run`` compares agents over seeds, ``python -m benchmarks report`` turns what
is finished into tables, pictures and a page.  ``benchmarks.record`` lets a training loop of one's
own take part.

    studies     runs, where they are carried out, and the folders that they are kept in
    reports     statistics of a study, its tables, figures and page
    comparison  scores over several tasks
    publishing  finished results become committed ones, in their small form
    reproducing studies as data: configs/*.toml, and what carries them out
    filling     tables of README and docs, made from committed results
    leaderboard submissions of others, replayed and ranked
    arguments   command lines: how they run and fail
    machine     what the figures were measured on

Beyond the search itself:

    finetuning     plans fine-tuned beside the full network, with paired intervals
    search_signal  whether a search's reward ranks plans as fine-tuning would
    signals        every ranking and recovery on the same plans
    weight_stages  weight pruning in stages
    pareto         accuracy against MACs and measured latency
    ablations      variants of our own searcher
    speed          how fast all of it is
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.argv[:1] == ["-m"]:  # Ctrl-C is to work while a command is imported, which takes seconds
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
    """Return an environment that records whatever is trained on it, for ``report`` and ``compare``.

    ```python
    env = benchmarks.record(gym.make("AMC-MobileNet-v0"), agent="mine", seed=0, out="runs/x")
    ...  # any loop of reset and step
    env.close()  # the record is finished: python -m benchmarks report runs/x
    ```

    Every finished episode is written at once, to a journal beside the records, so that a crash
    loses none; a journal is no result, and reports say so.  The record is finished, its best plan
    judged on the test images, when the environment is closed, when its budget is spent, or when
    the program ends, each unless by an error.

    Args:
        env: one AMC environment, wrapped or not; what changes actions or rewards for the agent
            goes around the recorded environment.
        agent: name of the agent in the report.
        seed: of the agent: one record for each.
        out: the results folder.
        episodes: the budget of evaluations, by which runs are compared; what is evaluated after
            it is not recorded.  By default, as many as there are when the record is finished.
        arguments: hyper-parameters that are part of the agent's name, as in ``{"rate": 0.1}``.
        rerun: whether a finished record of the same run is replaced when this one has finished.

    Raises:
        TypeError: ``env`` is no AMC environment, or a vector of them.
        ValueError: a name, seed or budget that is none; the folder cannot be written, or holds the
            finished run already; or the run is being recorded already.
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
