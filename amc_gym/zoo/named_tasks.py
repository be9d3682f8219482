"""The task that a plan or an export names, made from the registry or from what the user names.

The file may come from a stranger.  A registered network is made without running any of their code,
and from data of limited size; "package.module:function" is code, which runs only if the user names
it.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from torch import nn

from amc_gym._utils.arguments import described
from amc_gym._utils.names import printable
from amc_gym._utils.own_code import is_code, refusal
from amc_gym.compression.handover.export import read_description
from amc_gym.compression.plan import CompressionPlan, PlanError
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo import datasets, models, small
from amc_gym.zoo.pretrained import NAMED
from amc_gym.zoo.resolving import TaskLike, resolve

LONGEST_SIDES = {"digits": 256}
"""Largest image side that a file may ask for, by data set; for more, pass the task itself."""

LONGEST_SIDE = 1024
"""Largest image side that a file may ask for, of other data sets."""

SIDES = ("resolution", "size", "resize")
"""Options of data sets that are sizes in pixels."""


def task_of(
    plan: CompressionPlan,
    data_root: str | Path | None = None,
    task: TaskLike | None = None,
    weights: str | Path | None = None,
) -> CompressionTask:
    """Return the task that a plan was made for.

    A plan that names "package.module:function" is refused unless you pass ``task``, because a file
    must not run code.  Whether weights and images are the plan's own is for ``compress`` and
    ``validate`` to say, which compare fingerprints.

    Args:
        plan: made from a registered network, or any plan if ``task`` is given.
        data_root: folder of data sets that are read from disk; ``None``: $AMC_DATA_ROOT.
        task: "package.module:function", such a function, or a task, which is used instead of the
            plan's own.
        weights: file of a registered network's weights, where it is now; ``None``: where it was
            when the plan was made.

    Raises:
        TypeError: ``plan`` is not a plan.
        PlanError: the plan names code or was made from a task given as an object, which a file
            cannot name; its data are larger than a file may ask for; or the file of its weights
            is no longer there.
        ValueError: ``weights`` is given for another task than a registered network, or as
            ``amc_gym.zoo.resolving.resolve``.
        OSError: weights or data are missing or damaged.
    """
    if not isinstance(plan, CompressionPlan):
        raise TypeError(f"plan must be a CompressionPlan, not {described(plan)}")
    if task is not None:
        return resolve(task) if weights is None else resolve(task, weights=weights)
    name, dataset, made_with = (plan.task.get(key) for key in ("task", "dataset", "weights"))
    if name is None:
        raise PlanError(
            "the plan was made from a task given as an object, which a file cannot name: pass the "
            "task and the plan to amc_gym.compress, or name a function that returns the task, "
            "task='package.module:function' (--task on the command line)"
        )
    if is_code(name):
        shown = printable(name, 200)
        fix = f"--task {shown} on the command line, task={shown!r} in Python"
        raise PlanError(refusal("the plan", name, fix))
    weights = weights or made_with or "bundled"
    if weights == made_with and weights not in NAMED and not os.path.exists(weights):
        raise PlanError(
            f"the plan's weights are no longer at {printable(str(weights), 200)}: say where they "
            "are, --weights FILE on the command line, weights='FILE' in Python"
        )
    return resolve(
        name,
        dataset=bounded(dataset or "digits"),
        data_root=data_root,
        weights=weights,
    )


def original_of(path: Path) -> nn.Module:
    """Return the untrained original of an exported network, by the name in its description.

    Raises:
        ExportError: there is no description, or the file is not one.
        ValueError: it does not name a registered network.
        OSError: the file is missing.
    """
    original = read_description(path).get("original") or {"task": None}
    name = original["task"]
    if name is None:
        raise ValueError(
            f"{path} was compressed from a task given as an object: pass the original network, "
            "amc_gym.load(path, model=...)"
        )
    if is_code(name):
        fix = f"amc_gym.load(path, task={printable(name, 200)!r}), or pass the network as model"
        raise ValueError(refusal(f"the description of {path}", name, fix))
    if name not in models.NETWORKS and name in small.cards():
        return small.untrained(name)
    classes = original.get("classes")
    if classes is None:
        raise ValueError(f"the description of {path} does not say how many classes {name!r} has")
    return models.build(name, datasets.name_of(original.get("dataset") or ""), classes)


def bounded(dataset: str) -> str:
    """Return the data set that a file names, without an option to download.

    Raises:
        PlanError: its images are larger than a file may ask for.
    """
    name, _, query = dataset.partition("?")
    options = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "download"]
    longest = LONGEST_SIDES.get(name, LONGEST_SIDE)
    for option, value in options:
        if option in SIDES and value.isdecimal() and (len(value) > 9 or int(value) > longest):
            raise PlanError(
                f"the plan asks for images of {option}={printable(value, 20)} pixels, and a file "
                f"may ask for at most {longest}: pass the task itself if it is yours"
            )
    return f"{name}?{urlencode(options)}" if options else name
