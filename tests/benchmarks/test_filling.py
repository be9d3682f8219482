"""Tables in pages: each is the one that its results give."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.filling import cells
from benchmarks.filling.cells import RESULTS
from benchmarks.filling.command import ROOT, pages
from benchmarks.filling.markers import BEGIN, END, filled
from benchmarks.filling.paper import FILE, figures_of, paper
from benchmarks.filling.tables import table
from benchmarks.studies.runs import BenchmarkError


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_tables_in_prose_are_those_of_their_results(page: Path) -> None:
    """Compare a page's tables with results; ``python -m benchmarks fill`` updates them."""
    text = page.read_text("utf-8")
    assert filled(text, table) == text


def test_the_pages_with_results_have_filled_tables() -> None:
    found = {
        page.relative_to(ROOT).as_posix().removeprefix("docs/"): len(
            BEGIN.findall(page.read_text("utf-8"))
        )
        for page in pages()
    }
    wanted = {"README.md": 2, "results.md": 24, "which-agent.md": 6, "performance.md": 10}
    wanted |= {
        "paper.md": 8,
        "data.md": 1,
        "reproduce.md": 1,
        "latency.md": 5,
        "hand-over.md": 1,
        "networks.md": 4,
        "suites.md": 10,
        "zoo.md": 2,
        "deploy.md": 2,
        "objectives.md": 1,
    }
    assert wanted == {name: number for name, number in found.items() if number}


def test_links_to_results_lead_somewhere() -> None:
    for page in pages():
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_a_figure_changed_by_hand_is_found_and_put_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    right = pages()[0].read_text("utf-8")
    page.write_text(right.replace("91.6 [89.2, 93.6]", "92.6 [89.2, 93.6]"))
    assert page.read_text() != right
    assert main(["fill", str(page), "--check"]) == 1
    assert "page.md differs from its results" in capsys.readouterr().out
    assert page.read_text() != right
    assert main(["fill", str(page)]) == 0
    assert page.read_text() == right
    assert main(["fill", str(page), "--check"]) == 0


def test_a_result_that_changes_changes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = table(["agents", "mobilenet-digits"])
    shutil.copytree(RESULTS / "mobilenet-digits", tmp_path / "mobilenet-digits")
    report = tmp_path / "mobilenet-digits" / "report.csv"
    report.write_text(report.read_text().replace(",0.804,", ",0.123,"))
    monkeypatch.setattr(cells, "RESULTS", tmp_path)
    after = table(["agents", "mobilenet-digits"])
    changed = [line for line in after if line not in before]
    assert changed == ["| uniform | 1 | 1 | 80.5 | 12.3 | 20.0 |"]


def test_what_is_around_a_table_stays() -> None:
    text = f"a\n\n<!-- table: x 1 -->\nold\n\nolder\n{END}\nb\n<!-- table: y -->\n{END}\n"
    made = {("x", "1"): ["| new |"], ("y",): []}
    new = f"a\n\n<!-- table: x 1 -->\n| new |\n{END}\nb\n<!-- table: y -->\n{END}\n"
    assert filled(text, lambda words: made[tuple(words)]) == new
    assert filled("no table\n", lambda words: []) == "no table\n"


@pytest.mark.parametrize(
    "text",
    ["<!-- table: x -->\n", f"{END}\n", f"<!-- table: x -->\n<!-- table: y -->\n{END}\n"],
)
def test_half_a_marker_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="end"):
        filled(text, lambda words: [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("agent mobilenet-digits", "did you mean 'agents'"),
        ("agents nowhere", "nowhere"),
        ("agents", "no table 'agents' can be made"),
        ("copy signals/signals.md 9", "no table"),
    ],
)
def test_an_unknown_table_is_one_line(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"<!-- table: {words} -->\n{END}\n")
    assert main(["fill", str(page)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_papers_figures_stand_beside_those_on_the_same_images_alone() -> None:
    assert figures_of("cifar10/plain20-50")["error-allocation"] == "AMC 86.4 → 90.2"
    assert figures_of("imagenette/mobilenet-50") == {}


def test_figures_of_the_paper_that_were_not_run_are_named() -> None:
    rows = [line for line in paper("vgg16") if "| SPP |" in line]
    assert rows[0].startswith("| SPP | -2.3 | not run |")


@pytest.mark.parametrize(
    ("name", "agent", "wrong", "folder"),
    [("plain20", "shallow", "shalow", "plain20-50"), ("stages", "evolution", "cma-es", "stages")],
)
def test_a_claim_without_its_result_is_refused(
    name: str,
    agent: str,
    wrong: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damaged = FILE.read_text("utf-8").replace(f'agent = "{agent}"', f'agent = "{wrong}"')
    monkeypatch.setattr("benchmarks.filling.paper.FILE", tmp_path / "paper.toml")
    (tmp_path / "paper.toml").write_text(damaged, "utf-8")
    with pytest.raises(BenchmarkError, match=f"{folder} has no result of '{wrong}'"):
        paper(name)
