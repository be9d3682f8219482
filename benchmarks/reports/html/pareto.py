"""Size against accuracy as a plotly figure: best plans, and all evaluated plans."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from amc_gym.compression.cost import REPORTED, RESOURCES
from benchmarks.reports.escaping import plotly_text
from benchmarks.reports.html.style import GREY, Style, new_figure
from benchmarks.studies.records import Record

EVALUATED = 2000
"""Most evaluated plans in a scatter; browsers draw some thousands smoothly."""

SIZES = {name: RESOURCES[name].title for name in REPORTED}
"""Quantities for the x axis of a scatter."""


def thinning(records: Sequence[Record]) -> int:
    """Return n such that a scatter shows every n-th evaluated plan."""
    return -(-sum(len(record.history.macs) for record in records) // EVALUATED)


def frame(records: Sequence[Record], size: str) -> tuple[float, float]:
    """Return the ends of the x axis in percent: the best plans with some room around them."""
    shares = [100 * getattr(record.best, f"{size}_ratio") for record in records]
    margin = max(0.5, 0.1 * (max(shares) - min(shares)))
    return min(shares) - margin, max(shares) + margin


def pareto(
    records: Sequence[Record], style: dict[str, Style], resource: str, *, evaluated: bool
) -> go.Figure:
    """Draw size against accuracy: each run's best plan on test images, or on reward images.

    Args:
        records: runs on one task.
        style: of each agent.
        resource: what is shown first, "macs" or "params"; the page can show the other.
        evaluated: whether to show all evaluated plans, faintly, with accuracies on the reward
            images; otherwise only the best plans, on the test images.

    The traces come in two halves, the first for MACs and the second for parameters.
    """
    full = records[0].full
    images = "reward" if evaluated else "test"
    title = f"accuracy on {images} images"
    figure = new_figure(x=f"{SIZES[resource]} kept", y=title, height=460)
    for size in SIZES:
        visible = size == resource
        if evaluated:
            for agent in sorted(style):
                _evaluated(figure, records, agent, style[agent], size, visible)
        else:
            _front(figure, records, size, visible)
        for agent in sorted(style):
            _best(figure, _of(records, agent), images, style[agent], size, visible)
    accuracies = [100 * getattr(record.best, f"{images}_accuracy") for record in records]
    whole, judged = 100 * getattr(full, f"{images}_accuracy"), getattr(full, f"{images}_images")
    margin = max(2.0, 0.25 * (max(whole, *accuracies) - min(accuracies)))
    figure.update_yaxes(ticksuffix="%")
    figure.update_yaxes(range=(min(accuracies) - margin, max(whole, *accuracies) + margin))
    figure.update_xaxes(ticksuffix="%", range=frame(records, resource))
    figure.add_hline(
        y=whole,
        line={"color": GREY, "dash": "dot", "width": 1},
        annotation={
            "text": f"full network: {whole:.1f} % of {judged} {images} images",
            "font": {"color": GREY, "size": 12},
            "xanchor": "right",
            "yanchor": "bottom",
        },
    )
    return figure


def _evaluated(
    figure: go.Figure,
    records: Sequence[Record],
    agent: str,
    style: Style,
    size: str,
    visible: bool,
) -> None:
    x, y, seeds = [], [], []
    for record in _of(records, agent):
        # The same steps are taken from each run, even if some run has no such step.
        part = slice(None, None, thinning(records))
        full = getattr(record.full, size)
        sizes = getattr(record.history, size)[part]
        x += [round(100 * each / full, 3) for each in sizes]
        y += [round(100 * accuracy, 3) for accuracy in record.history.accuracy[part]]
        seeds += [record.run.seed] * len(sizes)
    n = records[0].full.reward_images
    figure.add_scatter(
        x=x,
        y=y,
        customdata=seeds,
        mode="markers",
        marker={"color": style[0], "symbol": style[2], "size": 4},
        opacity=0.3,
        legendgroup=agent,
        showlegend=False,
        visible=visible,
        hovertemplate=(
            f"{plotly_text(agent)}, seed %{{customdata}}, one of its evaluations<br>"
            f"%{{y:.1f}} % of {n} reward images, %{{x:.1f}} of the {SIZES[size]}<extra></extra>"
        ),
    )


def _best(
    figure: go.Figure,
    mine: Sequence[Record],
    images: str,
    style: Style,
    size: str,
    visible: bool,
) -> None:
    """Draw one agent's best plans, on the "test" or the "reward" images."""
    agent, full = mine[0].run.label, mine[0].full
    figure.add_scatter(
        x=[100 * getattr(record.best, f"{size}_ratio") for record in mine],
        y=[100 * getattr(record.best, f"{images}_accuracy") for record in mine],
        customdata=[
            [
                record.run.seed,
                f"{100 * record.best.test_accuracy:.1f}",
                f"{100 * record.best.reward_accuracy:.1f}",
                f"{record.best.plan.measured.macs:,}",
                f"{record.best.plan.measured.params:,}",
            ]
            for record in mine
        ],
        name=plotly_text(agent),
        mode="markers",
        marker={
            "color": style[0],
            "symbol": style[2],
            "size": 11,
            "line": {"color": "white", "width": 1.2},
        },
        legendgroup=agent,
        visible=visible,
        hovertemplate=(
            f"<b>{plotly_text(agent)}, seed %{{customdata[0]}}</b>, its best plan<br>"
            f"%{{customdata[1]}} % of {full.test_images} test images<br>"
            f"%{{customdata[2]}} % of {full.reward_images} reward images<br>"
            "%{customdata[3]} MACs, %{customdata[4]} parameters<extra></extra>"
        ),
    )


def _front(figure: go.Figure, records: Sequence[Record], size: str, visible: bool) -> None:
    """Draw steps along the Pareto front: plans more accurate than all smaller ones."""
    plans = sorted(
        (getattr(record.best, f"{size}_ratio"), -record.best.test_accuracy) for record in records
    )
    front: list[tuple[float, float]] = []
    for ratio, error in plans:
        if not front or error < front[-1][1]:
            front.append((ratio, error))
    figure.add_scatter(
        x=[100 * ratio for ratio, _ in front],
        y=[-100 * error for _, error in front],
        name="front",
        mode="lines",
        line={"color": GREY, "width": 1, "shape": "hv"},
        hoverinfo="skip",
        visible=visible,
    )


def _of(records: Sequence[Record], agent: str) -> list[Record]:
    return [record for record in records if record.run.label == agent]
