"""A plan from a file, and the task that it was made for."""

from __future__ import annotations

from pathlib import Path

from amc_gym.cli.console import own_code
from amc_gym.compression.plan import CompressionPlan
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo.named_tasks import task_of


def opened(
    plan: Path, task: str | None, data_root: Path | None
) -> tuple[CompressionPlan, CompressionTask]:
    """A plan and its task.

    Args:
        plan: the file.
        task: what the user typed for --task.
        data_root: folder of data sets that are read from disk.

    Raises:
        CommandError: ``task`` is no package.module:function.
        PlanError: the file is no plan, or names code and the user does not.
        ValueError, OSError: the task cannot be made.
    """
    loaded = CompressionPlan.load(plan)
    return loaded, task_of(loaded, data_root, None if task is None else own_code(task))
