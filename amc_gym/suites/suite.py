"""Suite: the contexts that one policy is trained or tested on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from amc_gym._utils import documents
from amc_gym._utils.arguments import described
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.documents import DocumentError, Name, Schema
from amc_gym._utils.names import choose, printable
from amc_gym._utils.own_code import failing_as_one, is_code, refusal
from amc_gym.suites.context import Context
from amc_gym.zoo.resolving import TaskLike

DIRECTORY = Path(__file__).with_name("bundled")
"""Folder of the bundled suites, one file each; a file never changes, a new version is added."""

MOST = 10_000
"""Most networks that a file may list."""


class NetworkSchema(Schema):
    """A network and the budgets of its contexts; see ``Context``."""

    network: Name
    preserve_ratios: Annotated[
        list[Annotated[float, Field(gt=0, le=1)] | Literal["default"]],
        Field(min_length=1, max_length=100),
    ]
    dataset: Name = "digits"
    resource: Name = "macs"
    granularity: Name = "channel"
    group: Name | None = None


class SuiteSchema(Schema):
    """A suite file."""

    format: Literal[1]
    name: Name
    summary: Name
    networks: Annotated[list[NetworkSchema], Field(min_length=1, max_length=MOST)]


@dataclass(frozen=True, eq=False)
class Suite:
    """A named collection of contexts.

    Attributes:
        name: of the suite.
        contexts: in order; a single one is allowed.
        summary: its purpose, in one line.

    Raises:
        TypeError: ``contexts`` holds anything else.
        ValueError: there are no contexts, or two with the same name.
    """

    name: str
    contexts: Sequence[Context]
    summary: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name of a suite must be a string, not {described(self.name)}")
        given = self.contexts
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(f"contexts must be a list of Context, not {described(given)}")
        contexts = tuple(given)
        for each in contexts:
            if not isinstance(each, Context):
                raise TypeError(f"contexts must be a list of Context, not of {described(each)}")
        if not contexts:
            raise ValueError(f"suite {self.name!r} has no contexts: give at least one")
        names = [str(each.name) for each in contexts]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"suite {self.name!r} has two contexts {twice!r}: set name= of one")
        object.__setattr__(self, "contexts", contexts)

    def __len__(self) -> int:
        return len(self.contexts)

    def __iter__(self) -> Iterator[Context]:
        return iter(self.contexts)

    def __getitem__(self, name: str) -> Context:
        """Return the context of a name; for a network at a new budget, that context is made.

        Raises:
            TypeError: the name is not a string.
            ValueError: there is no such context; the message suggests a close match.
        """
        known = {str(each.name): each for each in self.contexts}
        if name not in known and isinstance(name, str):
            for each in self.contexts:
                for ratio in filter(None, map(_ratio, name.split("/"))):
                    if (made := each.at(ratio)).name == name:
                        return made
        return known[choose(f"context of suite {self.name!r}", name, known)]

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, in order."""
        return tuple(dict.fromkeys(str(each.network) for each in self.contexts))

    def of(self, network: str) -> tuple[Context, ...]:
        """Return the contexts of a network.

        Raises:
            TypeError: the name is not a string.
            ValueError: there is no such network; the message suggests a close match.
        """
        name = choose(f"network of suite {self.name!r}", network, self.networks)
        return tuple(each for each in self.contexts if each.network == name)

    def part(self, group: str) -> Suite:
        """Return the contexts of one group, as a suite.

        Raises:
            TypeError: the name is not a string.
            ValueError: there is no such group; the message suggests a close match.
        """
        groups = dict.fromkeys(each.group for each in self.contexts if each.group is not None)
        name = choose(f"group of suite {self.name!r}", group, groups)
        chosen = [each for each in self.contexts if each.group == name]
        return Suite(f"{self.name}/{name}", chosen, self.summary)

    def one(self, context: str) -> Suite:
        """Return one context as a suite, in which all episodes have that context.

        Raises:
            TypeError, ValueError: as ``suite[context]``.
        """
        return Suite(self.name, [self[context]], self.summary)

    @classmethod
    def load(cls, path: str | Path, tasks: Mapping[str, TaskLike] | None = None) -> Suite:
        """Read a suite from a TOML file.

        Args:
            path: of the file.
            tasks: your own tasks by the names that the file uses.  Without them a file can only
                name registered networks, because a file must not make code run.

        Raises:
            TypeError: an argument has a wrong type.
            ValueError: the file is not a suite, or names code; the message names the file and the
                place.
            OSError: it cannot be read.
        """
        path = path_of("path", path)
        tasks = dict(tasks or {})
        try:
            content = tomllib.loads(documents.read_text(path))
            known = documents.check(SuiteSchema, content)
            contexts = [c for row in known.networks for c in _contexts(row, tasks, str(path))]
            return cls(known.name, contexts, known.summary)
        except RecursionError:
            raise ValueError(f"{path} is not a suite: it is nested too deeply") from None
        except (DocumentError, tomllib.TOMLDecodeError) as error:
            said = printable(str(error))
            raise ValueError(f"{path} is not a suite: {said}") from error

    def __repr__(self) -> str:
        return f"Suite({self.name!r}, {len(self)} contexts of {len(self.networks)} networks)"

    def __deepcopy__(self, memo: dict[int, Any]) -> Suite:
        return self  # Gymnasium deep-copies keywords on each access of env.spec


def _ratio(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 < found <= 1 else None


def _contexts(row: NetworkSchema, tasks: Mapping[str, TaskLike], where: str) -> list[Context]:
    task = tasks.get(row.network, row.network)
    if isinstance(task, str) and is_code(task) and row.network not in tasks:
        fix = f"Suite.load({where!r}, tasks={{{task!r}: {task!r}}})"
        raise ValueError(refusal(f"the suite {where}", task, fix))
    make = partial(
        Context,
        task,
        dataset=row.dataset,
        resource=row.resource,
        granularity=row.granularity,
        network=row.network,
        group=row.group,
    )
    try:
        return [make(ratio) for ratio in row.preserve_ratios]
    except ValueError as error:
        raise ValueError(f"the suite {where}: {error}") from error


def bundled() -> tuple[str, ...]:
    """Return the names of the bundled suites."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))


@cache
def _bundled(name: str) -> Suite:
    return Suite.load(DIRECTORY / f"{name}.toml")


SuiteLike = str | Path | Suite
"""A bundled suite's name, a TOML file, "package.module:attribute", or a suite."""


def suite_of(suite: SuiteLike) -> Suite:
    """Return the suite that the option ``suite`` names.

    Args:
        suite: the name of a bundled suite, the path of a TOML file, "package.module:attribute", or
            a suite itself.

    Raises:
        TypeError: it is anything else.
        ValueError: no suite has that name, or the file or attribute is not a suite.
        OSError: the file cannot be read.
    """
    if isinstance(suite, Suite):
        return suite
    if isinstance(suite, Path) or (isinstance(suite, str) and suite.endswith(".toml")):
        return Suite.load(suite)
    if isinstance(suite, str) and is_code(suite):
        return _imported(suite)
    if not isinstance(suite, str):
        raise TypeError(
            "suite must be a name, the path of a TOML file, 'package.module:attribute' or a "
            f"Suite, not {described(suite)}"
        )
    return _bundled(choose("suite", suite, bundled()))


def _imported(name: str) -> Suite:
    module, _, attribute = name.partition(":")
    with failing_as_one(f"suite {name!r}"):
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"suite {name!r} cannot be imported: {error}") from error
        found = found() if callable(found) else found
    if not isinstance(found, Suite):
        raise ValueError(f"suite {name!r} is {described(found)}, not a Suite")
    return found
