"""Conversion of arguments to plain Python values: integers, floats, booleans, paths.

Users pass NumPy scalars, fractions and tensors without dimensions.  Options, plans and specs hold
Python's own numbers, which JSON can write and every reader understands.
"""

from __future__ import annotations

import inspect
import math
import os
import reprlib
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Number = int | float | Fraction

LONGEST = 60
"""Characters of a value that an error message quotes."""

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = LONGEST

SHORT_REPR = ("builtins", "numpy", "torch", "fractions", "decimal", "pathlib", "functools")
"""Modules whose objects have a short and cheap ``repr``."""


def real(
    name: str,
    value: object,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    otherwise: str = "",
) -> float:
    """Return a finite real number as a Python float.

    Short NumPy and torch floats become the decimal that they print as: float32's 0.2 is 0.2.

    Args:
        name: of the argument, as the user writes it.
        value: an int, float, fraction or decimal, a NumPy scalar, or an array or tensor without
            dimensions; booleans are not numbers.
        above: exclusive lower bound.
        at_least: inclusive lower bound.
        below: exclusive upper bound.
        at_most: inclusive upper bound.
        otherwise: what else the argument may be, for the message: " or None for no bound".

    Raises:
        TypeError: it is not a real number.
        ValueError: it is not finite, or out of bounds.
    """
    demand = _interval(above, at_least, below, at_most) + otherwise
    number = _float(_number(name, value, demand))
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (at_least is None or number >= at_least)
        and (below is None or number < below)
        and (at_most is None or number <= at_most)
    )
    if not inside:
        raise ValueError(f"{name} must be {demand}, not {shown(value)}")
    return number


def whole(
    name: str,
    value: object,
    *,
    at_least: int | None = None,
    at_most: int | None = None,
    otherwise: str = "",
) -> int:
    """Return a whole number as a Python int; 8.0 is one.

    Args:
        name: of the argument, as the user writes it.
        value: as for ``real``.
        at_least: smallest number allowed.
        at_most: largest number allowed.
        otherwise: what else the argument may be, for the message.

    Raises:
        TypeError: it is not a number.
        ValueError: it is not whole, or out of bounds.
    """
    number = _number(name, value, f"a whole number{otherwise}")
    try:
        found = int(number)
    except (ValueError, OverflowError):  # NaN and infinity
        found = None
    if found is None or found != number:
        raise ValueError(f"{name} must be a whole number{otherwise}, not {shown(value)}")
    low = at_least is not None and found < at_least
    high = at_most is not None and found > at_most
    if low or high:
        demand = f"at least {at_least}{otherwise}" if low else f"at most {at_most}{otherwise}"
        raise ValueError(f"{name} must be {demand}, not {shown(value)}")
    return found


def truth(name: str, value: object) -> bool:
    """Return a boolean as Python's True or False.

    Raises:
        TypeError: it is anything else, including numbers and strings.
    """
    found = _scalar(value) if is_tensor(value) else value
    if isinstance(found, np.ndarray) and found.ndim == 0:
        found = found[()]
    if not isinstance(found, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {described(value)}")
    return bool(found)


def path(name: str, value: object) -> Path:
    """Return the path that a string or path object names.

    Raises:
        TypeError: it is neither.
        ValueError: it is empty, or holds a null character.
    """
    named = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(named, str):
        raise TypeError(f"{name} must be a path, not {described(value)}")
    if not named or "\0" in named:
        raise ValueError(f"{name} must be a path, not {shown(named)}")
    return Path(named)


def function(name: str, value: Any, *arguments: str) -> Callable[..., Any]:
    """Return a function after checking that it takes certain arguments.

    Args:
        name: of the argument, as the user writes it.
        value: the function, or a callable object, but not a class.
        arguments: what it will be called with, in words: "a plan".

    Raises:
        TypeError: it is not a function, takes other arguments, or cannot be hashed.
    """
    demand = f"a function of {' and '.join(arguments)}" if arguments else "a function of nothing"
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name} must be {demand}, not {described(value)}")
    try:
        hash(value)
        inspect.signature(value).bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{name} must be {demand}, not {described(value)}: {error}") from None
    except ValueError:
        pass  # a built-in function without a signature
    return value


def plain(value: Any) -> Any:
    """Return the value with plain Python numbers and with paths as strings.

    Mappings, lists and tuples are converted recursively; everything else stays as it is.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if isinstance(value, bool | np.bool_):
        return bool(value)
    number = _python_number(value)
    if number is None:
        return value
    return number if isinstance(number, int) else _float(number)


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Return whether a value is a tensor, without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def described(value: object) -> str:
    """Return a short description of a value of a wrong type."""
    if (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim > 0:
        kind = "an array" if isinstance(value, np.ndarray) else "a tensor"
        return f"{kind} of shape {tuple(value.shape)} and type {value.dtype}"
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str):
        return f"the string {shown(value)}"
    text = shown(value)
    return text if text.startswith("an object") else f"{type(value).__name__} {text}"


def shown(value: object) -> str:
    """Return a value's ``repr``, cut off if it is long."""
    if (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim > 0:
        return described(value)
    if type(value).__module__ not in SHORT_REPR:
        return f"an object of class {type(value).__name__}"
    text = " ".join(_brief.repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _number(name: str, value: object, demand: str) -> Number:
    """Return a Python number; NaN and infinity are left to the caller."""
    found = _python_number(value)
    if found is None:
        raise TypeError(f"{name} must be {demand}, not {described(value)}")
    return found


def _python_number(value: object) -> Number | None:
    """Convert a number to a Python number; None if it is not a number."""
    found = _scalar(value) if is_tensor(value) else value
    if isinstance(found, np.ndarray) and found.ndim == 0:
        found = found[()]
    if isinstance(found, bool | np.bool_):
        return None
    if isinstance(found, np.floating):
        # The shortest decimal that identifies the number in its type, which the user wrote.
        return float(str(found)) if found.itemsize < 8 else float(found)
    if isinstance(found, Integral):
        return int(found)
    if isinstance(found, Rational):
        return Fraction(int(found.numerator), int(found.denominator))
    if isinstance(found, Decimal):
        return Fraction(found) if found.is_finite() else math.nan
    return float(found) if isinstance(found, Real) else None


def _scalar(tensor: Tensor) -> object:
    """Return a 0-d tensor as a NumPy scalar; the tensor itself if it holds no number."""
    import torch  # loaded already, as there is a tensor

    if tensor.ndim > 0 or tensor.is_meta or tensor.is_sparse:
        return tensor
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float64):
        tensor = tensor.float()  # NumPy has no bfloat16 and no shorter types
    return np.asarray(tensor.cpu())[()]


def _float(number: Number) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _interval(
    above: float | None, at_least: float | None, below: float | None, at_most: float | None
) -> str:
    low = above if at_least is None else at_least
    high = below if at_most is None else at_most
    if low is not None and high is not None:
        opening, closing = "(" if at_least is None else "[", ")" if at_most is None else "]"
        return f"in {opening}{low}, {high}{closing}"
    if low is not None:
        return f"above {low}" if at_least is None else f"at least {low}"
    if high is not None:
        return f"below {high}" if at_most is None else f"at most {high}"
    return "a finite number"
