"""Options of an engine: how candidate networks are made and evaluated.

What the options name needs PyTorch and is imported only when options are made, so that a help text,
which only reads their declarations, does not need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from amc_gym._utils.arguments import function, whole
from amc_gym._utils.names import choose

if TYPE_CHECKING:
    from amc_gym.compression.pruning import Pruning
    from amc_gym.compression.ranking.importance import Importance
    from amc_gym.compression.recovery import Chain, RecoveryLike

AUTO = "auto"

EVALUATIONS = (AUTO, "slim", "resident")
"""Values of ``evaluation``, see ``amc_gym.engine.resident``."""


@dataclass(frozen=True)
class EngineOptions:
    """How candidate networks are made and evaluated.

    Raises:
        TypeError: an option has a wrong type.
        ValueError: a name or device is unknown, or ``reward_images`` is below 1.
    """

    granularity: str = "channel"
    """what is pruned: "channel" or "weight" """

    importance: str | Importance = "magnitude"
    """which channels stay: "magnitude" (paper), "bn-scale", "taylor", "greedy", or a function"""

    recovery: RecoveryLike = "reconstruct"
    """how kept weights make up for pruned ones: "none", or steps of "reconstruct"
    (paper), "sequential", "nonlinear", "bn" and "finetune" joined by a plus sign, or a function"""

    metric: str | None = None
    """metric of a classifier: "top1" or "top5"; None: the task's own"""

    reward_images: int | None = None
    """number of reward images to evaluate on, the first ones; None: all"""

    precision: str = AUTO
    """precision of the evaluation: "float32" or "bf16"; "auto": bf16 where it is fast and
    candidates are written into one network that scores the same, float32 elsewhere"""

    evaluation: str = AUTO
    """networks to evaluate candidates on: small ones, "slim", or one of full width, "resident";
    "auto": the latter on a CUDA device, where recovery and network allow it"""

    device: str = "auto"
    """device to evaluate candidates on: "auto", "cpu", "cuda", ..."""

    def __post_init__(self) -> None:
        from amc_gym._utils.machine import device_of
        from amc_gym.compression.evaluation.evaluator import PRECISIONS
        from amc_gym.compression.evaluation.hits import METRICS
        from amc_gym.compression.pruning import PRUNINGS
        from amc_gym.compression.recovery import chain

        put = partial(object.__setattr__, self)
        for name, available in (
            ("granularity", PRUNINGS),
            ("precision", (AUTO, *PRECISIONS)),
            ("evaluation", EVALUATIONS),
        ):
            put(name, choose(name, getattr(self, name), available))
        if self.metric is not None:
            put("metric", choose("metric", self.metric, METRICS))
        put("importance", _importance(self.importance))
        put("recovery", chain(self.recovery))
        self.pruning.check(self.importance, self.chain)
        self._check_evaluation()
        if self.reward_images is not None:
            given = whole("reward_images", self.reward_images, at_least=1, otherwise=" or None")
            put("reward_images", given)
        device_of(self.device)  # fails before anything is loaded
        put("device", str(self.device))

    def _check_evaluation(self) -> None:
        if self.evaluation != "resident":
            return
        if self.granularity != "channel":
            raise ValueError(
                "evaluation='resident' masks channels of one network, and "
                f"granularity={self.granularity!r} prunes none: choose evaluation='auto'"
            )
        if slow := [str(step) for step in self.chain.steps if step.per_plan]:
            raise ValueError(
                "evaluation='resident' builds no network for a plan, which recovery "
                f"{'+'.join(slow)!r} has to run: choose recovery='none' or 'reconstruct', or "
                "evaluation='auto'"
            )

    @property
    def chain(self) -> Chain:
        """The recovery as a chain of steps."""
        from amc_gym.compression.recovery import Chain

        assert isinstance(self.recovery, Chain)
        return self.recovery

    @property
    def pruning(self) -> type[Pruning]:
        """The class of the pruning that the granularity stands for."""
        from amc_gym.compression.pruning import PRUNINGS

        return PRUNINGS[self.granularity]


def _importance(importance: str | Importance) -> str | Importance:
    from amc_gym.compression.ranking.importance import IMPORTANCES

    if isinstance(importance, str) or not callable(importance):
        return choose("importance", importance, IMPORTANCES)
    return function("importance", importance, "a UnitView")
