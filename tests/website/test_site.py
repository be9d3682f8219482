"""The whole site, built as by `make docs`, which fails on any warning or broken link."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest

import agents
from amc_gym import api
from amc_gym.registration import IDS, SUITES
from website import tutorials
from website.checking import Links

pytestmark = pytest.mark.thorough

pytest.importorskip("material", reason="the site needs pip install -e '.[docs]'")
pytest.importorskip("mkdocstrings", reason="the site needs pip install -e '.[docs]'")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def page(site: Path, name: str) -> Links:
    return Links((site / name).read_text("utf-8"))


def undocumented(site: Path, name: str, identifiers: Iterable[str]) -> list[str]:
    """Return the identifiers that have no anchor on a page."""
    text = (site / name).read_text("utf-8")
    assert "doc-contents" in text
    return [each for each in identifiers if each not in page(site, name).anchors]


def test_the_front_page_is_the_readme_and_leads_to_every_page_of_docs(site: Path) -> None:
    front = page(site, "index.html")
    first = (ROOT / "README.md").read_text("utf-8").splitlines()[0].lstrip("# ")
    assert first.lower() in front.anchors
    for source in (ROOT / "docs").rglob("*.md"):
        name = source.relative_to(ROOT / "docs").as_posix()
        made = name.removesuffix("README.md") + "index" if name.endswith("README.md") else name[:-3]
        assert f"{made}.html" in front.targets


def test_every_id_has_its_page_with_its_units_or_contexts(site: Path) -> None:
    for id_ in ("AMC-v0", *IDS, *SUITES):
        assert f"environments/{id_}.html" in page(site, "index.html").targets
        text = (site / "environments" / f"{id_}.html").read_text("utf-8")
        assert f'"{id_}"' in html.unescape(text)  # in the call that makes it
        assert id_ == "AMC-v0" or "Box(0.0, 1.0, (1,), float32)" in text
    for id_ in IDS:
        assert f"{id_}.png" in page(site, f"environments/{id_}.html").loaded
    units = (site / "environments" / "AMC-MobileNet-v0.html").read_text("utf-8")
    assert "blocks.12.pointwise.conv" in units
    assert "1,591,296" in units  # as `amc-gym info` prints it


def test_every_public_name_has_its_place(site: Path) -> None:
    for name in api.__all__:
        assert not undocumented(site, f"reference/{name}.html", [f"amc_gym.api.{name}"])
        assert f"reference/{name}.html" in page(site, "index.html").targets
    names = [f"agents.{name}" for name in agents.__all__]
    assert not undocumented(site, "reference/agents.html", names)


def test_pages_made_at_import_are_filled_in(site: Path) -> None:
    for cls in ("AMCEnv", "SuiteEnv"):
        text = (site / "reference" / f"{cls}.html").read_text("utf-8")
        assert "{arguments}" not in text
        assert "how kept weights make up for pruned ones" in text


def test_search_knows_the_pages_and_not_the_files_beside_them(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text("utf-8")
    assert '"which-agent.html' in index
    assert '"repository/' not in index


def test_each_tutorial_is_a_page_with_what_it_printed_and_a_notebook(site: Path) -> None:
    for stem in tutorials.ORDER:
        notebook = json.loads((site / "tutorials" / f"{stem}.ipynb").read_text("utf-8"))
        outputs = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert any(outputs)
        assert f"tutorials/{stem}.html" in page(site, "index.html").targets
    assert "36,870 MACs" in (site / "tutorials/the_paper_in_numbers.html").read_text("utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.chromium() as driver:
        yield driver


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "results.html",
        "tutorials/first_episode.html",
        "environments/AMC-MobileNet-v0.html",
        "reference/compress.html",
    ],
)
def test_pages_fit_the_screen_and_report_no_error(
    site: Path, browser: Any, name: str, width: int
) -> None:
    browser.get_log("browser")
    browsing.open_page(browser, site / name, width)
    assert not browsing.wider_than_the_screen(browser)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    broken = "return [...document.images].filter((i) => i.complete && !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0


def test_search_finds_a_page_and_leads_to_it(site: Path, browser: Any) -> None:
    browsing.open_page(browser, site / "index.html", 1200)
    browser.execute_script("document.querySelector('.md-search__input').focus()")
    browser.find_element("css selector", ".md-search__input").send_keys("leaderboard")
    browsing.wait_for(browser, "document.querySelector('.md-search-result__link') !== null")
    link = "document.querySelector('.md-search-result__link').href"
    assert "leaderboard.html" in browser.execute_script(f"return {link}")


def test_dark_mode_is_a_click_and_stays(site: Path, browser: Any) -> None:
    scheme = "document.body.getAttribute('data-md-color-scheme')"
    browsing.open_page(browser, site / "index.html", 1200)
    before = browser.execute_script(f"return {scheme}")
    browser.execute_script("document.querySelector('label[for^=__palette]:not([hidden])').click()")
    browsing.wait_for(browser, f"{scheme} !== '{before}'")
    browsing.open_page(browser, site / "results.html", 1200)
    browsing.wait_for(browser, f"{scheme} !== '{before}'")


def test_navigation_leads_from_page_to_page(site: Path, browser: Any) -> None:
    browsing.open_page(browser, site / "index.html", 1200)
    browser.find_element("link text", "Tutorials").click()
    browsing.wait_for(browser, "location.pathname.endsWith('tutorials/index.html')")
    browser.find_element("partial link text", "First episode").click()
    browsing.wait_for(browser, "location.pathname.endsWith('first_episode.html')")
