"""Comparison of an episode with its bare forward pass: ``python -m benchmarks.speed.limit``.

Prints JSON.  It runs in a process of its own, since OpenMP reads its number of threads only once.
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
"""Least and largest number of plans."""

SHORT_MS = 50.0
"""A bare pass that takes less than this is short."""


def wanted(bare_ms: float) -> float:
    """Return how many bare passes an episode may take at most."""
    return 1.3 if bare_ms < SHORT_MS else 1.1


def in_fresh_process(case: str, threads: int, seconds: float) -> dict[str, Any]:
    """Run ``measure`` in a process of its own.

    Raises:
        RuntimeError: the process failed; the message contains its output.
    """
    return run_module(__name__, threads, "--case", case, "--seconds", str(seconds))


def run_module(module: str, threads: int, *arguments: str) -> dict[str, Any]:
    """Run a module in a process with this many threads, and read the JSON that it prints.

    Raises:
        RuntimeError: the process failed; the message contains its output.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, "--threads", str(threads), *arguments]
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(case: str, threads: int = 1, seconds: float = 12.0) -> dict[str, Any]:
    """Play new plans, each once, and compare every episode with the bare pass of its network.

    Also timed are a second evaluation of the same plan, when kernels are compiled, and on one
    thread the forward pass in the evaluator's own network and batches.  All take turns, so that a
    busy machine slows all.

    Where several threads are slower than one, other processes use the cores.  Threads would then
    wait for each other for minutes, so only this finding is returned.

    Args:
        case: a title in ``CASES``.
        threads: number of torch threads.
        seconds: no new plan is begun after this time, once there are a few.
    """
    parallel = threads_gain(threads)
    if parallel is not None and parallel < 1:
        return {"threads": threads, "parallel": parallel}
    torch.set_num_threads(threads)
    env = CASES[case].env()
    evaluator, actions = env.engine.evaluator, plans(env)
    play(env, next(actions))  # one-time costs of the first episode
    bare = BarePass(env)
    rows: list[tuple[float, ...]] = []
    began = time.perf_counter()
    while len(rows) < PLANS[0] or (len(rows) < PLANS[1] and time.perf_counter() - began < seconds):
        play(env, next(actions))  # as in a search, where one episode follows another
        episode = timed(play, env, next(actions))
        network = bare.warm()
        one_pass = timed(count_hits, network, bare.batches)
        evaluator.forget()
        evaluator(env.plan.counts)  # as the bare pass also follows one
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
        # With more threads the evaluator runs its batches in parallel, which this pass does not.
        "own": median(owns) if threads == 1 else None,
    }


def threads_gain(threads: int) -> float | None:
    """Return the speed-up of a matrix product by this many threads; below 1 the cores are busy."""
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
