"""Evaluated plans of many networks, which a policy learns from.

One safetensors file for each network.  For each budget it holds `RATIO/counts` (n, T), int32,
`RATIO/rows` (n, T, features) and, for the uniform plan, `RATIO/uniform` (1, T, features), float16,
and the relative rewards `RATIO/rewards` (n,).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from agents.plan_value import Units
from amc_gym._utils.files import write_whole
from amc_gym._utils.progress import counter
from amc_gym.envs.problem import Problem
from amc_gym.suites.context import Context
from amc_gym.suites.environment import SuiteEnv
from amc_gym.suites.suite import Suite

NOISE = 0.6
"""Largest standard deviation of the noise on log-counts, added to mixtures of known plans."""


@dataclass(frozen=True)
class Log:
    """Plans of one context.

    Attributes:
        network: network of the context.
        rows: ``Units.rows`` of the plans, (n, T, features) float32.
        uniform: ``Units.rows`` of the uniform plan, (1, T, features) float32.
        rewards: relative rewards of the plans, (n,) float32.
    """

    network: str
    rows: np.ndarray
    uniform: np.ndarray
    rewards: np.ndarray


def env_of(context: Context) -> SuiteEnv:
    """Make an environment whose episodes all have this context, with the first one begun."""
    env = SuiteEnv(Suite(f"only {context.name}", [context]))
    env.reset()
    return env


def drawn(units: Units, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw plans around and between those that are known without a search, counts (n, T) int64.

    The known plans come first.  Each other plan mixes their logarithms and adds noise to each unit;
    the strength of the noise differs from plan to plan.
    """
    logs = np.vstack([np.log(units.anchors), units.mixtures(n, NOISE, rng)])[:n]
    return units.counts(logs)


def relative(problem: Problem, counts: np.ndarray) -> np.ndarray:
    """Evaluate plans, counts (n, T) -> relative rewards (n,): 0 uniform, 1 the full network."""
    references = problem.references
    found = problem.engine.evaluate([tuple(map(int, each)) for each in counts])
    scores = np.array([each.score for each in found])
    return (scores - references.uniform) / (references.full - references.uniform)


def write(suite: Suite, out: Path, plans: int) -> None:
    """Evaluate plans on every context of a suite, skipping networks that have a file already."""
    out.mkdir(parents=True, exist_ok=True)
    with counter() as bar:
        counted = bar.add_task("plans", total=len(suite.networks))
        for network in suite.networks:
            path = out / f"{network}.safetensors"
            if not path.exists():
                bar.update(counted, description=network)
                write_whole(path, save(_tensors(suite.of(network), plans)))
            bar.advance(counted)


def _tensors(contexts: Sequence[Context], plans: int) -> dict[str, np.ndarray]:
    found = {}
    for context in contexts:
        problem = env_of(context).problem
        units = Units(problem)
        rng = np.random.default_rng(zlib.crc32(str(context.name).encode()))
        counts = drawn(units, plans, rng)
        ratio = context.preserve_ratio
        found[f"{ratio}/counts"] = counts.astype(np.int32)
        found[f"{ratio}/uniform"] = units.uniform.astype(np.float16)
        found[f"{ratio}/rows"] = units.rows(counts).astype(np.float16)
        found[f"{ratio}/rewards"] = relative(problem, counts).astype(np.float32)
    return found


def read(folder: Path) -> Iterator[Log]:
    """Read what ``write`` wrote, in the order of the networks' names."""
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        for ratio in sorted({name.partition("/")[0] for name in tensors}):
            rows, uniform = (
                tensors[f"{ratio}/{name}"].astype(np.float32) for name in ("rows", "uniform")
            )
            yield Log(path.stem, rows, uniform, tensors[f"{ratio}/rewards"])
