"""Repair of a channel graph whose slim network fails, by adapting an attribute or fixing channels.

A number in the network's code may stand for a number of channels.  The operation that goes wrong in
the slim network tells which: if an attribute of its module holds that number, it is set to the new
one; otherwise the channels that reach the operation stay whole.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from amc_gym.compression.graph import Axis, GraphError
from amc_gym.compression.tracing.labels import Labelled
from amc_gym.compression.tracing.record import Operation, Trace

RESHAPES = ("view", "reshape", "_unsafe_view", "_reshape_alias", "unflatten")

LINES = 3
"""Lines before and after a line that may belong to its statement."""

INSTALLED = {"site-packages", "dist-packages"}
"""Names of folders whose code is not the user's."""

AxisOf = Callable[[np.ndarray], Axis]
"""Function from labels to units and channels."""

Source = Callable[[nn.Module, str], str | None]
"""Function from a module and a line, "file.py:line", to code around it."""


class Repair:
    """Changes of a trace, each of which leads to a more correct graph.

    Args:
        model: the network.
        trace: its trace, which is changed.
    """

    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self._model, self._trace = model, trace
        self._tried: dict[tuple[str, str, type[nn.Module]], set[tuple[str, str]]] = {}

    def mend(self, culprit: Operation, axis_of: AxisOf) -> bool:
        """Repair the line of ``culprit``, wherever in the network it is executed.

        Returns:
            Whether something was changed.

        Raises:
            GraphError: the user's line reshapes to (images, features) by a number, and should
                rather use the tensor's or layer's size.
        """
        where = self._where(culprit)
        alike = [o for o in self._trace.operations if self._where(o) == where]
        if where not in self._tried:
            before = {*self._trace.width_labels}
            self._tried[where] = set()
            # The line itself tells best; its method may have worked the number out before.
            for source in (_statement, _method):
                if any([self._adapt_widths(each, axis_of, source) for each in alike]):
                    self._tried[where] = self._trace.width_labels.keys() - before
                    return True
        else:
            for key in self._widths_at(alike) | self._tried[where]:
                self._trace.width_labels.pop(key, None)
        if self._is_users(culprit) and self._units(self._trace.read_by(culprit), axis_of):
            raise GraphError(
                f"{culprit} holds a number of channels, which changes in the slim network: ask "
                "the tensor or the layer for it, as in x.flatten(1)"
            )
        changed = False
        for operation in alike:
            for labels in self._at_fault(operation, axis_of):
                self._trace.labels.fix(labels, f"{operation} holds a number of channels")
                changed = True
        return changed

    def _is_users(self, operation: Operation) -> bool:
        """Return whether a line that users can change reshapes to a matrix (images, features)."""
        file = _file(self._model.get_submodule(operation.module))
        installed = file is not None and not INSTALLED.isdisjoint(Path(file).parts)
        return operation.name in RESHAPES and len(operation.shape) == 2 and not installed

    def _where(self, operation: Operation) -> tuple[str, str, type[nn.Module]]:
        """Return what operations of one line have in common in all modules of one class."""
        module = self._model.get_submodule(operation.module)
        return operation.name, operation.line, type(module)

    def _widths_at(self, operations: list[Operation]) -> set[tuple[str, str]]:
        modules = {operation.module for operation in operations}
        return {key for key in self._trace.width_labels if key[0] in modules}

    def _adapt_widths(self, operation: Operation, axis_of: AxisOf, source: Source) -> bool:
        """Adapt attributes of the running module that count an operation's channels, if any.

        Only attributes that ``source`` names are considered, or all if it cannot be read; those of
        submodules only if it names both, as in ``self.cell.hidden_size``.
        """
        found = False
        module = self._model.get_submodule(operation.module)
        text = source(module, operation.line)
        holders = {operation.module: _named(module, text)}
        for name, child in module.named_modules(prefix=operation.module):
            path = name.removeprefix(operation.module).lstrip(".")
            if path and text and re.search(rf"\b{re.escape(path)}\.\w", text):
                holders[name] = _named(child, text)
        labelled = (operation.labels, *operation.others, self._trace.read_by(operation))
        for labels in (dimension for each in labelled for dimension in each):
            if labels is None or not axis_of(labels).units:
                continue
            for holder, attributes in holders.items():
                for name in _counting(attributes, len(labels)):
                    if (holder, name) not in self._trace.width_labels:
                        self._trace.width_labels[holder, name] = labels
                        found = True
        return found

    def _at_fault(self, operation: Operation, axis_of: AxisOf) -> Iterator[np.ndarray]:
        """Yield labels of units that an operation reads, or of the nearest operation before it."""
        waiting, seen = [operation], set()
        while waiting:
            reads = [self._trace.written.get(number) for number in waiting.pop(0).reads]
            writers = [each for each in reads if each is not None and each.writes not in seen]
            held = [self._units(each.labels, axis_of) for each in writers]
            if any(held):
                for labels in held:
                    yield from labels
                return
            seen |= {each.writes for each in writers}
            waiting += writers

    def _units(self, labelled: Labelled, axis_of: AxisOf) -> list[np.ndarray]:
        """Return the dimensions that hold channels of units."""
        return [labels for labels in labelled if labels is not None and axis_of(labels).units]


def _named(module: nn.Module, text: str | None) -> dict[str, object]:
    """Return the attributes of a module that code names, or all without code."""
    return {
        name: value
        for name, value in vars(module).items()
        if text is None or re.search(rf"\b{re.escape(name)}\b", text)
    }


def _statement(module: nn.Module, where: str) -> str | None:
    """Return the code around a line of a module's own file; ``None`` if it cannot be read."""
    lines, number = _lines(module, where)
    return "".join(lines[max(number - LINES, 0) : number + LINES - 1]) or None


def _method(module: nn.Module, where: str) -> str | None:
    """Return the innermost function around a line of a module's own file, likewise."""
    lines, number = _lines(module, where)
    try:
        nodes = ast.walk(ast.parse("".join(lines)))
    except SyntaxError:  # the file has changed since it was imported
        return None
    functions = [
        node
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.lineno <= number <= (node.end_lineno or 0)
    ]
    if not functions:
        return None
    inner = max(functions, key=lambda node: node.lineno)
    return "".join(lines[inner.lineno - 1 : inner.end_lineno])


def _lines(module: nn.Module, where: str) -> tuple[list[str], int]:
    """Return the lines of a module's own file, none if they cannot be read, and a line's number."""
    name, _, number = where.rpartition(":")
    file = _file(module)
    if file is None or Path(file).name != name:
        return [], 0
    return linecache.getlines(file), int(number)


def _file(module: nn.Module) -> str | None:
    """Return the file of a module's class; ``None`` if there is none."""
    try:
        return inspect.getsourcefile(type(module))
    except TypeError:
        return None


def _counting(attributes: Mapping[str, object], number: int) -> Iterator[str]:
    """Yield attributes that equal a number, or entries of tuples that do: "width", "shape[0]"."""
    for name, value in attributes.items():
        if type(value) is int and value == number:
            yield name
        elif type(value) in (tuple, list):
            assert isinstance(value, Sequence)
            for place, each in enumerate(value):
                if type(each) is int and each == number:
                    yield f"{name}[{place}]"
