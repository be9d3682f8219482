"""Figures of a comparison: rows of a table, and the files they are written to."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from amc_gym._utils.files import replacing_text, write_json, write_whole
from benchmarks.reports.tables import markdown, terminal

Answer = Mapping[str, Any]
"""Answer of a worker."""

EPISODES_WANTED = {300: {"float32": 10.0, "bf16": 19.0}, 3000: {"float32": 6.5, "bf16": 12.0}}
"""Reward images -> precision -> least wanted ratio of our episodes per hour to the reference's."""

CONSTRUCTION_WANTED = 5.0
MEMORY_WANTED = 0.2  # largest wanted share of the reference's memory


@dataclass(frozen=True)
class Row:
    """One figure of both sides.

    Attributes:
        figure: the quantity that was measured, with its unit.
        precision: precision of our side.
        reference: median of the reference.
        ours: our median.
        spread: least and greatest of ours and of the reference's, as text; empty for one value.
        ratio: ours / reference for episodes per hour and for memory, reference / ours for times,
            to match ``wanted``; the median of the ratios plan by plan.
        wanted: target as text; empty if there is none.
        met: whether the target is met; None if there is none.
    """

    figure: str
    precision: str
    reference: float
    ours: float
    spread: str = ""
    ratio: float = 0.0
    wanted: str = ""
    met: bool | None = None


def rows(results: Mapping[str, Any], reward_images: int) -> list[Row]:
    """Return the rows of a comparison's table.

    Args:
        results: side ("reference", "float32", "bf16") -> ``construction``, an answer, and
            ``episodes``, answers in the order of the plans.
        reward_images: number of reward images, which decides the targets.
    """
    table = []
    theirs = results["reference"]
    for precision, ours in results.items():
        if precision == "reference":
            continue
        for figure, key in (("construction, s", "seconds"), ("construction, CPU s", "cpu_s")):
            one, other = theirs["construction"][key], ours["construction"][key]
            least = CONSTRUCTION_WANTED if key == "seconds" else None
            table.append(_at_least(Row(figure, precision, one, other, ratio=one / other), least))
        least = EPISODES_WANTED.get(reward_images, {}).get(precision)
        pairs = [
            [[answer[key] for answer in side["episodes"]] for side in (theirs, ours)]
            for key in ("seconds", "cpu_s", "refit_s", "evaluation_s")
        ]
        names = ("episode, s", "episode, CPU s", "  re-fit, s", "  evaluation, s")
        table.extend(
            _paired(name, precision, pair[0], pair[1])
            for name, pair in zip(names, pairs, strict=True)
        )
        hours = [[3600 / seconds for seconds in side] for side in pairs[0]]
        row = _paired("episodes per hour", precision, hours[0], hours[1], times=False)
        table.append(_at_least(row, least))
        for figure, key in (
            ("peak memory above imports, MB", "above_MB"),
            ("peak memory of the process, MB", "peak_MB"),
        ):
            one, other = (side["episodes"][-1][key] for side in (theirs, ours))
            row = Row(figure, precision, one, other, ratio=other / one)
            if key == "above_MB":
                met = row.ratio <= MEMORY_WANTED
                row = Row(**asdict(row) | {"wanted": f"≤ {MEMORY_WANTED:g} ×", "met": met})
            table.append(row)
    return table


def _paired(
    figure: str,
    precision: str,
    theirs: Sequence[float],
    ours: Sequence[float],
    times: bool = True,
) -> Row:
    """Compare medians with their spread, and take the median ratio plan by plan."""
    ratios = [a / b if times else b / a for a, b in zip(theirs, ours, strict=True)]
    spread = "; ".join(f"{min(side):.3g}–{max(side):.3g}" for side in (theirs, ours, ratios))
    return Row(figure, precision, median(theirs), median(ours), spread, median(ratios))


def _at_least(row: Row, least: float | None) -> Row:
    if least is None:
        return row
    return Row(**asdict(row) | {"wanted": f"≥ {least:g} ×", "met": row.ratio >= least})


COLUMNS = (
    "figure",
    "ours in",
    "reference",
    "ours",
    "ratio",
    "wanted",
    "met",
    "least to greatest: reference; ours; ratio",
)


def _cells(row: Row) -> list[str]:
    met = {None: "", True: "yes", False: "no"}[row.met]
    numbers = (f"{number:.4g}" for number in (row.reference, row.ours))
    return [
        row.figure,
        row.precision,
        *numbers,
        f"{row.ratio:.3g} ×",
        row.wanted,
        met,
        row.spread,
    ]


AGREEMENT = (
    "plan",
    "MACs kept",
    "reference",
    "same samples and classifier fit",
    "images apart",
    "same samples",
    "our own samples",
)


def _agreement_cells(document: Mapping[str, Any]) -> list[list[str]]:
    images = document["setting"]["reward_images"]
    rows = []
    for number, plan in enumerate(document["agreement"]):
        cells = [f"{100 * plan[key]:.1f} %" for key in ("reference", "classifier", "samples")]
        cells.insert(2, str(round(images * abs(plan["classifier"] - plan["reference"]))))
        rows.append([str(number), f"{plan['macs']:.3f}", *cells, f"{100 * plan['own']:.1f} %"])
    return rows


def show(document: Mapping[str, Any], table: Sequence[Row], console: Console) -> None:
    """Print the tables."""
    speed = terminal(document["title"], COLUMNS, [])
    for row in table:
        colour = {None: None, True: "green", False: "yellow"}[row.met]
        speed.add_row(*_cells(row), style=colour)
    accuracy = terminal(_accuracy_title(document), AGREEMENT, _agreement_cells(document))
    console.print(speed, accuracy)
    for note in document["notes"]:
        console.print(note, markup=False)


def write(folder: Path, document: Mapping[str, Any], table: Sequence[Row]) -> None:
    """Write against-reference.json, .csv and .md."""
    path = folder / "against-reference.json"
    whole = {**document, "table": [asdict(row) for row in table]}
    write_json(path, whole)
    with replacing_text(path.with_suffix(".csv")) as file:
        writer = csv.writer(file)
        writer.writerow(list(Row.__dataclass_fields__))
        writer.writerows(list(asdict(row).values()) for row in table)
    lines = [f"# {document['title']}", ""]
    lines += markdown(COLUMNS, [[cell.strip() for cell in _cells(row)] for row in table])
    lines += ["", _accuracy_title(document) + ".", ""]
    lines += markdown(AGREEMENT, _agreement_cells(document))
    lines += ["", *(f"- {note}" for note in document["notes"])]
    write_whole(path.with_suffix(".md"), "\n".join(lines) + "\n")


def _accuracy_title(document: Mapping[str, Any]) -> str:
    images, original = document["setting"]["reward_images"], document["original_accuracy"]
    return f"Accuracy on {images} reward images; uncompressed {100 * original:.1f} %"
