"""The document: sections of runs -> report.html."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from benchmarks.reports.html.curves import curves, curves_in_time
from benchmarks.reports.html.document import document, listed, plot
from benchmarks.reports.html.pareto import SIZES, frame, pareto, thinning
from benchmarks.reports.html.policies import policies
from benchmarks.reports.html.style import Style, styles
from benchmarks.reports.html.tables import agents_table, runs_table
from benchmarks.reports.sections import (
    REWARDS,
    Section,
    cells,
    codes,
    distinct,
    explanation,
    header,
    origin,
)
from benchmarks.reports.statistics import Row
from benchmarks.studies.records import Record


def page(
    sections: Sequence[Section], foreign: Mapping[Path, str], unfinished: Sequence[str] = ()
) -> str:
    """Return the whole page of about 5 MB, nearly all of it plotly's JavaScript.

    Args:
        sections: one per setting, at least one.
        foreign: files of the folder that do not count, and the reasons.
        unfinished: lines about runs without a result.
    """
    records = [record for section in sections for record in section.records]
    style = styles(record.run.label for record in records)
    body = ["<h1>Agents compared</h1>", _contents(sections)]
    if unfinished:
        items = "".join(f"<li>{escape(line)}</li>" for line in unfinished)
        body += [f"<h2>Not finished, and in no figure</h2><ul>{items}</ul>"]
    body += _budgets(sections, style)
    for i, section in enumerate(sections, start=1):
        body += _section(section, style, f"section{i}")
    if foreign:
        items = (f"<li><code>{escape(p.name)}</code>: {escape(w)}</li>" for p, w in foreign.items())
        body += ["<h2>Files that do not count</h2>", f"<ul>{''.join(items)}</ul>"]
    body += _measured(records)
    return document("Agents compared", body)


def _contents(sections: Sequence[Section]) -> str:
    if len(sections) == 1:
        return ""
    links = (
        f'<a href="#section{i}">{escape(section.title)}</a>'
        for i, section in enumerate(sections, start=1)
    )
    return f"<nav>{'<br>'.join(links)}</nav>"


def _budgets(sections: Sequence[Section], style: dict[str, Style]) -> list[str]:
    """Return a plot of the best plans of several settings of one task: accuracy against budget."""
    tasks: dict[tuple[str, str], list[Section]] = defaultdict(list)
    for section in sections:
        tasks[section.setting.env, section.setting.task].append(section)
    parts = []
    for i, ((env, _), those) in enumerate(tasks.items(), start=1):
        if len(those) < 2:
            continue
        records = [record for section in those for record in section.records]
        parts += [
            f"<h2>{escape(env)}: best plans of every setting</h2>",
            "<p class='soft'>One point per run; the line joins the plans that no smaller one is "
            "as accurate as.</p>",
            _pareto(records, style, f"budgets{i}", evaluated=False),
        ]
    return parts


def _section(section: Section, style: dict[str, Style], id_: str) -> list[str]:
    setting, full = section.setting, section.records[0].full
    reward = str(setting.options["reward"])
    mine = {agent: style[agent] for agent in sorted({r.run.label for r in section.records})}
    every = thinning(section.records)
    shares = REWARDS.get(reward, "").startswith(("accuracy", "score"))
    shown = "every evaluated plan" if every == 1 else f"one evaluated plan in {every}"
    return [
        f'<h2 id="{id_}">{escape(section.title)}</h2>',
        agents_table(header(section), cells(section)),
        f'<p class="soft">{escape(explanation(section))}</p>',
        "<h3>Learning curves</h3>",
        f'<p class="soft">Best {escape(REWARDS.get(reward, reward))} so far '
        f"(n = {full.reward_images}): interquartile mean over seeds, with its "
        "95\u00a0% bootstrap interval as a band; n is the number of seeds. The second plot has the "
        "time it took, with a dot where the slowest run of an agent had spent its evaluations.</p>",
        '<div class="pair">',
        plot(curves(section.rows, style, shares=shares), f"{id_}-curves"),
        plot(curves_in_time(section.rows, style, shares=shares), f"{id_}-seconds"),
        "</div>",
        "<h3>Size against accuracy</h3>",
        f'<p class="soft">First: {full.test_images} test images, the best plan of each run; the '
        "line joins those that no smaller one is as accurate as. Second: the "
        f"{full.reward_images} reward images that the search saw; faint {shown}, large the best "
        "of each run. Drag to zoom, double-click to see all.</p>",
        _pareto(section.records, mine, f"{id_}-tested", evaluated=False),
        _pareto(section.records, mine, f"{id_}-pareto", evaluated=True),
        "<h3>Policies</h3>",
        '<p class="soft">Kept share of each layer. Bars: the plan with the highest reward of all '
        "seeds; circles: the best plans of the other seeds.</p>",
        _choices(f"{id_}-policies", "agent", _agents(section.rows)),
        plot(policies(section.rows, style), f"{id_}-policies"),
        "<h3>Runs and their plans</h3>",
        runs_table(section.records),
        '<p class="soft">A run is the file beside this page with all its episodes; '
        "<code>amc-gym validate</code> replays a downloaded plan.</p>",
        "<details><summary>Task and options</summary>",
        listed(
            {
                "task": origin(setting),
                "fingerprint": setting.task,
                "code of agents": codes(section),
                **{name: json.dumps(value) for name, value in setting.options.items()},
            }
        ),
        "</details>",
    ]


def _agents(rows: Sequence[Row]) -> dict[str, object]:
    """Return entries of the list of policies -> traces that they show."""
    choices = {}
    for i, row in enumerate(rows):
        visible = [True] + [j == i for j in range(len(rows)) for _ in range(2)]
        best, test = row.best.best, row.best.full.test_images
        label = (
            f"{row.agent}: {best.test_accuracy:.1%} of {test} test images at {best.macs_ratio:.1%} "
            f"of the MACs (seed {row.best.run.seed}, best of {row.seeds})"
        )
        choices[label] = {"visible": visible}
    return choices


def _pareto(
    records: Sequence[Record],
    style: dict[str, Style],
    id_: str,
    *,
    evaluated: bool,
) -> str:
    """Return the scatter and the choices of its x axis, first what best plans differ in most."""
    frames = {size: frame(records, size) for size in SIZES}
    shown = max(SIZES, key=lambda size: frames[size][1] - frames[size][0])
    figure = pareto(records, style, shown, evaluated=evaluated)
    half = len(figure.data) // len(SIZES)  # pyright: ignore[reportArgumentType]
    choices = {
        f"{name} kept": {
            "visible": [other == size for other in SIZES for _ in range(half)],
            "layout": {"xaxis.title.text": f"{name} kept", "xaxis.range": frames[size]},
        }
        for size, name in sorted(SIZES.items(), key=lambda item: item[0] != shown)
    }
    return _choices(id_, "x axis", choices) + plot(figure, id_)


def _choices(plot: str, what: str, choices: Mapping[str, object]) -> str:
    """Return the list of choices above a plot; the first one is shown initially."""
    options = (
        f'<option value="{escape(json.dumps(value))}">{escape(label)}</option>'
        for label, value in choices.items()
    )
    return f'<select data-plot="{plot}" aria-label="{what}">{"".join(options)}</select>'


def _measured(records: Sequence[Record]) -> list[str]:
    """Return machines and versions, each distinct one once."""
    facts: dict[str, str] = {}
    for name, tables in (
        ("machine", [record.machine for record in records]),
        ("versions", [record.versions for record in records]),
    ):
        for i, text in enumerate(distinct(tables), start=1):
            facts[name if i == 1 else f"{name} {i}"] = text
    dates = [record.date[:10] for record in records]
    facts["runs ended"] = f"{min(dates)} to {max(dates)}"
    agents = len({record.run.label for record in records})
    facts["runs"] = f"{len(records)}, of {agents} agents"
    return ["<h2>Machine and versions</h2>", listed(facts)]
