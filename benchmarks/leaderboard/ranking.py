"""The table of accepted submissions, in Markdown: one section per task and budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Any
from urllib.parse import quote

from amc_gym.compression.cost import RESOURCES
from benchmarks.leaderboard.validation import Ruling
from benchmarks.reports.escaping import markdown_code, markdown_link, markdown_text

# Options that define a comparison: the budget, what is pruned, and the metric.  The other options
# are how a submission searched, which is its own choice.
SAME = ("resource", "preserve_ratio", "granularity", "metric", "max_sparsity", "channel_multiple")


_HEADER = (
    "rank",
    "submission",
    "authors",
    "agent",
    "seeds",
    "evaluations",
    "test accuracy %",
    "reward accuracy %",
    "MACs",
    "parameters",
    "searched with",
)


def markdown(rulings: Mapping[str, Ruling], refused: Mapping[str, str] | None = None) -> str:
    """Return the leaderboard.

    Args:
        rulings: ruling on each submission, by its folder's name.
        refused: folders without a ruling, and why.
    """
    tables: dict[tuple[Any, ...], list[tuple[str, Ruling]]] = defaultdict(list)
    rejected = []
    for folder, ruling in sorted(rulings.items()):
        if ruling.accepted:
            tables[_key(ruling)].append((folder, ruling))
        else:
            rejected.append((folder, ruling))
    lines = [
        "# Leaderboard",
        "",
        "Written by `python -m benchmarks leaderboard`, which replays every plan; "
        "`docs/leaderboard.md` says how to take part. The rank is by mean test accuracy over "
        "all seeds of a submission, as replayed, without fine-tuning; in brackets the least and "
        "the most accurate seed. Seeds and evaluations are what the authors say.",
        "",
    ]
    for key in sorted(tables, key=str):
        lines += _table(tables[key])
    if rejected:
        lines += ["## Rejected", ""]
        for folder, ruling in rejected:
            reasons = dict.fromkeys(v.reason for v in ruling.verdicts if not v.accepted)
            lines.append(_item(folder, "; ".join(reasons)))
        lines.append("")
    if refused:
        lines += ["## Not replayed", ""]
        lines += [_item(folder, reason) for folder, reason in sorted(refused.items())] + [""]
    return "\n".join(lines)


def _item(folder: str, reason: str) -> str:
    return f"- {markdown_code(folder)}: {markdown_text(reason)}"


def _key(ruling: Ruling) -> tuple[Any, ...]:
    submission = ruling.submission
    return (submission.env, ruling.task, *(repr(submission.options[name]) for name in SAME))


def _table(rulings: list[tuple[str, Ruling]]) -> list[str]:
    first = rulings[0][1]
    submission, options = first.submission, first.submission.options
    resource = RESOURCES[options["resource"]].title
    ranked = sorted(rulings, key=lambda item: (-_mean(item[1]), item[0]))
    lines = [
        f"## {submission.env}, {submission.dataset}: {100 * options['preserve_ratio']:.4g} % "
        f"of the {first.full:,} {resource}",
        "",
        f"Weights {submission.weights}, task `{first.task[:12]}`, "
        + ", ".join(f"{name}={options[name]!r}" for name in SAME[2:])
        + f"; n = {first.test_images} test images.",
        "",
        f"| {' | '.join(_HEADER)} |",
        "|--:|:--|:--|:--|--:|--:|--:|--:|--:|--:|:--|",
    ]
    for rank, (folder, ruling) in enumerate(ranked, start=1):
        lines.append(f"| {' | '.join(_cells(rank, folder, ruling))} |")
    return [*lines, ""]


def _cells(rank: int, folder: str, ruling: Ruling) -> list[str]:
    submission, found = ruling.submission, ruling.found
    options = submission.options
    evaluations = sorted({entry.evaluations for entry in submission.plans})
    return [
        str(rank),
        markdown_link(submission.name, f"{quote(folder)}/submission.json"),
        markdown_text(", ".join(submission.authors)),
        markdown_text(submission.agent),
        str(len(found)),
        str(evaluations[0]) if len(evaluations) == 1 else f"{evaluations[0]}-{evaluations[-1]}",
        _spread([each.test_accuracy for each in found]),
        f"{_spread([each.reward_accuracy for each in found])} (n = {options['reward_images']})",
        f"{fmean(each.macs for each in found):,.0f}",
        f"{fmean(each.params for each in found):,.0f}",
        f"{options['importance']}, {options['recovery']}",
    ]


def _spread(accuracies: list[float]) -> str:
    low, high = (f"{100 * end:.1f}" for end in (min(accuracies), max(accuracies)))
    return f"{100 * fmean(accuracies):.1f}" + ("" if len(accuracies) == 1 else f" [{low}, {high}]")


def _mean(ruling: Ruling) -> float:
    return fmean(found.test_accuracy for found in ruling.found)
