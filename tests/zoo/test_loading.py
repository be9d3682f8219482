"""Data sets by name: their options, their folder, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from amc_gym.zoo.datasets import digits, load
from amc_gym.zoo.datasets.__main__ import main


def test_options_follow_the_name_as_in_a_url() -> None:
    assert load("digits?resolution=8") is digits(8)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("digit", "did you mean 'digits'"),
        ("mnist", "choose from 'cifar10', 'digits', 'folder', 'imagenet'"),
        ("digits?resolutoin=8", "unknown option of digits.*did you mean 'resolution'"),
        ("digits?resolution=large", "must be a whole number, not 'large'"),
        ("cifar10?download=perhaps", "unknown download of cifar10.*choose from 'yes', 'no'"),
        ("folder?unreadable=ignore", "unknown option unreadable.*'refuse', 'skip'"),
        ("folder?size=0", "size must be at least 1"),
        ("folder?size=64&resize=32", "resize must be at least the size of 64"),
        ("folder?train=0", "train must be at least 1"),
    ],
)
def test_mistakes_are_answered_with_the_choices(tmp_path: Path, dataset: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(dataset, tmp_path)


def test_the_folder_is_named_or_in_the_environment(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("AMC_DATA_ROOT", raising=False)
    with pytest.raises(ValueError, match=r"data_root=.*environment variable AMC_DATA_ROOT"):
        load("cifar10")
    monkeypatch.setenv("AMC_DATA_ROOT", str(tmp_path))
    with pytest.raises(OSError, match=f"not there in {tmp_path}"):
        load("cifar10")
    with pytest.raises(OSError, match="nowhere is not a folder"):
        load("cifar10", tmp_path / "nowhere")


def test_the_command_says_what_is_there(capsys, tmp_path: Path) -> None:
    main("digits")
    shown = capsys.readouterr().out
    assert "reward            400 images of 1 x 16 x 16" in shown
    assert "10 classes" in shown
    with pytest.raises(SystemExit, match="error: CIFAR-10 is not there"):
        main("cifar10", tmp_path)
