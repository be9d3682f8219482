"""Variants of error-allocation without one part, for ``run --modules benchmarks.ablations``.

| agent                    | starts at                 | then                                     |
|--------------------------|---------------------------|------------------------------------------|
| error-allocation         | the plan of least error   | a Gaussian process over factors          |
| error-allocation-uniform | the uniform plan          | the same                                 |
| error-allocation-random  | the plan of least error   | factors drawn at random                  |
"""

from functools import partial

import agents
from agents.black_box import NEEDS
from agents.error_allocation import ErrorAllocation

_variant = partial(agents.register, kind="searcher", needs=NEEDS)

_variant("error-allocation-uniform")(partial(ErrorAllocation, prior=False))
_variant("error-allocation-random")(partial(ErrorAllocation, process=False))
