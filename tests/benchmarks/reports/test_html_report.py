"""report.html: its content, and how a browser without a network shows it."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import browsing
import pytest
from rich.console import Console
from small_study import variant

from amc_gym import CompressionPlan
from benchmarks.reports.html.wall_clock import timed_curves
from benchmarks.reports.report import write
from benchmarks.reports.statistics import rows_of
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError

HOSTILE = "</script><b>&%{x}"
"""A name of an agent that pages must not treat as markup."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, record: Record) -> Path:
    """Write and report a study: three agents, one of them with two seeds, and a broken file."""
    folder = tmp_path_factory.mktemp("study")
    store = Store(folder)
    for agent, seed, accuracy in (("one", 0, 0.8), ("one", 1, 0.6), ("other", 0, 0.9)):
        store.save(variant(record, agent, seed, accuracy))
    store.save(variant(record, HOSTILE, 0, 0.5))
    (folder / "<half>.json").write_text("{")
    write(folder, Console(quiet=True))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.chromium() as driver:
        yield driver


@pytest.fixture(params=[1200, 390])
def opened(request: pytest.FixtureRequest, browser: Any, folder: Path) -> Any:
    """Open the page on a wide screen and on a phone's, without a network."""
    browsing.open_page(browser, folder / "report.html", request.param)
    return browser


def column(browser: Any, name: str) -> list[str]:
    """Return the cells of a column of the first table, top to bottom."""
    return browser.execute_script(
        """
        const table = document.querySelector("table");
        const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
        const rows = [...table.querySelectorAll("tbody tr")];
        return rows.map((row) => row.cells[heads.indexOf(arguments[0])].textContent);
        """,
        name,
    )


def click(browser: Any, name: str) -> None:
    for button in browser.find_elements("css selector", "table:first-of-type thead button"):
        if button.text == name:
            browser.execute_script("arguments[0].click()", button)
            return
    raise AssertionError(f"no column {name}")


def test_the_page_opens_without_a_network_or_an_error(opened: Any) -> None:
    assert opened.title == "Agents compared"
    assert opened.get_log("browser") == []
    loaded = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    assert [name for name in opened.execute_script(loaded) if not name.startswith("data:")] == []
    # Only tables may be wider than the screen, and they have scroll bars of their own.
    assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_tables_sort_on_click_and_keep_the_full_network_on_top(opened: Any) -> None:
    agents = ["full network", "other", "one", HOSTILE]
    assert column(opened, "agent") == agents  # by test accuracy, as in the other reports
    click(opened, "agent")
    assert column(opened, "agent") == ["full network", HOSTILE, "one", "other"]
    click(opened, "seeds")
    assert column(opened, "seeds")[:2] == ["", "2"]
    click(opened, "test accuracy %")
    falling = column(opened, "agent")
    assert falling == agents
    click(opened, "test accuracy %")
    assert column(opened, "agent") == ["full network", *falling[:0:-1]]


def test_plots_are_drawn(opened: Any) -> None:
    count = "return document.getElementById(arguments[0]).querySelectorAll(arguments[1]).length"
    drawn = {
        # Three lines, and the band of the agent with two seeds; over time, also a dot at each end.
        ("section1-curves", ".scatterlayer .trace"): 4,
        ("section1-seconds", ".scatterlayer .trace"): 7,
        # Two traces for each agent: its best and its evaluated plans.
        ("section1-pareto", ".scatterlayer .trace"): 6,
        ("section1-policies", ".barlayer .trace"): 2,
    }
    for (plot, what), n in drawn.items():
        assert opened.execute_script(count, plot, what) == n, plot
    widths = (
        "return [...document.querySelectorAll('figure')].map((f) => f.scrollWidth - f.clientWidth)"
    )
    assert max(opened.execute_script(widths)) <= 0  # no plot sticks out of its place


