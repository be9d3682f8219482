"""Context: the network, data and budget of an episode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from amc_gym._utils.arguments import described, shown
from amc_gym._utils.names import choose, printable
from amc_gym._utils.own_code import is_code, qualified
from amc_gym.compression.cost import REPORTED
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.envs.budget import share_to_keep
from amc_gym.envs.options import DEFAULT
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo import datasets
from amc_gym.zoo.resolving import TaskLike, TaskOptions


@dataclass(frozen=True, eq=False)
class Context:
    """A network and its data, the budget, and what is pruned.

    Attributes:
        task: a network's name, "package.module:function", such a function, or a task.
        preserve_ratio: share of the resource to keep, in (0, 1]; "default": the task's own.
        dataset: data set of a registered network.
        weights: weights of a registered network.
        resource: what the budget limits: "macs" or "params".
        granularity: what is pruned: "channel" or "weight".
        network: the task's name in ``reset(options={"network": ...})``; ``None``: its own name.
        group: part of a suite that the context belongs to, such as "members"; ``None``: none.
        name: of the context; by default made of network, data set, share and options that are not
            the default.

    Raises:
        TypeError: an attribute has a wrong type, or a task given as an object has no ``network``.
        ValueError: a name is unknown, or a share is out of range.
    """

    task: TaskLike
    preserve_ratio: float | str = DEFAULT
    dataset: str = TaskOptions.dataset
    weights: str | Path = TaskOptions.weights
    resource: str = "macs"
    granularity: str = "channel"
    network: str | None = None
    group: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        put("resource", choose("resource of a context", self.resource, REPORTED))
        put("granularity", choose("granularity", self.granularity, PRUNINGS))
        if isinstance(self.preserve_ratio, str):
            choose("preserve_ratio", self.preserve_ratio, (DEFAULT,))
        elif (ratio := share_to_keep(self.preserve_ratio)) is None:
            raise ValueError("preserve_ratio of a context must be in (0, 1] or 'default', not None")
        else:
            put("preserve_ratio", ratio)
        datasets.name_of(self.dataset)
        put("network", self._network() if self.network is None else _line("network", self.network))
        put("name", self._named() if self.name is None else _line("name", self.name))
        if self.group is not None:
            put("group", _line("group", self.group))

    def _network(self) -> str:
        if isinstance(self.task, str):
            return _line("task", self.task)
        if isinstance(self.task, CompressionTask) or not callable(self.task):
            raise TypeError(
                f"a context of {described(self.task)} needs a name: Context(task, network='mine')"
            )
        return qualified(self.task)

    def _named(self) -> str:
        ratio = self.preserve_ratio
        parts = [str(self.network)]
        if self.dataset != TaskOptions.dataset:
            parts.append(self.dataset)
        parts.append(ratio if isinstance(ratio, str) else str(ratio))
        if self.resource != "macs":
            parts.append(self.resource)
        if self.granularity != "channel":
            parts.append(self.granularity)
        return "/".join(parts)

    @property
    def registered(self) -> bool:
        """Whether the task is a network of the package, which may read its data from a folder."""
        return isinstance(self.task, str) and not is_code(self.task)

    def at(self, preserve_ratio: float | str) -> Context:
        """Return this context at another budget, with a name that says so.

        Raises:
            TypeError, ValueError: as ``Context``.
        """
        return replace(self, preserve_ratio=preserve_ratio, name=None)

    def __repr__(self) -> str:
        return f"Context({self.name!r})"


def _line(what: str, value: object) -> str:
    """Return a name after checking that it is one printable line, fit for infos and messages."""
    if not isinstance(value, str):
        raise TypeError(f"{what} of a context must be a string, not {described(value)}")
    if not value.strip() or printable(value, 200) != value:
        raise ValueError(
            f"{what} of a context must be one line of at most 200 letters, not {shown(value)}"
        )
    return value
