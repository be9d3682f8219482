"""Declaration of options: each is declared once, and everything that lists them has all."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields

import pytest

from amc_gym._utils.options import options_of, table
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import OPTIONS, make_env

CONTRACT = set(
    [
        "task",
        "dataset",
        "data_root",
        "weights",
        "resource",
        "preserve_ratio",
        "granularity",
        "reward",
        "metric",
        "action_mode",
        "observation",
        "importance",
        "recovery",
        "max_sparsity",
        "channel_multiple",
        "reward_images",
        "precision",
        "evaluation",
        "runtime",
        "latency_table",
        "device",
        "render_mode",
    ]  # twenty lines otherwise
)


@dataclass(frozen=True)
class Example:
    size: int = 3
    """how large it is,
    in pixels"""

    name: str = "one"
    """what it is called"""


def test_each_field_has_its_meaning():
    found = [(option.name, option.default, option.meaning) for option in options_of(Example)]
    assert found == [
        ("size", 3, "how large it is, in pixels"),
        ("name", "one", "what it is called"),
    ]
    assert table(Example).splitlines()[-1] == (
        '| `name`   | `"one"` | what it is called          |'
    )


def test_a_field_without_meaning_is_refused():
    @dataclass(frozen=True)
    class Silent:
        size: int = 3

    with pytest.raises(ValueError, match=r"Silent\.size has no docstring"):
        options_of(Silent)


def test_keywords_are_those_of_the_contract():
    assert set(inspect.signature(make_env).parameters) == CONTRACT


def test_the_page_names_every_keyword():
    page = inspect.getdoc(AMCEnv) or ""
    for cls in OPTIONS:
        for option in options_of(cls):
            assert option.meaning in page
        assert len(options_of(cls)) == len(fields(cls))
    assert "{arguments}" not in page
    assert "{action_modes}" not in page
    assert "{observations}" not in page


def test_an_unknown_keyword_is_pythons_own_error():
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'frameskip'"):
        make_env("Plain20", frameskip=1)
