"""Comparison with earlier results: within their interval or not, and by how much."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from small_study import variant

from benchmarks.__main__ import main
from benchmarks.reports.against import compared
from benchmarks.reports.sections import sections_of
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError


@pytest.fixture
def there(tmp_path: Path, record: Record) -> Path:
    """Make earlier results: "one" has 60 and 80 % (50 and 70 % on test images), "rule" one run."""
    store = Store(tmp_path / "there")
    store.prepare()
    for agent, seed, accuracy in (("one", 0, 0.6), ("one", 1, 0.8), ("rule", 0, 0.5)):
        store.save(variant(record, agent, seed, accuracy))
    return store.folder


def shown(records: Sequence[Record], folder: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    for each in compared(sections_of(records), folder):
        console.print(each, soft_wrap=isinstance(each, str))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def line(text: str, agent: str) -> list[str]:
    (found,) = [row for row in text.splitlines() if row.startswith(f"│ {agent} ")]
    return [cell.strip() for cell in found.strip("│").split("│")]


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (0.6, "within"),
        (0.7, "within"),
        (0.8, "within"),
        (0.55, "below by 5.0"),
        (1, "above by 20.0"),
    ],
)
def test_an_agent_is_within_or_not(
    there: Path, record: Record, accuracy: float, verdict: str
) -> None:
    text = shown([variant(record, "one", seed, accuracy) for seed in range(2)], there)
    assert line(text, "one") == [
        "one",
        f"{100 * accuracy:.1f}",
        "70.0 [60.0, 80.0]",
        verdict,
        f"{100 * accuracy - 10:.1f}",
        "60.0 [50.0, 70.0]",
        verdict,
    ]
    assert f"{int(verdict == 'within')} of 1 agents are within the intervals" in text


def test_a_single_earlier_run_has_to_be_met_exactly(there: Path, record: Record) -> None:
    assert line(shown([variant(record, "rule", 0, 0.5)], there), "rule")[3] == "within"
    text = shown([variant(record, "rule", 0, 0.51)], there)
    assert line(text, "rule")[3] == "above by 1.0"


def test_what_cannot_be_compared_is_said(there: Path, record: Record) -> None:
    text = shown([variant(record, "one", 0, 0.7), variant(record, "new", 0, 0.7)], there)
    assert f"not in {there}: new" in text
    assert "with another number of seeds there: one" in text
    assert "fingerprint" not in text
    other = variant(record, "one", 0, 0.7)
    run = replace(other.run, setting=replace(other.run.setting, task="0" * 64))
    assert "the task has another fingerprint" in shown([replace(other, run=run)], there)
    text = shown([variant(record, "one", 0, 0.7, episodes=4)], there)
    assert "nothing in" in text
    assert "3 evaluations" in text
    with pytest.raises(BenchmarkError, match="to compare with"):
        shown([record], there / "nowhere")


def test_an_agent_is_compared_whichever_code_it_had(there: Path, record: Record) -> None:
    known = variant(record, "one", 1, 0.9)
    records = [
        variant(record, "one", 0, 0.7),
        replace(known, run=replace(known.run, code="f" * 16)),
    ]
    text = shown(records, there)
    assert line(text, "one (code unknown)")[3] == "within"
    assert line(text, "one (code ffffff)")[3] == "above by 10.0"


def test_from_the_command_line(
    tmp_path: Path, there: Path, record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    Store(tmp_path / "here").save(variant(record, "one", 0, 0.7))
    assert main(["report", str(tmp_path / "here"), "--against", str(there)]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 agents are within the intervals of" in said.replace("\n", " ")
    assert said.rstrip().endswith(f"the page, for a browser: {tmp_path / 'here' / 'report.html'}")
