"""Contexts and suites: their names, their files, and refusals of wrong ones."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from amc_gym import CompressionTask, Context, Suite
from amc_gym.suites.suite import bundled, suite_of
from amc_gym.zoo import models, small

FILE = """
format = 1
name = "mine"
summary = "Two networks."

[[networks]]
network = "MobileNet"
preserve_ratios = [0.2, 0.3]
group = "train"

[[networks]]
network = "own"
preserve_ratios = ["default"]
resource = "params"
"""


def test_names_tell_contexts_apart(suite: Suite) -> None:
    names = ["stack/0.4", "stack/0.6", "stack/0.6/params", "pair/default"]
    assert [context.name for context in suite.contexts] == names
    assert list(suite) == list(suite.contexts)
    assert suite.networks == ("stack", "pair")
    assert len(suite.of("stack")) == 3
    assert suite["stack/0.6/params"] is suite.contexts[2]
    made = suite["stack/0.55/params"]
    assert (made.preserve_ratio, made.resource, made.network) == (0.55, "params", "stack")
    assert [context.name for context in suite.part("test").contexts] == names[2:]
    assert copy.deepcopy(suite) is suite


def test_a_file_is_a_suite(tmp_path: Path, plain_task: CompressionTask) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    found = Suite.load(path, tasks={"own": plain_task})
    assert [each.name for each in found.contexts] == [
        *("MobileNet/0.2", "MobileNet/0.3", "own/default/params")
    ]
    assert found.contexts[2].task is plain_task
    assert (found.name, found.summary, found.contexts[0].group) == (
        "mine",
        "Two networks.",
        "train",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[0.2, 0.3]", "[1.2]", r"is not a suite: its networks 0 preserve_ratios 0"),
        ("format = 1", "format = 2", "is not a suite: its format should be 1"),
        ('group = "train"', 'groop = "train"', "its networks 0 groop is unknown"),
        ('"params"', '"joules"', r"the suite .*mine\.toml: unknown resource of a context 'joules'"),
        ("[[networks]]", "[[networks", "is not a suite: "),
        ('"MobileNet"', '"os:getcwd"', r"names the task 'os:getcwd', whose code would run.*tasks="),
        ("[0.2, 0.3]", "[0.2, 0.2]", "has two contexts 'MobileNet/0.2'"),
    ],
)
def test_files_that_are_no_suites_are_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "mine.toml"
    assert old in FILE
    path.write_text(FILE.replace(old, new))
    with pytest.raises(ValueError, match=said):
        Suite.load(path)


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path, rng = tmp_path / "mine.toml", random.Random(0)
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        Suite.load(path)
    said = []
    for _ in range(300):
        content = bytearray(FILE.encode())
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(content))
            if rng.random() < 0.5:
                content[place] = rng.randrange(256)
            else:
                del content[place : place + rng.randint(1, 20)]
        path.write_bytes(content)
        try:
            Suite.load(path)
        except ValueError as error:
            said.append(str(error))
    assert len(said) > 200
    assert all(str(path) in each and each.isprintable() for each in said)


def test_code_runs_on_the_users_word(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE.replace('"own"', '"mine:task"'))
    named = Suite.load(path, tasks={"mine:task": "mine:task"})
    assert named.contexts[2].task == "mine:task"


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a name": (lambda: suite_of("digits-v"), ValueError, "did you mean 'digits-v1'"),
    "no name": (lambda: suite_of(3), TypeError, "suite must be a name, the path"),
    "no file": (lambda: suite_of("nowhere.toml"), OSError, "nowhere.toml"),
    "a module": (lambda: suite_of("nowhere:suite"), ValueError, "cannot be imported"),
    "an attribute": (lambda: suite_of("math:pi"), ValueError, "not a Suite"),
    "nothing": (lambda: Suite("empty", []), ValueError, "no contexts"),
    "no contexts": (lambda: Suite("bad", ["MobileNet"]), TypeError, "list of Context"),
    "no budget": (lambda: Context("MobileNet", None), ValueError, "not None"),
    "a ratio": (lambda: Context("MobileNet", 2), ValueError, r"in \(0, 1\]"),
    "latency": (lambda: Context("MobileNet", resource="latency"), ValueError, "unknown resource"),
    "two lines": (lambda: Context("a\nb"), ValueError, "one line"),
}


@pytest.mark.parametrize(("make", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_wrong_contexts_and_suites_are_refused(
    make: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make()


def test_objects_need_a_name(plain_task: CompressionTask) -> None:
    with pytest.raises(TypeError, match="needs a name"):
        Context(plain_task)


@pytest.mark.parametrize("name", bundled())
def test_bundled_suites_list_what_there_is(name: str) -> None:
    suite = suite_of(name)
    assert suite.name == name
    assert suite.summary
    for context in suite.contexts:
        network = str(context.network)
        if name.startswith("zoo-"):
            split = small.card(network).split
            assert context.group == split or (context.group, split) == ("budgets", "train")
        else:
            assert network in models.NETWORKS
            assert context.dataset in models.NETWORKS[network].variants


def test_no_context_is_to_learn_from_and_to_test_on() -> None:
    suites = {name: suite_of(name) for name in bundled() if name.startswith("zoo-")}
    train = [s for name, s in suites.items() if name.startswith("zoo-train")]
    test = [s for name, s in suites.items() if name.startswith("zoo-test")]
    for one in train:
        for other in test:
            assert not {c.name for c in one.contexts} & {c.name for c in other.contexts}
            new = {c.network for c in other.contexts if c.group != "budgets"}
            assert not new & set(one.networks)
