"""How the kept weights make up for the pruned ones.

| file              | what                                                                     |
|-------------------|--------------------------------------------------------------------------|
| recovery          | what a recovery is, and the register of them                             |
| chain             | the option: steps joined by "+", taken one after the other               |
| reconstruction    | nested least squares: a layer reproduces its original output             |
| sequential        | the same on what the pruned layers before it produce; behind a ReLU, too |
| fitting           | how far a layer's weights move, chosen by samples that are held out      |
| fitting_on_device | the same on a GPU, which is not waited for                               |
| moments           | mean and deviation of outputs, which a fit shrinks, brought back         |
| lockstep          | batches that wait for each other before each layer                       |
| batch_norm        | statistics estimated anew                                                |
| finetune          | a few steps of training                                                  |
| statistics        | what calibration images tell: Gram matrices, saliencies                  |
| targets           | original outputs at sampled positions                                    |
| behind_relu       | least squares where only what a ReLU lets through counts                 |
| shortcuts         | what a layer's output is added to, whose errors it can make up for       |
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
