"""Pictures of a report: every word is inside the picture, and none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from small_study import variant

from benchmarks.reports import figures
from benchmarks.reports.statistics import Row, rows_of
from benchmarks.studies.records import Record

LONG = (
    "loss-allocation(uniform_first=true)",
    "output-allocation(uniform_first=true)",
    "amc-ddpg(sigma=0.3,batch_size=128,warmup=25,discount=1.0,learning_rate=0.0001)",
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list of the figures that are saved."""
    kept: list[Figure] = []
    save = figures.save_picture

    def keep(figure: Figure, path: Path, **options: Any) -> None:
        kept.append(figure)
        save(figure, path, **options)

    monkeypatch.setattr(figures, "save_picture", keep)
    return kept


@pytest.mark.parametrize("names", [("gp", "uniform"), LONG[:2], LONG, (*LONG, "gp", "cma-es")])
def test_words_are_whole_and_apart(
    tmp_path: Path, record: Record, drawn: list[Figure], names: Sequence[str]
) -> None:
    rows = rows_of(variant(record, name, 0, 0.5 + 0.01 * i) for i, name in enumerate(names))
    figures.policies(rows, tmp_path / "policies.png", title="What was searched")
    figures.learning_curves(
        rows,
        tmp_path / "curves.png",
        title="What was searched",
        reward="accuracy on the reward images",
    )
    for figure in drawn:
        check(figure, rows)
    (axes,) = drawn[-1].axes
    assert all(tick == int(tick) for tick in axes.get_xticks())  # evaluations are whole


def check(figure: Figure, rows: Sequence[Row]) -> None:
    """Assert that every text is inside the figure, and covers no other one."""
    ticks = {text for axis in figure.findobj(Axis) for text in axis.findobj(Text)}
    ticks -= {axis.label for axis in figure.findobj(Axis) if isinstance(axis, Axis)}
    boxes = {
        text: text.get_window_extent()
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_text().strip() and text not in ticks
    }
    said = " ".join(" ".join(text.get_text().split()) for text in boxes)
    for row in rows:
        assert row.agent.replace("-", "").replace(" ", "") in said.replace("-", "").replace(" ", "")
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in boxes.items():
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        assert not first.overlaps(second), (one, other)
