"""The whole site, as `make docs` builds it: any warning or broken link makes the build fail."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import agents
from amc_gym import api
from amc_gym.registration import IDS, SUITES
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
    """Identifiers without a place on a page that says more of them than their names."""
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
        assert f'"{id_}"' in html.unescape(text)  # where it is made
        assert id_ == "AMC-v0" or "Box(0.0, 1.0, (1,), float32)" in text
    for id_ in IDS:
        assert f"{id_}.png" in page(site, f"environments/{id_}.html").loaded
    units = (site / "environments" / "AMC-MobileNet-v0.html").read_text("utf-8")
    assert "blocks.12.pointwise.conv" in units
    assert "1,591,296" in units  # as `amc-gym info` has it


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
