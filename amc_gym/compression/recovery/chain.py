"""The option ``recovery``: steps joined by "+", or a user's own, taken one after the other."""

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
"""The recovery of no steps: the kept weights as they are."""


@dataclass(frozen=True)
class Chain:
    """Recoveries that are taken one after the other.

    Attributes:
        steps: in order; empty for "none".
        name: what plans and options call it.
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
        """Whether weights are re-fitted by statistics gathered before."""
        return any(not step.per_plan for step in self.steps)

    @property
    def sparse(self) -> bool:
        """Whether networks of single weights that are zero can be recovered so."""
        return all(step.sparse for step in self.steps)

    def recover(self, kept: Kept, calibration: Calibration) -> nn.Module:
        """Return the slim network of any kept channels, recovered: a new module, in eval mode.

        On a processor, a recovery that trains has all steps run on one thread: with the number of
        threads the order of sums changes, and training makes other weights of other rounding.  Its
        networks have the same weights whatever the number of threads; those of other recoveries
        differ by rounding.
        """
        if "grams" in self.needs:
            _ = calibration.grams  # the same from any number of threads
        with self._threads():
            weights = {}
            for step in self.steps:
                weights |= step.weights(kept, calibration) or {}
            network = slim(calibration.model, calibration.graph, kept, weights or None)
            return self.apply(network, kept, calibration)

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Recover a small network, in place where its steps do so.

        Args:
            network: in eval mode.
            kept: kept channels of each unit; ``None`` where single weights were pruned.
            calibration: what is known of the original network.
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
        TypeError: it is neither text, nor a recovery, nor a function, nor a sequence of these.
        ValueError: an unknown or repeated step, registered steps in another order than their own,
            or a number where there should be none or that is out of range.
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
            f"recovery must be 'none', or steps joined by '+', such as 'reconstruct+bn', or a "
            f"function of a network and what is known of the original, not {described(recovery)}"
        )
    _check_order(steps, name)
    return Chain(steps, name)


def is_own(step: str) -> bool:
    """Whether a step's name in a plan is that of a user's function, package.module:function."""
    name, colon, _ = step.partition(":")
    return bool(colon) and name not in RECOVERIES


def _steps(part: object) -> tuple[Recovery, ...]:
    if isinstance(part, str):
        return _named(str(part))
    if isinstance(part, Recovery):
        return (part,)
    if not callable(part) or isinstance(part, type):
        raise TypeError(
            f"recovery: a step is a name, a Recovery, or a function, not {described(part)}"
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
