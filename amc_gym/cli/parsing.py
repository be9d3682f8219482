"""Parsing of command lines, and the parts of their help besides the arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Union, get_args

import docstring_parser
import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

KINDS = ConstructorRegistry()
"""Conversions of words to values where tyro's own would give poor help texts."""

Spec = PrimitiveConstructorSpec[Any]


@KINDS.primitive_rule
def _optional(kind: PrimitiveTypeInfo) -> Spec | UnsupportedTypeAnnotationError | None:
    """Parse ``X | None`` as X, and show X in the help; the word None still means no value."""
    inner = [each for each in get_args(kind.type) if each is not NoneType]
    if len(inner) != 1 or NoneType not in get_args(kind.type):
        return None
    spec = KINDS.get_primitive_spec(PrimitiveTypeInfo.make(inner[0], kind.markers))
    if isinstance(spec, UnsupportedTypeAnnotationError):
        return spec

    def value_of(words: list[str]) -> Any:
        return None if words == ["None"] else spec.instance_from_str(words)

    return PrimitiveConstructorSpec(
        nargs=spec.nargs,
        metavar=spec.metavar,
        choices=spec.choices,
        instance_from_str=value_of,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: (
            ["None"] if value is None else spec.str_from_instance(value)
        ),
    )


def examples(command: Callable[..., Any]) -> list[str]:
    """Return the command lines under ``Examples:`` in a command's docstring."""
    parsed = docstring_parser.parse(command.__doc__ or "")
    text = "\n".join(each.description or "" for each in parsed.examples)
    return [line for line in text.splitlines() if line]


def described(command: Callable[..., Any], *, whole: bool = True) -> str:
    """Return what a help text says about a command.

    Args:
        command: a function or class with a docstring.
        whole: whether to return all of it, with examples at the end, or only the first sentence.
    """
    parsed = docstring_parser.parse(command.__doc__ or "")
    parts = [parsed.short_description or ""]
    if whole:
        parts += [parsed.long_description] if parsed.long_description else []
        lines = [f"  {line}" for line in examples(command)]
        parts += ["\n".join(["Examples:", *lines])] if lines else []
    return "\n\n".join(parts)


def parsed(
    commands: Mapping[str, Callable[..., Any]],
    given: Sequence[str],
    program: str,
    description: str,
    config: Sequence[Any] = (),
) -> Any:
    """Parse a command line and return the result of its command.

    Args:
        commands: by their names; classes of arguments, or functions of them.
        given: the command line without the program; an empty one asks for help.
        program: name of the program in help texts.
        description: of the program.
        config: for tyro.

    Raises:
        SystemExit: with 2 if it is not a command, with 0 if help was asked for.
    """
    named = given[0] if given else None
    kinds = [
        Annotated[
            Any,
            tyro.conf.subcommand(
                name=name,
                constructor=command,
                description=described(command, whole=name == named),
            ),
        ]
        for name, command in commands.items()
    ]
    return tyro.cli(
        Union[tuple(kinds)],  # type: ignore[arg-type]  # noqa: UP007 - made at run time
        prog=program,
        description=description,
        args=list(given) or ["--help"],
        config=config,
        registry=KINDS,
    )
