"""The option ``recovery``: steps joined by "+", or user functions, applied one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import nn

from amc_gym._utils.arguments import described, function
from amc_gym._utils.names import choose
from amc_gym.compression.evaluation.parallel import torch_threads
from amc_gym.compression.recovery.recovery import (
    RECOVERIES,
    Calibration,
    Own,
    OwnRecovery,
    Recovery,
)
from amc_gym.compression.slim import Kept, slim

NONE = "none"
"""The recovery without steps, which leaves the kept weights unchanged."""


@dataclass(frozen=True)
class Chain:
    """Recoveries that are applied one after the other.

    Attributes:
        steps: in order; empty for "none".
        name: its name in plans and options.
    """

    steps: tuple[Recovery, ...]
    name: str

    @property
    def needs(self) -> frozenset[str]:
        """Attributes of ``Calibration`` that are read for each plan."""
        return frozenset().union(*(step.needs for step in self.steps))

    @property
    def per_plan(self) -> bool:
        """Whether a network has to be built and run for each plan."""
        return any(step.per_plan for step in self.steps)

    @property
    def refits(self) -> bool:
        """Whether weights are re-fitted by statistics that are gathered in advance."""
        return any(not step.per_plan for step in self.steps)

    @property
    def sparse(self) -> bool:
        """Whether it can recover the networks of weight pruning."""
        return all(step.sparse for step in self.steps)

    def recover(self, kept: Kept, calibration: Calibration) -> nn.Module:
        """Return the recovered slim network of any kept channels: a new module, in eval mode.

        On a CPU, a recovery that trains runs all steps on one thread: the number of threads changes
        the order of sums, and training amplifies that to other weights.  So its networks have the
        same weights for any number of threads; those of other recoveries differ by rounding.
        """
        if "grams" in self.needs:
            _ = calibration.grams  # does not depend on the number of threads
        with self._threads():
            weights = {}
            for step in self.steps:
                weights |= step.weights(kept, calibration) or {}
            network = slim(calibration.model, calibration.graph, kept, weights or None)
            return self.apply(network, kept, calibration)

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Recover a small network, in place if its steps work in place.

        Args:
            network: in eval mode.
            kept: kept channels of each unit; ``None`` in weight pruning.
            calibration: statistics of the original network.
        """
        with self._threads():
            for step in self.steps:
                network = step.apply(network, kept, calibration)
        return network

    def _threads(self) -> AbstractContextManager[None]:
        trains = any(step.trains for step in self.steps)
        return torch_threads(1) if trains else nullcontext()

    def __str__(self) -> str:
        return self.name


RecoveryLike = str | Recovery | Own | Chain | Sequence[str | Recovery | Own]
"""Names joined by "+", a recovery, a function (network, calibration), or several of these."""


def chain(recovery: RecoveryLike) -> Chain:
    """Check a recovery option: ``"reconstruct+bn"``, ``"finetune:50"``, ``["reconstruct", mine]``.

    Raises:
        TypeError: ``recovery`` is not text, a recovery, a function, or a sequence of these.
        ValueError: a step is unknown or repeated, registered steps are not in their order, or a
            number is out of range or not allowed.
    """
    if isinstance(recovery, Chain):
        return recovery
    if isinstance(recovery, Recovery) or (callable(recovery) and not isinstance(recovery, type)):
        recovery = [recovery]
    if isinstance(recovery, str):
        steps, name = _named(str(recovery)), str(recovery)
    elif isinstance(recovery, Sequence) and recovery and not isinstance(recovery, bytes):
        steps = tuple(step for part in recovery for step in _steps(part))
        name = "+".join(map(str, steps)) or NONE
    else:
        raise TypeError(
            "recovery must be 'none', steps joined by '+', such as 'reconstruct+bn', or a function "
            f"of a network and its calibration, not {described(recovery)}"
        )
    _check_order(steps, name)
    return Chain(steps, name)


def is_own(step: str) -> bool:
    """Return whether a step's name in a plan is a user's function, package.module:function."""
    name, colon, _ = step.partition(":")
    return bool(colon) and name not in RECOVERIES


def _steps(part: object) -> tuple[Recovery, ...]:
    if isinstance(part, str):
        return _named(str(part))
    if isinstance(part, Recovery):
        return (part,)
    if not callable(part) or isinstance(part, type):
        raise TypeError(
            f"recovery: a step must be a name, a Recovery or a function, not {described(part)}"
        )
    own: Callable = function("recovery", part, "a network", "a calibration")
    return (OwnRecovery(own),)


def _named(text: str) -> tuple[Recovery, ...]:
    steps, parts = [], text.split("+")
    for part in parts:
        name, colon, amount = part.partition(":")
        choose("recovery step", name, (NONE, *RECOVERIES))
        if name == NONE:
            if part != NONE or len(parts) > 1:
                raise ValueError(f"recovery {text!r}: 'none' stands alone, without a number")
            return ()
        steps.append(RECOVERIES[name].parse(amount if colon else None))
    return tuple(steps)


def _check_order(steps: Sequence[Recovery], name: str) -> None:
    named = [step.name for step in steps]
    if len(set(named)) != len(named):
        raise ValueError(f"recovery {name!r}: name each step once, and 'none' only alone")
    registered = [step for step in named if step in RECOVERIES]
    if registered != (ordered := [step for step in RECOVERIES if step in registered]):
        raise ValueError(f"recovery {name!r}: write the steps in the order {'+'.join(ordered)!r}")
