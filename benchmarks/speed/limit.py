"""An episode against the bare forward pass of its network: ``python -m benchmarks.speed.limit``.

Prints JSON.  In a process of its own, since OpenMP takes its number of threads once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from statistics import median
from typing import Any

import torch
import tyro

from amc_gym.compression.evaluation.hits import count_hits
from benchmarks.speed.cases import CASES
from benchmarks.speed.timing import BarePass, Spread, plans, play, timed

PLANS = (4, 24)
"""At least and at most so many plans."""

SHORT_MS = 50.0
"""A bare pass below this is short."""


def wanted(bare_ms: float) -> float:
    """At most so many bare passes an episode is to take."""
    return 1.3 if bare_ms < SHORT_MS else 1.1


def in_fresh_process(case: str, threads: int, seconds: float) -> dict[str, Any]:
    """``measure`` in a process of its own.

    Raises:
        RuntimeError: the process failed; the message has what it said.
    """
    return run_module(__name__, threads, "--case", case, "--seconds", str(seconds))


def run_module(module: str, threads: int, *arguments: str) -> dict[str, Any]:
    """Run a module in a process with so many threads, and read the JSON that it prints.

    Raises:
        RuntimeError: the process failed; the message has what it said.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, "--threads", str(threads), *arguments]
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(case: str, threads: int = 1, seconds: float = 12.0) -> dict[str, Any]:
    """Plays new plans, each once, and sets every episode beside the bare pass of its network.

    Besides it the same plan evaluated once more, when kernels are compiled, and on one thread the
    forward pass in the evaluator's own network and batches.  All by turns, so that a busy machine
    slows all.

    Where more threads than one are slower than one, other processes have the cores: threads would
    wait for each other, minutes long, and nothing but that is said.

    Args:
        case: a title in ``CASES``.
        threads: of torch.
        seconds: no new plan is begun after so many of them, once there are a few.
    """
    parallel = threads_gain(threads)
    if parallel is not None and parallel < 1:
        return {"threads": threads, "parallel": parallel}
    torch.set_num_threads(threads)
    env = CASES[case].env()
    evaluator, actions = env.engine.evaluator, plans(env)
    play(env, next(actions))  # what only the first episode does
    bare = BarePass(env)
    rows: list[tuple[float, ...]] = []
    began = time.perf_counter()
    while len(rows) < PLANS[0] or (len(rows) < PLANS[1] and time.perf_counter() - began < seconds):
        play(env, next(actions))  # in a search, too, an episode comes after an episode
        episode = timed(play, env, next(actions))
        network = bare.warm()
        one_pass = timed(count_hits, network, bare.batches)
        evaluator.forget()
        evaluator(env.plan.counts)  # as the bare pass comes after one
        evaluator.forget()
        again = timed(evaluator, env.plan.counts)
        own = timed(count_hits, evaluator.network(env.plan.counts), evaluator.batches)
        rows.append((one_pass, episode / one_pass, again / one_pass, own / one_pass))
    passes, episodes, agains, owns = zip(*rows, strict=True)
    spread = Spread.of(episodes)
    return {
        "threads": threads,
        "parallel": parallel,
        "images": env.engine.reward_images,
        "batch": bare.size,
        "bare_ms": 1e3 * median(passes),
        "plans": len(rows),
        "episode": spread.median,
        "quartiles": f"{spread.low:.3g}-{spread.high:.3g}",
        "again": median(agains),
        # With more threads the evaluator runs its batches side by side, which this pass does not.
        "own": median(owns) if threads == 1 else None,
    }


def threads_gain(threads: int) -> float | None:
    """How many times as fast a matrix product is on so many threads; below 1 the cores are busy."""
    if threads == 1:
        return None
    matrix, seconds = torch.rand(512, 512), {}
    for n in (1, threads):
        torch.set_num_threads(n)
        seconds[n] = []
        for _ in range(15):
            began = time.perf_counter()
            torch.mm(matrix, matrix)
            seconds[n].append(time.perf_counter() - began)
    torch.set_num_threads(1)
    return median(seconds[1]) / median(seconds[threads])


if __name__ == "__main__":
    json.dump(tyro.cli(measure), sys.stdout)
