"""Report on how well signals agree with fine-tuning: signal.md, signal.csv and scatter plots."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from rich.console import Console

from amc_gym._utils.files import replacing_text
from benchmarks.finetuning.outcomes import Outcome
from benchmarks.machine import described
from benchmarks.reports.figures import FAINT, STYLE, new_figure, save_picture
from benchmarks.reports.looks import COLOURS
from benchmarks.reports.tables import write_page
from benchmarks.search_signal.agreement import Agreement, agreement
from benchmarks.search_signal.judgements import Signal

COLUMNS = (
    "importance",
    "recovery",
    "Pearson",
    "Spearman",
    "Spearman, upper half",
    "beyond size",
    "mean %",
)


def write(
    out: Path,
    accuracies: Mapping[Signal, Sequence[float]],
    outcomes: Sequence[Outcome],
    what: str,
    console: Console,
) -> None:
    """Write the report, best signal first.

    Args:
        out: the folder.
        accuracies: of each signal, plan by plan, on the reward images.
        outcomes: of the same plans, fine-tuned.
        what: network and data.
        console: console that shows the table.
    """
    tuned = [outcome.after.accuracy for outcome in outcomes]
    sizes = [outcome.macs_ratio for outcome in outcomes]
    found = {signal: agreement(each, tuned, sizes) for signal, each in accuracies.items()}
    ordered = sorted(found, key=lambda signal: -found[signal].spearman.value)
    recipe, one = outcomes[0].recipe, outcomes[0]
    notes = (
        f"{len(tuned)} random plans of {min(sizes):.0%} to {max(sizes):.0%} of the MACs. Each "
        "signal's accuracy on the reward images, before fine-tuning, against the accuracy on "
        f"{one.after.images} test images after {recipe['epochs']} epochs (batch size "
        f"{recipe['batch_size']}, learning rate {recipe['learning_rate']}, {recipe['schedule']}; "
        "one seed, from the magnitude ranking, reconstructed): "
        f"{min(tuned):.1%} to {max(tuned):.1%}. 95 % bootstrap intervals over plans; the upper "
        "half is that of the plans which are best after fine-tuning; beyond size is Spearman's "
        "partial correlation, given the share of the MACs. "
        f"Fine-tuned on {described(one.machine)}; torch {one.versions['torch']}."
    )
    title = f"{what}: what predicts fine-tuned accuracy"
    rows = [_cells(signal, found[signal], accuracies[signal]) for signal in ordered]
    size = agreement(sizes, tuned, sizes)
    alone = map(str, (size.pearson, size.spearman, size.upper))
    rows.append(["share of the MACs alone", "", *alone, "", ""])
    picture = "![Scatter plots](signal.png)"
    path = out / "signal.md"
    write_page(path, title, COLUMNS, rows, notes, picture=picture, console=console, words=2)
    with replacing_text(out / "signal.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["plan", "macs_ratio", "fine-tuned", *map(str, ordered)])
        for i, outcome in enumerate(outcomes):
            each = [accuracies[signal][i] for signal in ordered]
            writer.writerow([i, outcome.macs_ratio, tuned[i], *each])
    _draw(ordered, accuracies, found, tuned, out / "signal.png", title)


def _cells(signal: Signal, found: Agreement, accuracies: Sequence[float]) -> list[str]:
    mean = 100 * sum(accuracies) / len(accuracies)
    coefficients = (found.pearson, found.spearman, found.upper, found.beyond)
    return [signal.importance, signal.recovery, *map(str, coefficients), f"{mean:.1f}"]


def _draw(
    ordered: Sequence[Signal],
    accuracies: Mapping[Signal, Sequence[float]],
    found: Mapping[Signal, Agreement],
    tuned: Sequence[float],
    path: Path,
    title: str,
) -> None:
    """Draw a panel per signal: its accuracy against that after fine-tuning, a dot per plan."""
    columns = min(4, len(ordered))
    lines = math.ceil(len(ordered) / columns)
    small: dict[Any, Any] = {"font.size": 8, "axes.titlesize": 8}
    with mpl.rc_context(STYLE | small):
        figure = new_figure(0.8 + 2.1 * lines)
        panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes in panels.flat[len(ordered) :]:
            axes.axis("off")
        for signal, axes in zip(ordered, panels.flat, strict=False):
            x = [100 * value for value in accuracies[signal]]
            axes.scatter(x, [100 * value for value in tuned], s=12, color=COLOURS[0], alpha=0.8)
            axes.set_title(f"{signal}: {found[signal].spearman.value:.2f}", loc="left")
            axes.grid(color=FAINT)
            axes.set_axisbelow(True)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        figure.supxlabel("accuracy on reward images before fine-tuning, %", fontsize=9)
        figure.supylabel("on test images, fine-tuned, %", fontsize=9)
        save_picture(figure, path)
