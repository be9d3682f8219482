"""Command lines: how they are read, and what their help says beside the arguments."""

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
"""How words become values, where tyro's own rules are not what help texts should say."""

Spec = PrimitiveConstructorSpec[Any]


@KINDS.primitive_rule
def _optional(kind: PrimitiveTypeInfo) -> Spec | UnsupportedTypeAnnotationError | None:
    """Read ``X | None`` as X, and say X in the help; the word None still means no value."""
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
    """Return what a help text says of a command.

    Args:
        command: a function or class with a docstring.
        whole: all of it, its examples at the end; else the first sentence alone, for a list.
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
    """Return what the command makes that a command line names, called with its arguments.

    Args:
        commands: by their names; classes of arguments, or functions of them.
        given: the command line without the program; nothing asks for help.
        program: as help texts call it.
        description: of the program.
        config: of tyro.

    Raises:
        SystemExit: it is no command (2), or help was asked for (0).
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
