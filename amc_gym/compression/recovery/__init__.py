"""Recoveries: how the kept weights make up for the pruned ones.

| file              | contents                                                                 |
|-------------------|--------------------------------------------------------------------------|
| recovery          | the base class of recoveries, and their registry                         |
| chain             | the option: steps joined by "+", applied one after the other             |
| reconstruction    | nested least squares: a layer reproduces its original output             |
| sequential        | the same on the outputs of the pruned layers before it; also for ReLUs   |
| fitting           | how far a layer's weights move, chosen on held-out samples               |
| fitting_on_device | the same on a GPU, without waiting for it                                |
| moments           | mean and deviation of outputs, which a fit shrinks, restored             |
| lockstep          | batches that wait for each other before each layer                       |
| batch_norm        | re-estimated batch norm statistics                                       |
| finetune          | a few steps of training                                                  |
| statistics        | Gram matrices and saliencies from calibration images                     |
| targets           | original outputs at sampled positions                                    |
| behind_relu       | least squares in which only what a ReLU lets through counts              |
| shortcuts         | what a layer's output is added to, whose errors it can compensate        |
"""

from amc_gym._utils.discovery import import_modules
from amc_gym.compression.recovery.batch_norm import BatchNorm
from amc_gym.compression.recovery.chain import Chain, RecoveryLike, chain
from amc_gym.compression.recovery.finetune import Finetune
from amc_gym.compression.recovery.reconstruction import Reconstruct
from amc_gym.compression.recovery.recovery import RECOVERIES, Calibration, Recovery, register
from amc_gym.compression.recovery.sequential import Nonlinear, Sequential

__all__ = [
    "RECOVERIES",
    "BatchNorm",
    "Calibration",
    "Chain",
    "Finetune",
    "Nonlinear",
    "Reconstruct",
    "Recovery",
    "RecoveryLike",
    "Sequential",
    "chain",
    "register",
]

import_modules(__name__)
