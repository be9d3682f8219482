"""Public names of the package, imported when the first of them is used."""

from amc_gym.compression.handover.formats import ExportError
from amc_gym.compression.plan import CompressionPlan, Measured, PlanError
from amc_gym.sharing.environments import SharedEnv, share
from amc_gym.suites.context import Context
from amc_gym.suites.suite import Suite
from amc_gym.tasks import objectives
from amc_gym.tasks.objectives import Objective
from amc_gym.tasks.samples import Samples
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.recipe import Recipe
from amc_gym.training.scores import accuracy, score
from amc_gym.workflows.compression import compress, export, load
from amc_gym.workflows.finetuning import finetune, training_images
from amc_gym.workflows.search import search
from amc_gym.workflows.validation import Validation, validate
from amc_gym.zoo.named_tasks import task_of

__all__ = [
    "CompressionPlan",
    "CompressionTask",
    "Context",
    "ExportError",
    "Measured",
    "Objective",
    "PlanError",
    "Recipe",
    "Samples",
    "SharedEnv",
    "Split",
    "Suite",
    "Validation",
    "accuracy",
    "compress",
    "export",
    "finetune",
    "load",
    "objectives",
    "score",
    "search",
    "share",
    "task_of",
    "training_images",
    "validate",
]
