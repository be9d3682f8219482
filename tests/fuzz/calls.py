"""Generated calls of the public functions, and the contract that each must keep.

A call changes one to three arguments of a valid call.  It may succeed, and then its result is
checked; or it may raise a ValueError or TypeError that names a changed argument (OSError for an
argument that names a file).  Anything else breaks the contract.

``python tests/fuzz/calls.py 10000`` prints how often each was accepted and refused.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fuzz.values import is_no_number, misspelt, odd, spelt

Draw = Callable[[random.Random], Any]
"""A function that draws a value of an argument."""


@dataclass(frozen=True)
class Argument:
    """Rules by which values of one argument are drawn.

    Attributes:
        right: Draws values that are accepted whatever the other arguments are.
        maybe: Draws values that may be accepted or refused, depending on the other arguments.
        wrong: Draws values that are refused.
        number: Whether it is a number, so that booleans, NaN and infinity are refused.
        called: Other names that messages may use for the argument.
        file: Whether it names a file, which may be missing.
    """

    right: Draw | None = None
    maybe: Draw | None = None
    wrong: Draw | None = None
    number: bool = False
    called: tuple[str, ...] = ()
    file: bool = False

    def draw(self, rng: random.Random) -> tuple[Any, bool | None]:
        """Draw a value and whether it must be accepted (True), refused (False) or either (None)."""
        drawn = rng.random()
        if self.right is not None and drawn < 0.5:
            return self.right(rng), True
        if self.maybe is not None and drawn < 0.6:
            return self.maybe(rng), None
        if self.wrong is not None and drawn < 0.82:
            return self.wrong(rng), False
        value = odd(rng)
        return value, False if self.number and is_no_number(value) else None


@dataclass(frozen=True)
class Target:
    """A function under test, its arguments, and a check of its result.

    Attributes:
        call: The function; it takes all arguments by keyword.
        right: Makes valid arguments.
        arguments: Arguments that calls may change.
        check: Asserts that the result keeps the contract; gets the arguments too.
        weight: Frequency of calls relative to other targets.
    """

    call: Callable[..., Any]
    right: Callable[[], dict[str, Any]]
    arguments: Mapping[str, Argument]
    check: Callable[[Any, dict[str, Any], random.Random], None]
    weight: float = 1.0


@dataclass
class Counts:
    """Numbers of accepted and refused calls by target and changed argument.

    ``broken`` describes each call that broke the contract.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return self.accepted["all"] + self.refused["all"]

    def __str__(self) -> str:
        rows = [f"{'call and changed argument':<44}{'accepted':>9}{'refused':>9}"]
        for key in sorted(self.accepted.keys() | self.refused.keys()):
            rows.append(f"{key:<44}{self.accepted[key]:>9}{self.refused[key]:>9}")
        return "\n".join(rows)


class BrokenContractError(AssertionError):
    """A call that broke the contract; the message says how to repeat it."""


def fuzz(targets: Mapping[str, Target], calls: int, seed: int) -> Counts:
    """Make ``calls`` random calls of the targets, and count their outcomes."""
    counts = Counts()
    names, weights = list(targets), [target.weight for target in targets.values()]
    for number in range(calls):
        rng = random.Random(f"{seed}/{number}")
        name = rng.choices(names, weights)[0]
        try:
            _one(name, targets[name], rng, counts, f"seed {seed}, call {number}")
        except BrokenContractError as error:
            counts.broken.append(str(error))
    return counts


def _one(name: str, target: Target, rng: random.Random, counts: Counts, where: str) -> None:
    given = target.right()
    few = min(len(target.arguments), rng.choice((1, 1, 1, 2, 3)))
    changed = rng.sample(list(target.arguments), few)
    verdicts = []
    for argument in changed:
        given[argument], verdict = target.arguments[argument].draw(rng)
        verdicts.append(verdict)
    what = f"{where}: {name}({', '.join(f'{a}={_short(given[a])}' for a in changed)})"
    try:
        result = target.call(**given)
    except Exception as error:
        _check_refusal(error, {a: target.arguments[a] for a in changed}, what)
        if all(verdict is True for verdict in verdicts):
            raise BrokenContractError(f"{what} must be accepted, but {error!r}") from error
        tally = counts.refused
    else:
        if any(verdict is False for verdict in verdicts):
            raise BrokenContractError(f"{what} must be refused, but gave {_short(result)}")
        try:
            target.check(result, given, rng)
        except Exception as error:
            raise BrokenContractError(f"{what} was accepted, but {error!r}") from error
        tally = counts.accepted
    tally["all"] += 1
    for argument in changed:
        tally[f"{name} {argument}"] += 1


def _check_refusal(error: Exception, changed: Mapping[str, Argument], what: str) -> None:
    allowed = (ValueError, TypeError)
    if any(argument.file for argument in changed.values()):
        allowed = (*allowed, OSError)
    if not isinstance(error, allowed):
        raise BrokenContractError(f"{what} raised {type(error).__name__}: {error}") from error
    names = [name for key, a in changed.items() for name in (key, *a.called)]
    if not any(re.search(rf"\b{re.escape(name)}\b", str(error)) for name in names):
        raise BrokenContractError(f"{what} named none of {names}: {error}") from error


def _short(value: Any) -> str:
    try:
        return repr(value)[:80]
    except Exception:
        return type(value).__name__


def names(*available: str) -> tuple[Draw, Draw]:
    """Return two draws: of the available names, and of misspelt ones."""

    def wrong(rng: random.Random) -> str:
        while (name := misspelt(rng, rng.choice(available))) in available:
            pass
        return name

    return lambda rng: rng.choice(available), wrong


def numbers(*available: float) -> Draw:
    """Return a draw of one of these numbers as a random type (int, NumPy, Fraction ...)."""
    return lambda rng: spelt(rng, rng.choice(available))


def some(*made: Callable[[], Any]) -> Draw:
    """Return a draw that calls one of these functions."""
    return lambda rng: rng.choice(made)()


if __name__ == "__main__":
    from fuzz.targets import TARGETS

    found = fuzz(TARGETS, int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(found, *found.broken, sep="\n")
    sys.exit(bool(found.broken))