def test_lists_choose_what_plots_show(opened: Any, record: Record) -> None:
    shown = """
        const plot = document.getElementById(arguments[0]);
        return plot.data.filter((trace) => trace.visible !== false).map((trace) => trace.y.length);
    """
    units = len(record.full.channels)
    choose = """
        const list = document.querySelector(`select[data-plot="${arguments[0]}"]`);
        list.selectedIndex = arguments[1];
        list.dispatchEvent(new Event("change"));
    """
    # Bars of the full network and of the best seed, and dots of another seed, if there is one.
    assert opened.execute_script(shown, "section1-policies") == [units, units, 0]
    opened.execute_script(choose, "section1-policies", 1)
    assert opened.execute_script(shown, "section1-policies") == [units, units, units]
    title = "return document.getElementById('section1-pareto').layout.xaxis.title.text"
    titles = [opened.execute_script(title)]
    opened.execute_script(choose, "section1-pareto", 1)
    titles.append(opened.execute_script(title))
    assert sorted(titles) == ["MACs kept", "parameters kept"]


def test_every_link_resolves(opened: Any, folder: Path, record: Record) -> None:
    find = "return [...document.links].map((a) => [a.getAttribute('href'), a.download])"
    links = opened.execute_script(find)
    runs = {unquote(href) for href, _ in links if href.endswith(".json")}
    assert runs == {path.name for path in folder.glob("*-seed*.json")}
    plans = [(href, name) for href, name in links if href.startswith("data:")]
    assert len(plans) == len(runs) == 4
    for href, name in plans:
        assert name.removesuffix(".plan.json") + ".json" in runs
        text = base64.b64decode(href.partition("base64,")[2]).decode()
        plan = CompressionPlan.from_json(text)
        assert {unit: len(kept) for unit, kept in plan.kept.items()} == record.best.kept
    assert len(links) == 8


def test_accuracies_come_with_image_counts_and_machine(folder: Path, record: Record) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    ours = text[: text.index("<script>")] + text[text.index("<h1>") :]
    full = record.full
    assert f"test accuracy % (n\u00a0=\u00a0{full.test_images})" in ours
    assert f"{full.reward_images} reward images, which the search saw" in ours
    assert f"torch {record.versions['torch']}" in ours
    assert str(record.machine["cpu"]) in ours
    assert "&lt;half&gt;.json" in ours
    assert HOSTILE not in ours
    assert len(text) < 1_500_000
    assert text.count("plotly.js (basic - minified) v") == 1


def test_settings_of_one_task_share_a_scatter(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    for episodes in (3, 4):
        store.save(variant(record, "one", 0, 0.5, episodes))
    write(tmp_path, Console(quiet=True))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="budgets1"' in text
    for section in ("section1", "section2"):
        assert f'href="#{section}"' in text
        assert f'id="{section}"' in text


def test_curves_in_time_begin_when_every_seed_has_a_plan(record: Record) -> None:
    quick = variant(record, "one", 0, 0.8)
    slow = variant(record, "one", 1, 0.4)
    quick = replace(quick, history=replace(quick.history, seconds=[1.0, 2.0, 3.0]))
    slow = replace(slow, history=replace(slow.history, seconds=[10.0, 20.0, 40.0]))
    (curve,) = timed_curves(rows_of([quick, slow]))
    assert (curve.seconds[0], curve.seconds[-1], curve.ended) == (10, 40, 40)
    # The seeds are at 0.8 and 0.2 after 10 s, and at 0.8 and 0.4 from 20 s on.
    assert curve.reward.value[[0, -1]] == pytest.approx([0.5, 0.6])
    assert curve.reward.value[curve.seconds < 20] == pytest.approx(0.5)
    assert curve.reward.low[0] == pytest.approx(0.2)


def test_without_plotly_the_rest_is_written(
    tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    Store(tmp_path).save(variant(record, "one", 0, 0.5))
    for name in [
        name for name in sys.modules if name.startswith(("plotly", "benchmarks.reports.html"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(BenchmarkError, match=r"pip install -e '.\[benchmarks\]'"):
        write(tmp_path, console)
    assert {path.name for path in tmp_path.glob("report.*")} == {"report.md", "report.csv"}
