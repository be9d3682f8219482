"""Markdown: links and headings as GitHub reads them."""

from __future__ import annotations

from pathlib import Path

from website.markdown import links, relink, with_anchors
from website.repository import collect, relative

PAGE = """# Weights, and `data`

See [there](../agents/x.py#L3 "title"), ![a picture](a.png), [here](#end), [web](https://a.b/c.md).

```md
# no heading
[no link](b.md)
```

## Weights, and `data`
"""


def test_links_are_those_that_lead_to_files_outside_code() -> None:
    assert list(links(PAGE)) == ["../agents/x.py", "a.png"]


def test_relinking_keeps_anchors_titles_and_all_else() -> None:
    moved = relink(PAGE, {"../agents/x.py": "repository/agents/x.py.md"}.get)
    assert moved == PAGE.replace("../agents/x.py", "repository/agents/x.py.md")


def test_headings_get_the_anchors_of_github_and_code_none() -> None:
    lines = with_anchors(PAGE).splitlines()
    assert lines[0] == "# Weights, and `data` { #weights-and-data }"
    assert lines[-1] == "## Weights, and `data` { #weights-and-data-1 }"
    assert "# no heading" in lines


def test_linked_files_are_included_with_the_files_they_link_to(tmp_path: Path) -> None:
    files = {
        "README.md": "[page](docs/page.md)",
        "docs/page.md": "[report](../results/report.md) [code](../agents) [gone](../gone.md)",
        "results/report.md": "![curves](curves.png)",
        "results/curves.png": "",
        "results/unlinked.md": "",
        "agents/x.py": "pass",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    found = collect(tmp_path, "docs", ["README.md", "docs/page.md"])
    assert {path: shown.place for path, shown in found.items()} == {
        "README.md": "index.md",
        "docs/page.md": "page.md",
        "results/report.md": "repository/results/report.md",
        "results/curves.png": "repository/results/curves.png",
        "agents": "repository/agents/index.md",
        "agents/x.py": "repository/agents/x.py.md",
    }
    assert relative(found, "index.md", "README.md", "docs/page.md") == "page.md"
    assert (
        relative(found, "page.md", "docs/page.md", "../results/report.md")
        == "repository/results/report.md"
    )
    assert relative(found, "page.md", "docs/page.md", "../gone.md") is None
    listing = found["agents"]
    assert relative(found, listing.place, listing.source, "agents/x.py") == "x.py.md"


def test_links_to_generated_pages_are_changed(tmp_path: Path) -> None:
    (tmp_path / "docs" / "notes").mkdir(parents=True)
    (tmp_path / "README.md").write_text("[notes](docs/notes) [one](docs/notes/one.py)")
    made = {"docs/notes": "notes/index.md", "docs/notes/one.py": "notes/one.md"}
    found = collect(tmp_path, "docs", ["README.md"], made)
    assert relative(found, "index.md", "README.md", "docs/notes") == "notes/index.md"
    assert relative(found, "index.md", "README.md", "docs/notes/one.py") == "notes/one.md"
    assert set(found) == {"README.md", *made}


def test_a_link_above_the_repository_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "README.md").write_text("[secret](../secret.txt)")
    (tmp_path / "secret.txt").write_text("secret")
    assert list(collect(root, "docs", ["README.md"])) == ["README.md"]
