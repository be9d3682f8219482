"""Tasks and plans, made from what a command line names."""

from __future__ import annotations

from amc_gym._utils.names import choose
from amc_gym._utils.own_code import is_code
from amc_gym.cli.console import CommandError, own_code
from amc_gym.cli.subjects import SavedPlan, Subject
from amc_gym.compression.plan import CompressionPlan
from amc_gym.registration import IDS
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo import small
from amc_gym.zoo.named_tasks import task_of
from amc_gym.zoo.resolving import resolve


def name_of(subject: Subject) -> str:
    """Return the name of a network for ``resolve`` and the environments.

    Raises:
        CommandError: it does not name a network.
        ValueError: the id is unknown, or a module cannot be imported.
    """
    if is_code(subject.id):
        return own_code(subject.id)
    if subject.id == "AMC-v0":
        raise CommandError("AMC-v0 is for a task of your own: pass package.module:function instead")
    if subject.id in small.cards():
        return subject.id
    return IDS[choose("id", subject.id, IDS)]


def opened_task(subject: Subject) -> CompressionTask:
    """Return the task of a network and its data.

    Raises:
        CommandError, ValueError: as ``name_of``.
        ValueError, OSError: the task cannot be made.
    """
    return resolve(
        name_of(subject),
        dataset=subject.dataset,
        data_root=subject.data_root,
        weights=subject.weights,
    )


def opened(saved: SavedPlan) -> tuple[CompressionPlan, CompressionTask]:
    """Return a plan and its task.

    Raises:
        CommandError: ``task`` is not a package.module:function.
        PlanError: the file is not a plan, or names code that the user does not name.
        ValueError, OSError: the task cannot be made.
    """
    plan = CompressionPlan.load(saved.plan)
    named = None if saved.task is None else own_code(saved.task)
    return plan, task_of(plan, saved.data_root, named, saved.weights)
