"""A prior from many networks: plans that an ensemble of ``PlanValue`` foretells to be good.

Before anything is evaluated the plan is sought whose foretold value is best, by the cross-entropy
method over log-factors of the plans that are known before.  That is the first evaluation, and all
of `learn(1)`: zero-shot.  With more evaluations a Gaussian process learns what the foretelling
gets wrong on this network, and the plan of the largest expected improvement is next.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from safetensors.torch import load_file
from scipy.stats import norm

from .plan_value import PlanValue, Units, foretold
from .plans import amc, execute
from .registry import register

WEIGHTS = Path(__file__).with_name("weights") / "amc-policy.safetensors"

LINEAR = ("accuracy", "score", "relative")
"""Rewards that rise with the score alone, which is what is foretold."""

DRAWN, BEST, ROUNDS = 192, 24, 5
"""Plans of each round of the cross-entropy method, those that the next is drawn from, rounds."""

CAUTION = 0.5
"""Standard deviations of the ensemble that a plan's value is lowered by: where its members differ,
nobody knows."""

NOISE = 0.4
"""Largest standard deviation of log-factors around mixtures of the plans known before."""

AROUND = (0.05, 0.1, 0.2, 0.4)
"""Standard deviations of log-factors that candidates are drawn with around the best plans."""

REFIT = 10
"""Evaluations from one choice of the process's scales to the next, once there are as many."""


@register("amc-policy", kind="learner")
class AMCPolicy:
    """An ensemble's proposal, and a Gaussian process around it.

    Args:
        env: an AMC environment that prunes channels within a budget.
        seed: of the candidates.
        weights: a safetensors file of an ensemble that `benchmarks/transfer` trained.

    Raises:
        ValueError: the environment prunes single weights, has no budget, or a reward that does not
            rise with the score alone.
        OSError: the weights cannot be read.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, *, weights: str | Path = WEIGHTS) -> None:
        inner = amc(env)
        if inner.given.rewarding.name not in LINEAR:
            raise ValueError(
                f"amc-policy foretells scores, and reward={inner.given.rewarding.name!r} is "
                f"another thing: choose one of {', '.join(LINEAR)}"
            )
        self.env, self._rng = env, np.random.default_rng(seed)
        self._ensemble = ensemble(str(weights))

    @staticmethod
    def hyperparameter_files(*, weights: str | Path = WEIGHTS, **_: Any) -> list[Path]:
        """Return the file of its weights: with others it is another agent."""
        return [Path(weights)]

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans, the foretold best first.

        The second one is the uniform plan, unless rewards are relative: it says what a relative
        reward of 0 is.
        """
        problem = amc(self.env).problem
        self._units, self._channels = Units(problem), np.array(problem.budget.channels)
        tried = [self._proposal()]
        rewards = [execute(self.env, tried[0])[0]]
        if episodes == 1:
            return
        if problem.given.rewarding.name == "relative":
            uniform, full = 0.0, 1.0
        else:
            tried.append(problem.allocation.uniform)
            uniform = execute(self.env, tried[1])[0]
            rewards.append(uniform)
            full = problem.engine.evaluator(problem.engine.graph.full).score
        scale = max(full - uniform, 1e-3)
        process = Process()
        while len(tried) < episodes:
            relative = (np.array(rewards) - uniform) / scale
            counts = self._next(process, np.array(tried), relative)
            tried.append(counts)
            rewards.append(execute(self.env, counts)[0])

    def _plans(self, logs: np.ndarray) -> np.ndarray:
        """Counts of log-shares (n, T), each plan once."""
        return np.unique(self._units.counts(logs), axis=0)

    def _value(self, counts: np.ndarray) -> np.ndarray:
        mean, deviation = foretold(self._ensemble, self._units.rows(counts), self._units.uniform)
        return mean - CAUTION * deviation

    def _proposal(self) -> tuple[int, ...]:
        """The plan of the best foretold value, by the cross-entropy method."""
        logs = np.vstack(
            [np.log(self._units.anchors), self._units.mixtures(DRAWN, NOISE, self._rng)]
        )
        for _ in range(ROUNDS):
            counts = self._plans(logs)
            best = np.argsort(-self._value(counts))[:BEST]
            elite = np.log(counts[best] / self._channels)
            mean, deviation = elite.mean(0), elite.std(0) + 0.02
            logs = np.vstack([elite, self._rng.normal(mean, deviation, (DRAWN, len(mean)))])
        counts = self._plans(logs)
        return tuple(map(int, counts[np.argmax(self._value(counts))]))

    def _next(self, process: Process, tried: np.ndarray, rewards: np.ndarray) -> tuple[int, ...]:
        """The candidate of the largest expected improvement.

        Args:
            process: that learns what the foretelling gets wrong.
            tried: counts (n, T).
            rewards: their relative rewards (n,).
        """
        channels = self._channels
        order = np.argsort(-rewards)[:3]
        around = np.log(tried[order] / channels)
        spread = np.repeat(AROUND, 24)[:, None]
        logs = [self._units.mixtures(64, NOISE, self._rng)]
        logs += [row + spread * self._rng.normal(size=(len(spread), len(row))) for row in around]
        counts = self._plans(np.vstack(logs))
        known = {tuple(row) for row in tried.tolist()}
        fresh = [row for row in counts.tolist() if tuple(row) not in known]
        counts = np.array(fresh or counts.tolist())
        process.fit(np.log(tried / channels), rewards - self._value(tried))
        mean, deviation = process.at(np.log(counts / channels))
        gain = self._value(counts) + mean - rewards.max()
        z = gain / deviation
        improvement = gain * norm.cdf(z) + deviation * norm.pdf(z)
        return tuple(map(int, counts[np.argmax(improvement)]))


