"""Damaged files of every kind: they are read, or refused by one error with one line."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz.mutations import damaged

import amc_gym
from amc_gym import CompressionPlan, ExportError, PlanError
from amc_gym.__main__ import main
from amc_gym.compression.handover.export import description_of
from amc_gym.compression.latency.table import Device, Grid, LatencyTable
from amc_gym.compression.latency.timing import LatencyError
from amc_gym.zoo import bundled
from amc_gym.zoo.small import store
from benchmarks.__main__ import main as benchmarks_main
from benchmarks.finetuning.outcomes import Outcome, load_all
from benchmarks.leaderboard.submission import Entry, Submission, SubmissionError
from benchmarks.studies.records import Record, RecordError, Store

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "mobilenet-digits"
TUNED = BENCHMARKS / "results" / "cifar10" / "mobilenet-40" / "finetuned"

TIMES = 300
"""Number of damaged files of each kind."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of file that the package reads.

    Attributes:
        document: Content of a valid file.
        path: Path at which it is read.
        read: Reads the file, and uses what it has read.
        errors: Exceptions that may be raised.
        seal: Puts the checksums of a changed document right.
    """

    document: Document
    path: Path
    read: Callable[[], Any]
    errors: tuple[type[Exception], ...]
    seal: Callable[[Document], Document] = lambda document: document


def sealed(document: Document, *, ordered: bool, left_out: tuple[str, ...] = ()) -> Document:
    """Return a document with its checksum, if it can be written as JSON."""
    content = {name: value for name, value in document.items() if name != "sha256"}
    counted = {name: value for name, value in content.items() if name not in left_out}
    with suppress(ValueError, TypeError):  # numbers too long to be written
        text = json.dumps(counted, sort_keys=ordered, separators=(",", ":"))
        content = {"sha256": hashlib.sha256(text.encode()).hexdigest()} | content
    return content


@pytest.fixture(scope="module")
def small_plan(plain_task) -> CompressionPlan:
    return amc_gym.search(plain_task, 1, progress=False)


@pytest.fixture(scope="module")
def digits_plan() -> CompressionPlan:
    return amc_gym.search("MobileNet", 1, progress=False)


@pytest.fixture
def plan(small_plan, plain_task, tmp_path: Path) -> Kind:
    path = tmp_path / "plan.json"

    def read() -> None:
        loaded = CompressionPlan.load(path)
        assert CompressionPlan.from_json(loaded.to_json()) == loaded
        validation = amc_gym.validate(plain_task, loaded)
        assert all(map(str.isprintable, validation.problems))

    document = json.loads(small_plan.to_json())
    return Kind(document, path, read, (PlanError,), lambda d: sealed(d, ordered=False))


@pytest.fixture
def listed_plan(plan: Kind, small_plan) -> Kind:
    """Make a plan's file in format 1, which lists channels."""
    kept = {name: list(channels) for name, channels in small_plan.kept.items()}
    return replace(plan, document=plan.seal(plan.document | {"format": 1, "kept": kept}))


@pytest.fixture
def table(tmp_path: Path) -> Kind:
    path = tmp_path / "table.json"
    made = LatencyTable(
        Device("Some processor", "torch", "2.9", 1, 1),
        {"conv": Grid((4, 8), (2, 6), ((10, 20), (15, 40))), "fc": Grid((1,), (3,), ((7,),))},
        overhead=7,
        block=8,
    )
    document = json.loads(made.save(path).read_text())
    parts = ("format", "portable")
    return Kind(
        document,
        path,
        lambda: LatencyTable.load(path),
        (LatencyError,),
        lambda d: sealed(d, ordered=True, left_out=parts),
    )


@pytest.fixture
def description(small_plan, plain_task, tmp_path: Path) -> Kind:
    network = amc_gym.compress(plain_task, small_plan)
    path = amc_gym.export(network, plain_task, tmp_path / "small.safetensors").path
    image = plain_task.example

    def read() -> None:
        with torch.inference_mode():
            assert amc_gym.load(path, plain_task.model)(image).shape == (1, 5)
        amc_gym.load(path, task=plain_task)

    document = json.loads(description_of(path).read_text())
    return Kind(document, description_of(path), read, (ExportError,))


@pytest.fixture
def named_description(digits_plan, digits_task, tmp_path: Path) -> Kind:
    """Make a description that names a registered network."""
    network = amc_gym.compress(digits_task, digits_plan)
    path = amc_gym.export(network, digits_task, tmp_path / "small.safetensors").path
    document = json.loads(description_of(path).read_text())
    # ValueError: the description names no network, or another data set, or code.
    return Kind(document, description_of(path), lambda: amc_gym.load(path), (ValueError,))


@pytest.fixture
def card(tmp_path: Path) -> Kind:
    document = json.loads((bundled.DIRECTORY / "plain20-digits.json").read_text())
    path = tmp_path / "plain20-digits.json"
    # ValueError: the card is that of another network.
    return Kind(
        document, path, lambda: bundled.find("Plain20", "digits", tmp_path), (OSError, ValueError)
    )


