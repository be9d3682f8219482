"""Cached statistics: the same numbers as computed ones; a damaged file is not used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from amc_gym import CompressionTask
from amc_gym.engine import statistics_cache
from amc_gym.engine.analysis import Analysis


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache, and have it take even the smallest task; return its folder."""
    monkeypatch.setenv("AMC_CACHE", str(tmp_path))
    monkeypatch.setattr(statistics_cache, "SMALLEST", 0)
    return tmp_path / "statistics"


def forbidden(*_args, **_kwargs):
    raise AssertionError("statistics are gathered again")


def everything(task: CompressionTask) -> dict[str, torch.Tensor]:
    """Return all statistics of a task that are cached, as a new process would ask for them."""
    found = Analysis(task)
    return {
        **found.grams,
        **{f"saliency {i}": each for i, each in enumerate(found.saliency)},
        **{f"loss {name}": torch.tensor(each) for name, each in found.sensitivity.items()},
    }


def test_the_second_time_nothing_is_gathered(plain_task, cache: Path, monkeypatch) -> None:
    first = everything(plain_task)
    assert len(list(cache.iterdir())) == 3
    for function in ("grams", "saliencies", "sensitivities"):
        monkeypatch.setattr(f"amc_gym.engine.analysis.{function}", forbidden)
    again = everything(plain_task)
    assert list(first) == list(again)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_other_weights_or_images_have_files_of_their_own(plain_task, cache: Path) -> None:
    model, images = plain_task.model, plain_task.calibration
    other = CompressionTask(model, images.first(300), plain_task.reward, plain_task.test)
    for task in (plain_task, other):
        assert Analysis(task).grams
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("how", ["cut", "bit", "foreign"])
def test_a_damaged_or_foreign_file_is_made_again(plain_task, cache: Path, how: str) -> None:
    expected = Analysis(plain_task).grams
    (path,) = cache.iterdir()
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "bit":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        save_file({name: torch.zeros(3) for name in load_file(path)}, path)
    with pytest.warns(UserWarning, match="is damaged: its statistics are computed again"):
        found = Analysis(plain_task).grams
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert statistics_cache._read(path) is not None


def test_what_was_not_used_for_longest_goes_first(plain_task, cache: Path, monkeypatch) -> None:
    assert Analysis(plain_task).grams
    (first,) = cache.iterdir()
    size = first.stat().st_size
    monkeypatch.setenv(statistics_cache.GIGABYTES, str(1.5 * size / 1e9))
    shorter = plain_task.calibration.first(300)
    other = CompressionTask(plain_task.model, shorter, plain_task.reward, plain_task.test)
    assert Analysis(other).grams
    (left,) = cache.iterdir()
    assert left != first


def test_the_cache_can_be_switched_off(plain_task, cache: Path, monkeypatch) -> None:
    monkeypatch.setenv(statistics_cache.GIGABYTES, "0")
    assert Analysis(plain_task).grams
    assert not cache.exists()
    monkeypatch.setenv(statistics_cache.GIGABYTES, "much")
    with pytest.raises(ValueError, match="AMC_STATISTICS_GB must be a number of gigabytes"):
        Analysis(plain_task).grams  # noqa: B018  # it is made here


def test_a_folder_that_cannot_be_written_is_no_failure(plain_task, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="statistics are not cached"):
        assert Analysis(plain_task).grams
