"""A picture of test accuracies before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.finetuning.outcomes import Outcome
from benchmarks.reports.figures import FAINT, STYLE, new_figure, save_picture
from benchmarks.reports.looks import COLOURS, GREY


def draw(outcomes: Sequence[Outcome], path: Path, *, title: str) -> None:
    """Draw a line per agent: hollow before, filled after, a dot for each plan and seed.

    Args:
        outcomes: of one recipe.
        path: the PNG to write.
        title: of the picture.
    """
    after: dict[str, list[float]] = {}
    before: dict[str, list[float]] = {}
    for outcome in outcomes:
        after.setdefault(outcome.label, []).append(100 * outcome.after.accuracy)
        before.setdefault(outcome.label, []).append(100 * outcome.before.accuracy)
    agents = sorted(after, key=lambda agent: sum(after[agent]) / len(after[agent]))
    with mpl.rc_context(STYLE):
        figure = new_figure(1.3 + 0.42 * len(agents))
        axes = figure.subplots()
        for y, agent in enumerate(agents):
            pair = [sum(side[agent]) / len(side[agent]) for side in (before, after)]
            axes.plot(pair, [y, y], color=GREY, linewidth=1, zorder=1)
            axes.scatter(
                before[agent],
                [y] * len(before[agent]),
                facecolors="white",
                edgecolors=COLOURS[1],
                zorder=2,
                label="before" if y == 0 else None,
            )
            axes.scatter(
                after[agent],
                [y] * len(after[agent]),
                color=COLOURS[0],
                alpha=0.7,
                zorder=3,
                label="fine-tuned" if y == 0 else None,
            )
        axes.set_yticks(range(len(agents)), agents)
        axes.set_ylim(-0.6, len(agents) - 0.4)
        axes.set_xlabel(f"accuracy on {outcomes[0].after.images} test images, %")
        axes.grid(axis="x", color=FAINT)
        axes.set_axisbelow(True)
        axes.set_title(title, loc="left")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        save_picture(figure, path)
