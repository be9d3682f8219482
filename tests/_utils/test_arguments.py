"""Conversion of arguments to plain Python values, and refusals that name the argument."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from amc_gym._utils.arguments import function, path, plain, real, shown, truth, whole
from amc_gym._utils.names import choose

HALVES = [
    0.5,
    Fraction(1, 2),
    Decimal("0.5"),
    np.float16(0.5),
    np.float32(0.5),
    np.float64(0.5),
    np.longdouble(0.5),
    np.array(0.5),
    torch.tensor(0.5),
    torch.tensor(0.5, dtype=torch.bfloat16),
    torch.tensor(0.5, dtype=torch.float64, requires_grad=True),
]
EIGHTS = [8, 8.0, Fraction(8), Decimal(8), np.int8(8), np.uint64(8), np.float32(8), np.array(8)]
EIGHTS += [torch.tensor(8), torch.tensor(8.0)]
NO_NUMBERS = [None, True, np.bool_(True), torch.tensor(True), "0.5", "8", b"8", 1j, [1], (), {}]
NO_NUMBERS += [
    np.array([1]),
    torch.ones(1),
    np.array("8"),
    object,
    int,
    torch.empty((), device="meta"),
]
NO_NUMBERS += [torch.tensor(1j), np.datetime64(1, "s")]


@pytest.mark.parametrize("value", HALVES, ids=repr)
def test_every_kind_of_real_number_becomes_a_float(value):
    found = real("share", value, above=0, at_most=1)
    assert type(found) is float
    assert found == 0.5


@pytest.mark.parametrize("value", EIGHTS, ids=repr)
def test_every_kind_of_whole_number_becomes_an_int(value):
    found = whole("count", value, at_least=1)
    assert type(found) is int
    assert found == 8


@pytest.mark.parametrize("value", NO_NUMBERS, ids=shown)
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^share must be"):
        real("share", value)
    with pytest.raises(TypeError, match=r"^count must be a whole number"):
        whole("count", value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -np.inf, Decimal("NaN"), 10**400])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match=r"^share must be a finite number"):
        real("share", value)
    if value != 10**400:
        with pytest.raises(ValueError, match=r"^count must be a whole number"):
            whole("count", value)


def test_a_short_float_is_the_decimal_that_was_written():
    assert real("share", np.float32(0.2)) == real("share", torch.tensor(0.2)) == 0.2
    assert real("share", np.float16(0.1)) == 0.1


@pytest.mark.parametrize(
    ("bounds", "value", "demand"),
    [
        ({"above": 0, "at_most": 1}, 0, r"in \(0, 1\], not 0"),
        ({"above": 0, "at_most": 1}, 1.01, r"in \(0, 1\]"),
        ({"at_least": 0, "below": 1}, 1, r"in \[0, 1\)"),
        ({"at_least": 0}, -1e-9, "at least 0"),
        ({"above": 0}, 0, "above 0"),
        ({"below": 2}, 2, "below 2"),
        ({"at_most": 2, "otherwise": " or None"}, 3, "at most 2 or None, not 3"),
    ],
)
def test_bounds_are_named(bounds, value, demand):
    with pytest.raises(ValueError, match=f"^share must be {demand}"):
        real("share", value, **bounds)


@pytest.mark.parametrize("value", [0.5, Fraction(1, 3), np.float32(2.5), torch.tensor(0.1)])
def test_fractions_are_no_whole_numbers(value):
    with pytest.raises(ValueError, match=r"^count must be a whole number"):
        whole("count", value)


def test_whole_numbers_have_bounds_too():
    assert whole("count", 2**70) == 2**70
    with pytest.raises(ValueError, match="at least 1, not 0"):
        whole("count", 0, at_least=1)
    with pytest.raises(ValueError, match="count must be at most 4, not 5"):
        whole("count", 5, at_least=1, at_most=4)


def test_booleans_are_no_numbers():
    assert truth("flip", np.bool_(True)) is True
    assert truth("flip", torch.tensor(False)) is False
    for value in (0, 1, "yes", None, np.array([True]), torch.empty((), device="meta")):
        with pytest.raises(TypeError, match="flip must be True or False"):
            truth("flip", value)


def test_paths():
    assert path("file", "a/b") == path("file", Path("a/b")) == Path("a/b")
    for value in (None, 3, b"a", True, ["a"]):
        with pytest.raises(TypeError, match="file must be a path"):
            path("file", value)
    for value in ("", "a\0b"):
        with pytest.raises(ValueError, match="file must be a path"):
            path("file", value)


def test_plain_keeps_what_is_no_number_and_can_be_written():
    task = object()
    kept = plain({"task": task, "share": np.float32(0.3), "sizes": (np.int64(1), Fraction(1, 2))})
    assert kept["task"] is task
    assert json.dumps({k: v for k, v in kept.items() if k != "task"}) == (
        '{"share": 0.3, "sizes": [1, 0.5]}'
    )
    assert plain(np.bool_(False)) is False
    assert plain({"root": Path("a"), "name": np.str_("b")}) == {"root": "a", "name": "b"}
    assert type(plain(np.str_("b"))) is str


def test_choices_are_strings():
    assert type(choose("resource", np.str_("macs"), ["macs", "params"])) is str
    for value in (None, 3, ["macs"], np.array(["macs"]), torch.zeros(2)):
        with pytest.raises(TypeError, match=r"^resource must be one of 'macs', 'params', not"):
            choose("resource", value, ["macs", "params"])
    with pytest.raises(ValueError, match=r"unknown resource 'x+\.\.\.x+';"):
        choose("resource", "x" * 10**6, ["macs"])


def test_shown_values_are_short_even_where_repr_fails():
    class Rude:
        def __repr__(self):
            raise RuntimeError

    assert shown(Rude()) == "an object of class Rude"
    assert len(shown("x" * 1000)) == 60


def test_functions_of_other_arguments_are_refused():
    assert function("found", print, "a plan") is print
    assert function("found", lambda plan: 1, "a plan")
    assert function("task", lambda: 1)
    for value in (None, "print", int, lambda: 1, lambda a, b: 1, [1]):
        with pytest.raises(TypeError, match="found must be a function of a plan, not"):
            function("found", value, "a plan")

    class Unhashable:
        def __eq__(self, other):
            return True

        def __call__(self, plan): ...

    with pytest.raises(TypeError, match="unhashable"):
        function("found", Unhashable(), "a plan")