class Process:
    """A Gaussian process over log-shares of what is left when the foretold value is taken away."""

    def __init__(self) -> None:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self._make = GaussianProcessRegressor
        self._kernel: Any = (
            ConstantKernel(0.1, (1e-3, 10.0)) * Matern(1.0, (0.1, 10.0), nu=2.5)
            + ConstantKernel(0.05, (1e-3, 10.0))
            + WhiteKernel(1e-3, (1e-5, 0.1))
        )
        self._fitted = 0

    def fit(self, logs: np.ndarray, rest: np.ndarray) -> None:
        """Condition on plans (n, T) and what is left of their values (n,)."""
        n = len(rest)
        again = n in (4, 7) or (n >= REFIT and n - self._fitted >= REFIT)
        optimizer: Any = "fmin_l_bfgs_b" if again else None
        self._process = self._make(self._kernel, optimizer=optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scales at the end of their range
            self._process.fit(logs / np.sqrt(logs.shape[1] / 8), rest)
        if again:
            self._kernel, self._fitted = self._process.kernel_, n

    def at(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at plans (m, T)."""
        mean, deviation = self._process.predict(logs / np.sqrt(logs.shape[1] / 8), return_std=True)
        return mean, np.maximum(deviation, 1e-6)


@cache
def ensemble(path: str) -> tuple[PlanValue, ...]:
    """Read an ensemble: tensors of the n-th member are named "n.".

    Raises:
        OSError: the file cannot be read, or holds something else.
    """
    try:
        members: dict[int, dict[str, Any]] = {}
        for name, tensor in load_file(path).items():
            number, _, rest = name.partition(".")
            members.setdefault(int(number), {})[rest] = tensor.float()
        return tuple(_member(members[number]) for number in sorted(members))
    except Exception as error:
        raise OSError(
            f"{path} is no file of this version's weights: {error}; train it anew "
            "(python -m benchmarks transfer train)"
        ) from error


def _member(tensors: dict[str, Any]) -> PlanValue:
    member = PlanValue()
    member.load_state_dict(tensors)
    return member.eval()


def named(members: Sequence[PlanValue]) -> dict[str, Any]:
    """Tensors of an ensemble by the names that ``ensemble`` reads, in half precision."""
    return {
        f"{number}.{name}": tensor.half().contiguous()
        for number, member in enumerate(members)
        for name, tensor in member.state_dict().items()
    }
