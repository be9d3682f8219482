"""Objectives: a loss to train by and a score to judge by, for any outputs and targets.

| file           | what                                                                     |
|----------------|--------------------------------------------------------------------------|
| objective      | the base classes of losses, scores and objectives                        |
| registry       | the registry of objectives                                               |
| own            | functions and metrics of your own                                        |
| classification | cross-entropy; the share of samples whose class is among the best        |
| segmentation   | cross-entropy of pixels; mean intersection over union                    |
| regression     | squared errors; R2, or the share within a tolerance                      |
| detection      | the losses of torchvision's detectors; mean average precision            |
"""

from amc_gym._utils.discovery import import_modules
from amc_gym.tasks.objectives.classification import classification
from amc_gym.tasks.objectives.detection import detection
from amc_gym.tasks.objectives.objective import Loss, Objective, Score
from amc_gym.tasks.objectives.own import own
from amc_gym.tasks.objectives.registry import OBJECTIVES, objective_of, register
from amc_gym.tasks.objectives.regression import regression
from amc_gym.tasks.objectives.segmentation import segmentation

__all__ = [
    "OBJECTIVES",
    "Loss",
    "Objective",
    "Score",
    "classification",
    "detection",
    "objective_of",
    "own",
    "register",
    "regression",
    "segmentation",
]

import_modules(__name__)
