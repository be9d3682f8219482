"""The registered environment that a submission names, and its ruling on a plan.

Everything is made from the registry: network, weights, images, budget.  A plan only says which
channels are kept.  It is replayed on the reward images, to check its claimed accuracy, and on the
test images, which decide the rank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amc_gym
from amc_gym import CompressionPlan
from amc_gym._utils import documents
from amc_gym._utils.own_code import is_code
from amc_gym.compression.plan_schema import OptionsSchema
from amc_gym.envs.factory import make_env
from amc_gym.registration import IDS
from benchmarks.leaderboard.submission import Submission

DATASETS = ("digits", "cifar10", "imagenet")
"""Data sets that everybody has; a "folder" is the submitter's own."""

WEIGHTS = ("bundled", "torchvision")
"""Weights that everybody has: a path is the submitter's own, and random ones are not trained."""

RANKED = ("macs", "params")
"""Resources that are the same everywhere."""


class RejectedError(ValueError):
    """Raised with the reason, in one line, why a plan or a whole submission does not count."""


@dataclass(frozen=True)
class Found:
    """Result of replaying an accepted plan.

    Attributes:
        reward_accuracy: on the reward images.
        test_accuracy: on the test images.
        macs: of the built network.
        params: of the built network.
    """

    reward_accuracy: float
    test_accuracy: float
    macs: int
    params: int


class Referee:
    """The environment of one submission, which rules on its plans.

    Args:
        submission: the submission.
        data_root: folder of data sets that are read from disk.

    Raises:
        RejectedError: the task is not a registered one, or the options are not those of its
            environment.
        OSError: weights or data are missing on this machine.
    """

    def __init__(self, submission: Submission, data_root: Path | None = None) -> None:
        name, options = submission.env, submission.options
        if is_code(name) or name not in IDS:
            raise RejectedError(
                f"another task: {name!r} is not one of {', '.join(IDS)}; code of a submission "
                "is never imported"
            )
        if submission.dataset not in DATASETS:
            raise RejectedError(f"another task: the data set must be one of {', '.join(DATASETS)}")
        if submission.weights not in WEIGHTS:
            raise RejectedError(f"another task: the weights must be one of {', '.join(WEIGHTS)}")
        if options.get("preserve_ratio") is None:
            raise RejectedError("there is no budget: preserve_ratio must be a number")
        if options.get("resource") not in RANKED:
            raise RejectedError(
                f"its budget counts {options.get('resource')!r:.40}, which differs between "
                f"machines: only budgets of {' or '.join(RANKED)} are ranked"
            )
        # Plans are ranked without training, and a submission could ask for a million steps.
        if "finetune" in str(options.get("recovery")):
            raise RejectedError("its recovery trains: plans are ranked without fine-tuning")
        try:
            documents.check(OptionsSchema, options)
            # Only names of options are looked up; nothing is imported for them.
            self.env = make_env(
                IDS[name],
                dataset=submission.dataset,
                weights=submission.weights,
                data_root=data_root,
                **options,
            )
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise RejectedError(f"the options make no environment: {error}") from error
        if difference := _difference(options, self.env.options):
            raise RejectedError(f"the options are not all that the environment has: {difference}")
        source = dict(self.env.task.source)
        self.named = {key: source[key] for key in ("task", "dataset", "weights")}
        self.full = self.env.cost.full

    def rule(self, plan: CompressionPlan) -> Found:
        """Replay a plan.

        Raises:
            RejectedError: it is of another task, has other options, is over the budget, decides
                what the environment does not allow, or is less accurate or larger than it claims.
        """
        self._check_task(plan)
        if difference := _difference(plan.options, self.env.options):
            raise RejectedError(f"its options are not those of the submission: {difference}")
        if plan.measured.images != self.env.options["reward_images"]:
            raise RejectedError("wrong images: it was not measured on the reward images")
        self._check_decisions(plan)
        if not self.env.budget.admits(plan.counts):
            raise RejectedError(self._over(self.env.cost.total(plan.counts)))
        try:
            validation = amc_gym.validate(self.env.task, plan)
        except ValueError as error:
            raise RejectedError(str(error)) from error
        if validation.problems:
            raise RejectedError("; ".join(f"wrong {problem}" for problem in validation.problems))
        found, resource = validation.found, self.env.options["resource"]
        limit = self.env.budget.limit
        # Counted on the built network, independent of any closed form.
        if limit is not None and found[resource] > limit:
            raise RejectedError(self._over(int(found[resource])))
        network = amc_gym.compress(self.env.task, plan)
        objective = self.env.engine.objective
        return Found(
            reward_accuracy=found[plan.score_name],
            test_accuracy=amc_gym.score(network, self.env.task.test, objective),
            macs=int(found["macs"]),
            params=int(found["params"]),
        )

    def _over(self, cost: int) -> str:
        ratio, resource = self.env.options["preserve_ratio"], self.env.options["resource"]
        return (
            f"over budget: {cost:,} {resource}, but {100 * ratio:.4g} % of the network's "
            f"{self.full:,} are {self.env.budget.limit:,}"
        )

    def _check_task(self, plan: CompressionPlan) -> None:
        """Refuse a plan whose task names or fingerprints are not those of the registered task."""
        if any(is_code(name or "") for name in plan.task.values()):
            raise RejectedError("another task: code of a submission is never imported")
        if difference := _difference(plan.task, self.named):
            raise RejectedError(f"another task: {difference}")
        theirs, ours = plan.fingerprints, self.env.task.fingerprints
        for what in ours:
            if theirs.get(what) != ours[what]:
                raise RejectedError(
                    f"another task: the fingerprint of its {what} is not that of the registered "
                    f"one ({str(theirs.get(what))[:12]} is not {ours[what][:12]})"
                )

    def _check_decisions(self, plan: CompressionPlan) -> None:
        """Refuse units and counts that no episode could have decided."""
        decided = plan.weights if self.env.options["granularity"] == "weight" else plan.kept
        other = plan.kept if decided is plan.weights else plan.weights
        units = [unit.name for unit in self.env.engine.graph.units]
        if list(decided) != units or other:
            raise RejectedError("it does not decide the units of the environment")
        for name, count, allowed in zip(
            units, plan.counts, self.env.budget.admissible, strict=True
        ):
            if count not in allowed:
                raise RejectedError(
                    f"it keeps {count} of unit {name!r}, which max_sparsity and channel_multiple "
                    f"do not allow (from {allowed[0]} to {allowed[-1]})"
                )


def _difference(claimed: Mapping[str, Any], real: Mapping[str, Any]) -> str:
    """Return the first difference, or an empty text; types count, because 1 is not True."""
    for name in dict.fromkeys((*real, *claimed)):
        if name not in claimed:
            return f"{name} is missing"
        if name not in real:
            return f"{name!r:.40} is not one of them"
        if json.dumps(claimed[name]) != json.dumps(real[name]):
            return f"{name} is {real[name]!r}, not {claimed[name]!r:.80}"
    return ""
