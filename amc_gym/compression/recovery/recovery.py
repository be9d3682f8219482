"""The base class of recoveries: ways in which the kept weights make up for the pruned ones.

A new recovery is a class in its own file, decorated with ``register``; its name can then be used in
``recovery="reconstruct+mine"``.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn

from amc_gym._utils.arguments import described, shown
from amc_gym._utils.nests import Nest, called, take
from amc_gym._utils.own_code import qualified
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.slim import Kept

if TYPE_CHECKING:
    from amc_gym.compression.recovery.targets import Targets


class Calibration(Protocol):
    """Statistics for recoveries, each computed once, when it is first asked for."""

    @property
    def model(self) -> nn.Module:
        """The original network, in eval mode; must not be changed."""
        ...

    @cached_property
    def graph(self) -> ChannelGraph:
        """Units and layers of the original network."""
        ...

    @cached_property
    def grams(self) -> Mapping[str, Tensor]:
        """Gram matrices of the layers to re-fit, by name; see ``statistics.grams``."""
        ...

    @cached_property
    def targets(self) -> Targets:
        """Original outputs at sampled positions."""
        ...

    def images(self) -> Iterable[Nest]:
        """Yield calibration inputs from the start: images (B, C, H, W), or other batches."""
        ...

    def finetune(self, network: nn.Module, steps: int) -> nn.Module:
        """Return the network after some steps of training on the calibration images."""
        ...


@dataclass(frozen=True)
class Recovery(ABC):
    """One step of the recovery of a small network.

    Attributes:
        name: its name in the option ``recovery``.
        summary: what it does, in one line.
        order: steps of one recovery are written, and applied, in ascending order.
        needs: names of ``Calibration``'s attributes that it reads for each plan.
        per_plan: whether it has to run the network of each plan.  If not, it changes weights only,
            by arithmetic on statistics gathered in advance, and a search builds no network.
        sparse: whether it also works on the networks of weight pruning.
        trains: whether it trains, which is done on one thread so that weights do not depend on the
            number of threads.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    order: ClassVar[float]
    needs: ClassVar[frozenset[str]] = frozenset()
    per_plan: ClassVar[bool] = True
    sparse: ClassVar[bool] = False
    trains: ClassVar[bool] = False

    @classmethod
    def parse(cls, amount: str | None) -> Recovery:
        """Return the step that ``name`` or ``name:amount`` means.

        Raises:
            ValueError: a number is out of range or not allowed.
        """
        if amount is not None:
            raise ValueError(
                f"recovery {shown(f'{cls.name}:{amount}')}: {cls.name} takes no number, only bn "
                "and finetune do, as in bn:200 and finetune:100"
            )
        return cls()

    def weights(self, kept: Kept, calibration: Calibration) -> Mapping[str, Tensor] | None:
        """Return re-fitted weights of a slim network's layers, by name, before it is built."""
        return None

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Recover a small network, in place or not.

        Args:
            network: in eval mode.
            kept: kept channels of each unit; ``None`` in weight pruning.
            calibration: statistics of the original network.

        Returns:
            The recovered network, in eval mode.
        """
        return network

    def __str__(self) -> str:
        return self.name


RECOVERIES: dict[str, type[Recovery]] = {}
"""Name -> registered recovery, in ascending order."""

R = TypeVar("R", bound=type[Recovery])


def amount_of(step: str, amount: str, what: str, most: int, least: int = 1) -> int:
    """Return the number in ``step:amount``.

    Args:
        step: name of the recovery.
        amount: text after the colon.
        what: what it counts, in the plural.
        most: largest allowed number.
        least: smallest allowed number.

    Raises:
        ValueError: it is not a whole number from ``least`` to ``most``.
    """
    if not (amount.isdecimal() and len(amount) <= 9 and least <= int(amount) <= most):
        raise ValueError(
            f"recovery {shown(f'{step}:{amount}')}: {step} takes a number of {what}, as in "
            f"{step}:100, from {least} to {most}"
        )
    return int(amount)


def register(recovery: R) -> R:
    """Register a recovery by its name; use as a decorator.

    Raises:
        ValueError: the name is not a word, or another recovery has it.
    """
    if not recovery.name.replace("-", "").isalnum() or recovery.name == "none":
        raise ValueError(f"a recovery's name must be a word, not {recovery.name!r}")
    known = RECOVERIES.get(recovery.name, recovery)
    if known.__qualname__ != recovery.__qualname__ or known.__module__ != recovery.__module__:
        raise ValueError(f"there is a recovery {recovery.name!r} already: choose another name")
    RECOVERIES[recovery.name] = recovery
    ordered = sorted(RECOVERIES.items(), key=lambda item: item[1].order)
    RECOVERIES.clear()
    RECOVERIES.update(ordered)
    return recovery


Own = Callable[[nn.Module, Calibration], nn.Module | None]
"""A user's function that changes a small network in eval mode, or returns another one."""


@dataclass(frozen=True)
class OwnRecovery(Recovery):
    """A recovery by a user's function."""

    summary = "a function of the user's own"
    order = float("inf")
    sparse = True

    function: Own

    @property
    def name(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Name of the function, package.module:function."""
        return qualified(self.function)

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Return the network that the function recovered.

        Raises:
            ValueError: it fails, does not return a network or None, or leaves weights that are not
                finite or outputs of another shape.
        """
        try:
            made = self.function(network, calibration)
        except Exception as error:
            raise ValueError(f"recovery {self.name} fails: {error}") from error
        if made is not None and not isinstance(made, nn.Module):
            raise ValueError(
                f"recovery {self.name} must return a network, or None if it changed the given one, "
                f"not {described(made)}"
            )
        recovered = (network if made is None else made).eval()
        self._check(recovered, calibration)
        return recovered

    def _check(self, network: nn.Module, calibration: Calibration) -> None:
        for name, tensor in network.named_parameters():
            if not tensor.isfinite().all():
                raise ValueError(
                    f"recovery {self.name} leaves values in {name!r} that are not finite"
                )
        sample = take(next(iter(calibration.images())), slice(1))
        with torch.no_grad():
            expected, found = (called(each, sample) for each in (calibration.model, network))
        # The number of other outputs, such as boxes, may change.
        if isinstance(expected, Tensor) and getattr(found, "shape", None) != expected.shape:
            raise ValueError(
                f"recovery {self.name} must leave the outputs' shape as it is: "
                f"{tuple(expected.shape)} for one sample"
            )
