"""Tables copied from reports in Markdown, as a whole or in part."""

from __future__ import annotations

from benchmarks.filling.cells import RESULTS
from benchmarks.reports import tables
from benchmarks.search_signal.judgements import RECOVERIES
from benchmarks.studies.runs import BenchmarkError

FIGURES = (
    "construction, s",
    "episode, s",
    "peak memory above imports, MB",
    "re-fit, s",
    "evaluation, s",
)
"""Figures in the comparison with the authors' code, in the order of the table."""


def copy(file: str, number: str = "1") -> list[str]:
    """Return a table of a report in Markdown."""
    found: list[list[str]] = [[]]
    for line in (RESULTS / file).read_text("utf-8").splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return found[int(number) - 1] or found[int(number)]


def rows(file: str, number: str, *conditions: str) -> list[str]:
    """Return rows of a report's table, without the columns of the conditions."""
    header, marks, *lines = (line.strip("|").split("|") for line in copy(file, number))
    names = [cell.strip() for cell in header]
    wanted = {name: cells.split("|") for name, _, cells in (c.partition("=") for c in conditions)}
    chosen = [
        line
        for line in lines
        if all(line[names.index(name)].strip() in cells for name, cells in wanted.items())
    ]
    if not chosen:
        raise BenchmarkError(f"{file} has no row with {', '.join(conditions)}")
    shown = [i for i, name in enumerate(names) if len(wanted.get(name, "ab")) > 1]
    shown = [i for i in shown if any(line[i].strip() for line in chosen)]
    return [f"|{'|'.join(line[i] for i in shown)}|" for line in (header, marks, *chosen)]


def reference(*folders: str) -> list[str]:
    """Return the comparison of the authors' code with ours."""
    rows = []
    for folder in folders:
        images = folder.rpartition("-")[2]
        for line in copy(f"{folder}/against-reference.md")[2:]:
            figure, _, theirs, ours, ratio, wanted, *_ = (
                cell.strip() for cell in line.strip("|").split("|")
            )
            if figure in FIGURES:
                rows.append([figure, images, theirs, ours, ratio, wanted])
    rows.sort(key=lambda row: FIGURES.index(row[0]))
    return tables.markdown(["figure", "reward images", "authors'", "ours", "ratio", "wanted"], rows)


def signal(file: str) -> list[str]:
    """Return rank correlations of all plans, of the upper half, and beyond size, by ranking."""
    _, _, *lines = copy(file)
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        importance, recovery, _, *cells, _ = (part.strip() for part in line.strip("|").split("|"))
        values = [cell.split(" ")[0] for cell in cells if cell]
        found.setdefault(importance, {})[recovery] = ", ".join(values)
    recoveries = [each for each in RECOVERIES if any(each in row for row in found.values())]
    rows = [
        [
            name,
            *([row[""], *[""] * (len(recoveries) - 1)] if "" in row else map(row.get, recoveries)),
        ]
        for name, row in found.items()
    ]
    return tables.markdown(["ranking", *recoveries], [[str(cell) for cell in row] for row in rows])
