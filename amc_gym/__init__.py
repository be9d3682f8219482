"""AMC-Gym: "AMC: AutoML for Model Compression" (He et al., ECCV 2018) as a Gymnasium environment.

Importing the package registers the environments.
"""

from amc_gym import interrupts  # noqa: F401  # first: what follows takes seconds to import
from amc_gym.api import compress, export, finetune, load, training_images
from amc_gym.compression.handover.formats import ExportError
from amc_gym.compression.plan import CompressionPlan, PlanError
from amc_gym.named_tasks import task_of
from amc_gym.recipe import Recipe
from amc_gym.registration import register
from amc_gym.search import search
from amc_gym.sharing import SharedEnv, share
from amc_gym.tasks.datasets import Split
from amc_gym.tasks.task import CompressionTask
from amc_gym.training import accuracy
from amc_gym.validation import Validation, validate

__all__ = [
    "CompressionPlan",
    "CompressionTask",
    "ExportError",
    "PlanError",
    "Recipe",
    "SharedEnv",
    "Split",
    "Validation",
    "accuracy",
    "compress",
    "export",
    "finetune",
    "load",
    "search",
    "share",
    "task_of",
    "training_images",
    "validate",
]

register()
