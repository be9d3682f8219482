"""A prior from many networks: an ensemble of ``PlanValue`` predicts which plans are good.

Before any evaluation, the plan with the best predicted value is searched by the cross-entropy
method over log-factors of plans that need no evaluation.  It is the first evaluation, and the only
one of `learn(1)`: zero-shot.  With more evaluations a Gaussian process learns the prediction error
on this network, and the plan of the largest expected improvement is evaluated next.
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

from .plan_value import PlanValue, Units, predicted_rewards
from .plans import amc, execute
from .registry import register

WEIGHTS = Path(__file__).with_name("weights") / "amc-policy.safetensors"

LINEAR = ("accuracy", "score", "relative")
"""Rewards that depend on the score alone, which is what is predicted."""

DRAWN, BEST, ROUNDS = 192, 24, 5
"""Cross-entropy method: plans per round, best plans for the next round, number of rounds."""

CAUTION = 0.5
"""Number of the ensemble's standard deviations that are subtracted from a plan's value, because
predictions on which the members disagree are uncertain."""

NOISE = 0.4
"""Largest standard deviation of log-factors around mixtures of the initial plans."""

AROUND = (0.05, 0.1, 0.2, 0.4)
"""Standard deviations of log-factors of candidates around the best plans."""

REFIT = 10
"""Evaluations between two fits of the process's scales, once there are as many."""


@register("amc-policy", kind="learner")
class AMCPolicy:
    """An agent that evaluates an ensemble's proposal, and searches around it.

    Args:
        env: an AMC environment that prunes channels within a budget.
        seed: of the candidates.
        weights: a safetensors file of an ensemble that `benchmarks/transfer` trained.

    Raises:
        ValueError: the environment prunes weights, has no budget, or has a reward that does not
            depend on the score alone.
        OSError: the weights cannot be read.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, *, weights: str | Path = WEIGHTS) -> None:
        inner = amc(env)
        if inner.given.rewarding.name not in LINEAR:
            raise ValueError(
                f"amc-policy predicts scores, which reward={inner.given.rewarding.name!r} does not "
                f"depend on alone: choose one of {', '.join(LINEAR)}"
            )
        self.env, self._rng = env, np.random.default_rng(seed)
        self._ensemble = ensemble(str(weights))

    @staticmethod
    def hyperparameter_files(*, weights: str | Path = WEIGHTS, **_: Any) -> list[Path]:
        """Return the file of its weights: with other weights it is another agent."""
        return [Path(weights)]

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans, the one with the best prediction first.

        The second one is the uniform plan, unless rewards are relative, in which case its reward is
        known to be 0.
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
        """Return the counts of plans given by log-shares (n, T), each plan once."""
        return np.unique(self._units.counts(logs), axis=0)

    def _value(self, counts: np.ndarray) -> np.ndarray:
        mean, deviation = predicted_rewards(
            self._ensemble, self._units.rows(counts), self._units.uniform
        )
        return mean - CAUTION * deviation

    def _proposal(self) -> tuple[int, ...]:
        """Return the plan with the best predicted value, found by the cross-entropy method."""
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
        """Return the candidate with the largest expected improvement.

        Args:
            process: model of the prediction error.
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
    """A Gaussian process over log-shares that models the error of the predicted values."""

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
        """Condition on plans (n, T) and their prediction errors (n,)."""
        n = len(rest)
        again = n in (4, 7) or (n >= REFIT and n - self._fitted >= REFIT)
        optimizer: Any = "fmin_l_bfgs_b" if again else None
        self._process = self._make(self._kernel, optimizer=optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about scales at the end of their range
            self._process.fit(logs / np.sqrt(logs.shape[1] / 8), rest)
        if again:
            self._kernel, self._fitted = self._process.kernel_, n

    def at(self, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation at plans (m, T)."""
        mean, deviation = self._process.predict(logs / np.sqrt(logs.shape[1] / 8), return_std=True)
        return mean, np.maximum(deviation, 1e-6)


@cache
def ensemble(path: str) -> tuple[PlanValue, ...]:
    """Read an ensemble, in whose file the names of the n-th member's tensors begin with "n.".

    Raises:
        OSError: the file cannot be read, or holds anything else.
    """
    try:
        members: dict[int, dict[str, Any]] = {}
        for name, tensor in load_file(path).items():
            number, _, rest = name.partition(".")
            members.setdefault(int(number), {})[rest] = tensor.float()
        return tuple(_member(members[number]) for number in sorted(members))
    except Exception as error:
        raise OSError(
            f"{path} does not hold weights of this version: {error}; train it again "
            "(python -m benchmarks transfer train)"
        ) from error


def _member(tensors: dict[str, Any]) -> PlanValue:
    member = PlanValue()
    member.load_state_dict(tensors)
    return member.eval()


def named(members: Sequence[PlanValue]) -> dict[str, Any]:
    """Return an ensemble's tensors by the names that ``ensemble`` reads, in half precision."""
    return {
        f"{number}.{name}": tensor.half().contiguous()
        for number, member in enumerate(members)
        for name, tensor in member.state_dict().items()
    }
