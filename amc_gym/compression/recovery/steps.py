"""How the kept weights make up for the pruned ones: named steps, joined by "+"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from amc_gym._utils.arguments import described, shown
from amc_gym._utils.names import choose
from amc_gym.compression.evaluation.parallel import torch_threads
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.recovery.reconstruction import refit
from amc_gym.compression.recovery.sequential import Targets, refit_sequentially
from amc_gym.compression.slim import Kept, slim

STEPS = {
    "none": "the kept weights as they are",
    "reconstruct": "least squares towards each layer's original output (paper, section 3.4)",
    "sequential": "the same on the inputs that the pruned layers before really produce",
    "nonlinear": "the same with offsets, for shortcuts too, towards what a ReLU lets through",
    "bn": "batch norm statistics estimated anew on the calibration images",
    "finetune": "a few steps of training on the calibration images: finetune:STEPS",
}
"""Recovery steps, in the only order that makes sense."""

SWAPPABLE = frozenset({"reconstruct"})
"""Steps that change weights alone, by arithmetic on statistics gathered before."""

IN_SEQUENCE = {"sequential": False, "nonlinear": True}
"""Steps that fit one layer after the other, and whether behind its ReLU."""

AS_BUILT = frozenset({"bn", "finetune"})
"""Steps that take any small network as it is, a sparse one too."""

FINETUNE_STEPS = 100

LONGEST_FINETUNE = 10_000
"""Steps within one evaluation; whoever wants more trains the network that was found."""


@dataclass(frozen=True)
class Step:
    """One recovery step; ``amount`` is the number of fine-tuning steps."""

    name: str
    amount: int = 0


def parse(recovery: str) -> tuple[Step, ...]:
    """Split and check a recovery option: ``"reconstruct+bn"``, ``"reconstruct+finetune:50"``.

    Returns:
        The steps in order; empty for ``"none"``.

    Raises:
        TypeError: it is no string.
        ValueError: an unknown or repeated step, steps in another order than that of ``STEPS``, or
            a number where there should be none or that is out of range.
    """
    if not isinstance(recovery, str):
        raise TypeError(
            f"recovery must be 'none' or steps joined by '+', such as 'reconstruct+bn', not "
            f"{described(recovery)}"
        )
    recovery = str(recovery)
    steps = []
    for part in recovery.split("+"):
        name, colon, amount = part.partition(":")
        choose("recovery step", name, STEPS)
        if colon and (name != "finetune" or not _is_count(amount)):
            raise ValueError(
                f"recovery {shown(part)}: only finetune takes a number, as in finetune:100, at "
                f"most {LONGEST_FINETUNE}"
            )
        default = FINETUNE_STEPS if name == "finetune" else 0
        steps.append(Step(name, int(amount) if colon else default))
    names = [step.name for step in steps]
    if len(set(names)) != len(names) or ("none" in names and len(names) > 1):
        raise ValueError(f"recovery {recovery!r}: name each step once, and 'none' only alone")
    if names != [name for name in STEPS if name in names]:
        order = "+".join(name for name in STEPS if name in names)
        raise ValueError(f"recovery {recovery!r}: write the steps in the order {order!r}")
    return () if names == ["none"] else tuple(steps)


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= LONGEST_FINETUNE


@dataclass(frozen=True, eq=False)
class Calibration:
    """What recovery may use.

    Attributes:
        model: the original network.
        graph: its channel graph.
        gather: gives the Gram matrices of the layers to re-fit.
        batches: gives the calibration images anew at each call, (B, C, H, W) each.
        finetune: (network, steps) -> the network, trained so far on the calibration images;
            training is not this package's business.
    """

    model: nn.Module
    graph: ChannelGraph
    gather: Callable[[], Mapping[str, torch.Tensor]]
    batches: Callable[[], Iterable[torch.Tensor]]
    finetune: Callable[[nn.Module, int], nn.Module]

    @cached_property
    def targets(self) -> Targets:
        """Original outputs at sampled positions, for sequential reconstruction.

        Computed on one thread, for ``recover``: they are kept whoever asked for them first.
        """
        with torch_threads(1):
            return Targets(self.model, self.graph, self.batches())


def recover(kept: Kept, steps: Sequence[Step], calibration: Calibration) -> nn.Module:
    """The slim network of any kept channels, recovered: a new module, in eval mode.

    On a processor, "finetune" has all steps run on one thread: with the number of threads the order
    of sums changes, and training makes other weights of other rounding.  Its networks have the same
    weights whatever the number of threads; those of other recoveries differ by rounding.
    """
    model, graph = calibration.model, calibration.graph
    statistics = None
    if any(step.name == "reconstruct" for step in steps):
        statistics = calibration.gather()  # the same from any number of threads
    with _threads(steps):
        weights = None if statistics is None else refit(model, graph, statistics, kept)
        network = slim(model, graph, kept, weights)
        for step in steps:
            if (nonlinear := IN_SEQUENCE.get(step.name)) is not None:
                refit_sequentially(network, graph, kept, calibration.targets, nonlinear=nonlinear)
        return recover_as_built(network, steps, calibration)


def recover_as_built(
    network: nn.Module, steps: Sequence[Step], calibration: Calibration
) -> nn.Module:
    """The steps that take any small network as it is, in place: "bn" and "finetune".

    On as many threads as ``recover``.
    """
    with _threads(steps):
        for step in steps:
            if step.name == "bn":
                recalibrate(network, calibration.batches())
            elif step.name == "finetune":
                network = calibration.finetune(network, step.amount)
    return network


def _threads(steps: Sequence[Step]) -> AbstractContextManager[None]:
    """One thread for recoveries that train, as many as there are for others."""
    return torch_threads(1) if any(step.name == "finetune" for step in steps) else nullcontext()


def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Estimate batch norm statistics anew, in place: the averages over all batches.

    A pruned network's activations have other means and variances than the statistics say.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
