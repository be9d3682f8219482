"""A plan from a file, and the task that it was made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from amc_gym.cli.console import own_code
from amc_gym.compression.plan import CompressionPlan
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo.named_tasks import task_of


@dataclass(frozen=True)
class SavedPlan:
    """Sources of the plan of a command.

    Attributes:
        plan: the plan's file.
        task: package.module:function that returns the plan's task. A plan that names such a
            function is refused without this: its code would run on the word of a file.
        data_root: folder of the data sets that are read from disk; without it, $AMC_DATA_ROOT.
    """

    plan: Positional[Path]
    task: str | None = None
    data_root: Path | None = None

    def open(self) -> tuple[CompressionPlan, CompressionTask]:
        """Return the plan and its task.

        Raises:
            CommandError: ``task`` is no package.module:function.
            PlanError: the file is no plan, or names code and the user does not.
            ValueError, OSError: the task cannot be made.
        """
        plan = CompressionPlan.load(self.plan)
        return plan, task_of(
            plan, self.data_root, None if self.task is None else own_code(self.task)
        )
