"""Options that are declared once, as frozen dataclasses whose fields have docstrings.

    @dataclass(frozen=True)
    class Options:
        metric: str = "top1"
        \"\"\"what counts as right: "top1" or "top5" \"\"\"

Signatures, tables in docstrings, reference pages and ``--help`` texts are all made from them.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from inspect import Parameter, Signature
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Option:
    """One field of a class of options."""

    name: str
    default: Any
    meaning: str

    @property
    def names(self) -> list[str]:
        """Values in double quotes in the meaning."""
        return re.findall(r'"([^"{}]+)"', self.meaning)


@cache
def options_of(cls: type) -> tuple[Option, ...]:
    """Return the fields of a class of options with their docstrings, in order.

    Raises:
        ValueError: a field has no docstring.
    """
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    meanings = {}
    for field, doc in zip(body.body, body.body[1:], strict=False):
        named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if named and isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
            meanings[field.target.id] = " ".join(str(doc.value.value).split())  # type: ignore[union-attr]
    known = []
    for field in fields(cls):
        if field.name not in meanings:
            raise ValueError(f"{cls.__qualname__}.{field.name} has no docstring")
        known.append(Option(field.name, field.default, meanings[field.name]))
    return tuple(known)


def table(
    *classes: type,
    others: Iterable[tuple[str, str, str]] = (),
    indent: str = "",
    without: Container[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return a Markdown table of all options of some classes: argument, default, meaning.

    Args:
        classes: classes of options.
        others: rows that come first, of arguments that are not options.
        indent: added before each line but the first.
        without: names of options to leave out.
        defaults: defaults that replace those of the classes, by name.
    """
    rows = [("argument", "default", "meaning")]
    rows += [(f"`{name}`", f"`{default}`", meaning) for name, default, meaning in others]
    for cls in classes:
        for option in options_of(cls):
            if option.name not in without:
                default = repr(defaults.get(option.name, option.default)).replace("'", '"')
                rows.append((f"`{option.name}`", f"`{default}`", option.meaning))
    return markdown(rows, indent)


def markdown(rows: list[tuple[str, ...]], indent: str = "") -> str:
    """Return a Markdown table with the first row as header; lines after the first are indented."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    ruled = [rows[0], tuple("-" * width for width in widths), *rows[1:]]
    lines = (
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in ruled
    )
    return f"\n{indent}".join(lines)


def signature(
    *first: Parameter,
    classes: tuple[type, ...],
    without: Container[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Signature:
    """Return a signature of some parameters and, as keywords, the options of some classes.

    Args:
        first: parameters that are not options.
        classes: classes of options.
        without: names of options to leave out.
        defaults: defaults that replace those of the classes, by name.
    """
    keywords = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=defaults.get(field.name, field.default),
            annotation=field.type,
        )
        for cls in classes
        for field in fields(cls)
        if field.name not in without
    ]
    return Signature([*first, *keywords])


def split(given: dict[str, Any], *classes: type) -> list[Any]:
    """Return an object of each class, made from the given options that belong to it."""
    made = []
    for cls in classes:
        names = {field.name for field in fields(cls)}
        made.append(cls(**{name: value for name, value in given.items() if name in names}))
    return made