@pytest.fixture
def small_cards(tmp_path: Path) -> Kind:
    document = json.loads((store.DIRECTORY / store.CARDS).read_text())
    few = dict(list(document["networks"].items())[:2])
    document |= {"networks": few, "left_out": {"plain-digits-99": "why"}}
    return Kind(document, tmp_path / store.CARDS, lambda: store.read(tmp_path), (OSError,))


@pytest.fixture
def submission(digits_plan, tmp_path: Path) -> Kind:
    options = digits_plan.options
    entries = tuple(Entry(f"plans/{seed}.json", seed, 3, "0" * 64) for seed in range(3))
    made = Submission(
        "mine", ("Ada",), "me", "so", "AMC-MobileNet-v0", "digits", "bundled", options, entries
    )
    path = made.write(tmp_path)
    document = json.loads(path.read_text())
    return Kind(document, path, lambda: Submission.read(tmp_path), (SubmissionError,))


@pytest.fixture
def record(tmp_path: Path) -> Kind:
    (original,) = [each for each in Store(RESULTS).load()[0] if each.run.agent == "uniform"]
    path = Store(tmp_path).path(original.run)

    def read() -> None:
        made = Record.from_json(path.read_text(encoding="utf-8", errors="surrogateescape"))
        assert sum(made.best.kept.values()) > 0
        assert Record.from_json(made.to_json()) == made

    def read_folder() -> None:
        if path.is_file() and path.stat().st_size < 10**7:
            read()
        records, foreign = Store(tmp_path).load()
        if not records:
            raise RecordError("; ".join(foreign.values()) or "there is no record")

    document = json.loads(original.to_json())
    parts = ("format",)
    return Kind(
        document,
        path,
        read_folder,
        (RecordError,),
        lambda d: sealed(d, ordered=True, left_out=parts),
    )


@pytest.fixture
def outcome_file(tmp_path: Path) -> Kind:
    original = next(each for each in load_all(TUNED) if each.agent == "uniform")
    path = original.save(tmp_path)
    document = json.loads(path.read_text())
    return Kind(document, path, lambda: Outcome.load(path).after.accuracy, (ValueError,))


KINDS = (
    "record",
    "outcome_file",
    "plan",
    "listed_plan",
    "table",
    "description",
    "named_description",
    "card",
    "small_cards",
    "submission",
)


def outcome(kind: Kind) -> str:
    """Read a file and say how it went; fail unless it is read or refused in one line."""
    refused: Exception | None = None
    try:
        kind.read()
    except kind.errors as error:
        refused = error
    if refused is None:
        return "read"
    text = str(refused)
    assert text.strip(), repr(refused)
    assert text.isprintable(), text
    assert len(text) < 3000, text[:200]
    return type(refused).__name__


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_read_or_refused(name: str, request: pytest.FixtureRequest) -> None:
    kind: Kind = request.getfixturevalue(name)
    rng = random.Random(name)
    kind.path.write_text(json.dumps(kind.document))
    assert outcome(kind) == "read"
    outcomes = []
    for _ in range(TIMES if name != "named_description" else TIMES // 3):
        content = damaged(kind.document, kind.seal, rng)
        kind.path.write_bytes(content)
        try:
            outcomes.append(outcome(kind))
        except BaseException:
            print(f"on {content[:2000]!r}")
            raise
    assert outcomes.count("read") < len(outcomes) / 2
    assert set(outcomes) - {"read"}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_file_of_ours_is_refused(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kind: Kind = request.getfixturevalue(name)
    errors = (*kind.errors, OSError)
    path = kind.path
    path.unlink(missing_ok=True)
    with pytest.raises(errors):
        kind.read()
    path.mkdir()
    with pytest.raises(errors):
        kind.read()
    path.rmdir()
    os.mkfifo(path)  # opening it would block for ever
    with pytest.raises(errors):
        kind.read()
    path.unlink()
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # sparse: takes no disk, but reading it takes 3 GiB of memory
    with pytest.raises(errors):
        kind.read()


def test_commands_end_with_one_line(
    digits_plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    document, rng = json.loads(digits_plan.to_json()), random.Random(0)
    commands = (
        ["validate", "plan.json"],
        ["compress", "plan.json", "--out", "s.safetensors", "--force"],
        ["validate", "plan.json", "--task", "os:getcwd"],
    )
    statuses = []
    for number in range(90):
        content = damaged(document, lambda d: sealed(d, ordered=False), rng)
        Path("plan.json").write_bytes(content)
        statuses.append(main(commands[number % len(commands)]))
        err = capsys.readouterr().err
        if statuses[-1]:
            assert statuses[-1] == 1
            assert err.startswith("amc-gym: ")
            assert err.count("\n") == 1
            assert err[:-1].isprintable()
    assert statuses.count(1) > 45


def test_submissions_are_ruled_on_whatever_they_hold(submission, tmp_path: Path, capsys) -> None:
    rng, statuses = random.Random(1), []
    for _ in range(60):
        submission.path.write_bytes(damaged(submission.document, submission.seal, rng))
        statuses.append(benchmarks_main(["validate", str(tmp_path)]))
        captured = capsys.readouterr()
        if statuses[-1] == 1:
            assert "rejected" in captured.out
        else:
            assert captured.err.count("\n") == 1
        assert "\x1b" not in captured.out + captured.err
    assert set(statuses) == {1, 2}
