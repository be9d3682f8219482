"""Reports on trials: tables that follow from their rows, and figures."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.reports.ends import APART, apart
from benchmarks.reports.statistics import iqm
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer import report, rows
from benchmarks.transfer.rows import AFTER, Row
from benchmarks.transfer.summary import Summary, family_of

NETWORKS = {
    "budgets": ("vgg-digits-0", "plain-digits-0", "residual-digits-0"),
    "members": ("vgg-digits-3", "plain-glyphs-3", "residual-digits-3"),
    "family": ("inverted-digits-0", "inverted-digits-1", "inverted-glyphs-0"),
    "cifar10": ("ResNet56",),
}

AGENTS = {"uniform": 1, "error-allocation": 40, "random-shares": 100, "gp": 40, "cma-es": 400}


def trial(group: str, network: str, agent: str, policy: str, most: int, score: float) -> Row:
    after = {f"after {n}": score * np.log(n + 1) / 4 if n <= most else None for n in AFTER}
    named = {"context": f"{network}/0.5", "network": network, "group": group, "agent": agent}
    return {**named, "policy": policy, "code": "", "seed": 0, **after, "seconds": 1.0}


def trials() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    for group, networks in NETWORKS.items():
        for network in networks:
            for agent, most in AGENTS.items():
                yield trial(group, network, agent, "", most, rng.uniform())
            for size in (5, 59):
                for seed in range(2):
                    policy = f"mine <b>-n{size}-s{seed}"
                    yield trial(group, network, "amc-policy", policy, 40, rng.uniform() + size / 59)
    yield trial("members", "vgg-digits-3", "sb3-policy", "sac-s0", 1, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("transfer")
    rows.save(made / "trials.parquet", trials())
    return made


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    console = Console(record=True, width=250)
    report.write(folder, console)
    return console.export_text()


@pytest.fixture(scope="module")
def summary(folder: Path) -> Summary:
    return Summary(rows.load(folder / "trials.parquet"))


def test_groups_go_from_near_to_far(summary: Summary, printed: str) -> None:
    assert summary.groups == list(NETWORKS)
    assert summary.policies == ["mine <b>", "sac"]
    places = [printed.index(f"{group}: ") for group in NETWORKS]
    assert places == sorted(places)
    assert "sac has 1 of 3 contexts" in printed


def test_scores_are_of_trainings_on_most_networks(summary: Summary) -> None:
    found = summary.curves["family"]["mine <b>"]
    wanted = [
        np.mean(
            [r["after 4"] for r in summary.rows if r["network"] == n and "-n59-" in r["policy"]]
        )
        for n in NETWORKS["family"]
    ]
    assert found[4].value == pytest.approx(iqm(np.array(wanted)))
    assert list(found) == [1, 4, 10, 16, 40]


def test_differences_are_on_the_same_contexts(summary: Summary) -> None:
    found, networks = summary.differences["members"]["mine <b>", 4, "gp", 40]
    mine, theirs = (
        [
            np.mean([r[key] for r in summary.rows if r["network"] == n and fits(r)])
            for n in NETWORKS["members"]
        ]
        for key, fits in (
            ("after 4", lambda r: "-n59-" in r["policy"]),
            ("after 40", lambda r: r["agent"] == "gp"),
        )
    )
    assert networks == 3
    assert found.value == pytest.approx(iqm(np.array(mine) - np.array(theirs)))
    assert summary.differences["members"]["sac", 1, "uniform", 1][1] == 1


def test_families_are_those_of_the_zoo(summary: Summary) -> None:
    assert list(summary.zero_shot) == ["vgg", "plain", "residual", "inverted", "ResNet56"]
    assert set(summary.zero_shot["vgg"]["mine <b>"].of_each()) == {"vgg-digits-3"}
    assert [*summary.sizes] == ["mine <b>"]
    assert [*summary.sizes["mine <b>"]["family"]] == [5, 59]
    assert family_of("somebody's") == "somebody's"


def test_everything_is_written(folder: Path, printed: str) -> None:
    text = (folder / "report.md").read_text()
    for name in ("score.png", "zero-shot.png", "gap.png", "networks.png"):
        with Image.open(folder / name) as image:
            assert image.width == 900
            assert len(image.getcolors(256) or ()) > 5
        assert f"]({name})" in text
    assert "2 trainings on 59 networks" in text
    assert "mine &lt;b&gt;" in text
    page = (folder / "report.html").read_text()
    assert page.count('class="plotly-graph-div"') == 4 + 3
    assert "<b>-n" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert html.escape("mine <b>") in page
    assert "written to" in printed


def test_pictures_need_what_they_show(tmp_path: Path, console: Console) -> None:
    one = [trial("x", "a", "uniform", "", 1, 0.0), trial("x", "b", "gp", "", 40, 0.5)]
    rows.save(tmp_path / "trials.parquet", one)
    report.write(tmp_path, console)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["score.png"]
    with pytest.raises(BenchmarkError, match="transfer run"):
        report.write(tmp_path / "nowhere", console)


def test_names_of_lines_are_apart() -> None:
    found = apart(np.array([0.0, 1.0, 2.0, 50.0]))
    assert (np.diff(found) >= APART - 1e-9).all()
    assert found[:3].mean() == pytest.approx(1.0)
    assert found[3] == 50


def test_damaged_rows_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: Callable[[Console], str]
) -> None:
    (tmp_path / "trials.parquet").write_bytes(b"PAR1 and no more")
    assert main(["transfer", "report", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "holds no trials of this version" in error
    assert error.count("\n") == 1
