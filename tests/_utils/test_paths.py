"""The cache folder: one for everything that can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from amc_gym._utils.paths import cache_root
from amc_gym.engine.latency import cache_folder


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "~/.cache/amc-gym"),
        ({"XDG_CACHE_HOME": "/var/somewhere"}, "/var/somewhere/amc-gym"),
        ({"AMC_CACHE": "/data/amc", "XDG_CACHE_HOME": "/var/somewhere"}, "/data/amc"),
        ({"AMC_CACHE": "~/amc"}, "~/amc"),
        ({"AMC_CACHE": "", "XDG_CACHE_HOME": ""}, "~/.cache/amc-gym"),
    ],
)
def test_the_cache_is_where_its_variables_say(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AMC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(expected).expanduser()
    assert cache_folder() == cache_root() / "latency"
