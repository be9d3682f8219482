"""Agents and runs as sortable tables, with a link to each run's file and to each plan."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from benchmarks.studies import archive
from benchmarks.studies.records import Record


def agents_table(header: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with one line per agent; the first row, of the full network, stays on top.

    Args:
        header: names of the columns, agents first.
        rows: cells as text.
    """
    full, *others = (_row([_cell(text) for text in row]) for row in rows)
    return _table(header, others, fixed=full)


def sortable_table(header: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of plain text that can be sorted by clicking a column's name."""
    return _table(header, (_row([_cell(text) for text in row]) for row in rows))


def runs_table(records: Sequence[Record]) -> str:
    """Return a table with one line per run, the most accurate first, with file and best plan."""
    full, score = records[0].full, records[0].best.plan.score_name
    header = (
        "agent",
        "seed",
        f"reward {score} % (n\u00a0=\u00a0{full.reward_images})",
        f"test {score} % (n\u00a0=\u00a0{full.test_images})",
        "MACs",
        "MACs %",
        "parameters",
        "parameters %",
        "seconds",
    )
    rows = []
    for record in sorted(records, key=lambda r: (-r.best.test_accuracy, r.run.label, r.run.seed)):
        best, name = record.best, record.run.name
        texts = (
            record.run.label,
            str(record.run.seed),
            f"{100 * best.reward_accuracy:.1f}",
            f"{100 * best.test_accuracy:.1f}",
            f"{best.plan.measured.macs:,}",
            f"{100 * best.macs_ratio:.1f}",
            f"{best.plan.measured.params:,}",
            f"{100 * best.params_ratio:.1f}",
            f"{record.seconds:.1f}",
        )
        plan = base64.b64encode(json.dumps(best.plan.to_dict()).encode()).decode()
        file = f"{quote(name)}.json" if record.history.channels else archive.FILE  # published
        links = (
            f'<td class="text"><a href="{escape(file)}">run</a></td>'
            f'<td class="text"><a href="data:application/json;base64,{plan}" '
            f'download="{escape(name)}.plan.json">plan</a></td>'
        )
        rows.append(_row([*map(_cell, texts), links]))
    return _table(header, rows, unsorted=("file", "best plan"))


def _table(
    header: Iterable[str], rows: Iterable[str], fixed: str = "", unsorted: Iterable[str] = ()
) -> str:
    heads = [f'<th scope="col"><button type="button">{escape(h)}</button></th>' for h in header]
    heads += [f'<th scope="col" class="text">{escape(head)}</th>' for head in unsorted]
    top = f'<tbody class="fixed">{fixed}</tbody>' if fixed else ""
    return (
        f'<div class="wide"><table class="sortable"><thead>{_row(heads)}</thead>{top}'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>\n"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"
