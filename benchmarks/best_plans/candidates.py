"""The best plans of a finished run, of which a slower recovery may choose another one."""

from __future__ import annotations

from dataclasses import dataclass

from amc_gym import CompressionPlan
from amc_gym.compression.evaluation.scoring import Scored
from amc_gym.envs.compression_env import CompressionEnv
from amc_gym.envs.finished import finished_plan
from benchmarks.studies.records import Record
from benchmarks.studies.runs import BenchmarkError


@dataclass(frozen=True)
class Candidate:
    """A plan that a run has evaluated.

    Attributes:
        record: record of the run.
        rank: number of the run's candidates before it, which have higher rewards.
        plan: the plan.
        macs_ratio: its MACs as a share of the full network's.
    """

    record: Record
    rank: int
    plan: CompressionPlan
    macs_ratio: float

    @classmethod
    def of(cls, record: Record, most: int, env: CompressionEnv) -> list[Candidate]:
        """Return the best distinct plans of a run, the best one first.

        Args:
            record: record of the run.
            most: number of plans, if the run has as many.
            env: environment of the run.

        Raises:
            BenchmarkError: the record is that of a published study, without its other plans.
        """
        history, best = record.history, record.best.plan
        found: list[Candidate] = [cls(record, 0, best, record.best.macs_ratio)]
        if most > 1 and len(history.channels) < len(history.reward):
            raise BenchmarkError(
                f"{record.run.name} is of a published study, which keeps the best plan of each run "
                "only: run it again, or leave --candidates out"
            )
        seen: set[tuple[int, ...]] = set()
        for i in sorted(range(len(history.channels)), key=lambda i: -history.reward[i]):
            if len(found) == most:
                break
            counts = tuple(history.channels[i])
            if counts not in seen:
                seen.add(counts)
                score = Scored(history.accuracy[i], record.full.reward_images)
                plan = finished_plan(
                    env.task, env.engine, env.problem.costs, env.options, counts, score
                )
                if (plan.kept, plan.weights) != (best.kept, best.weights):
                    ratio = history.macs[i] / record.full.macs
                    found.append(cls(record, len(found), plan, ratio))
        return found
