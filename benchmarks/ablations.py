"""error-allocation without one of its parts, for ``run --modules benchmarks.ablations``.

| agent                    | begins at                 | then                                     |
|--------------------------|---------------------------|------------------------------------------|
| error-allocation         | the plan of least error   | a Gaussian process over factors          |
| error-allocation-uniform | the uniform plan          | the same                                 |
| error-allocation-random  | the plan of least error   | factors drawn at random                  |
"""

from functools import partial

import agents
from agents.error_allocation import ErrorAllocation

agents.register("error-allocation-uniform")(partial(ErrorAllocation, prior=False))
agents.register("error-allocation-random")(partial(ErrorAllocation, process=False))
