"""Tables of agents' accuracies, before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from benchmarks.filling.cells import (
    FULL,
    RESULTS,
    Row,
    difference,
    first_searched,
    interval,
    percent,
    study_of,
    table_of,
    whole,
)
from benchmarks.filling.paper import figures_of
from benchmarks.reports import tables


def headlines(*folders: str) -> list[str]:
    """Return the searched and fine-tuned network of each study, or of its last stage."""
    header = ["", "MACs %", "parameters %", "accuracy %"]
    lines = []
    for folder in folders:
        title = study_of(folder).title
        if (RESULTS / folder / "stages.csv").exists():
            row = table_of(folder, "stages.csv")[-1]
            sizes = ["", f"{percent(row['density'])} not zero"]
        else:
            row = first_searched(RESULTS / folder / "finetuned" / "finetuned.csv")
            sizes = [percent(row["macs"]), percent(row["params"])]
        lines.append([title, *sizes, percent(row["after"], 2), difference(row)])
    return tables.markdown([*header, "against the full network, trained further"], lines)


def agents(folder: str) -> list[str]:
    """Return the accuracies of each agent of a study."""
    header = ["agent", "seeds", "evaluations", "reward accuracy %", "test accuracy %", "MACs %"]
    rows = [
        [
            row["agent"],
            row["seeds"],
            whole(row["evaluations"]),
            interval(row, "reward_accuracy"),
            interval(row, "test_accuracy"),
            percent(row["macs_ratio"]),
        ]
        for row in table_of(folder, "report.csv")
    ]
    return tables.markdown(header, rows)


def tuned(*folders: str) -> list[str]:
    """Return the test accuracy of searches, before and after fine-tuning, beside the paper's."""
    header = ["plan of", "as searched %", "recovered %", "fine-tuned %", "fine-tuning seeds"]
    header += ["against the full network, trained further", "paper"]
    several = ["network"] if len(folders) > 1 else []
    rows = []
    for folder in folders:
        for row in _tuned(folder):
            rows.append([*([folder.rpartition("/")[2]] if several else []), *row])
    papers = any(row[-1] for row in rows)
    cut = slice(None) if papers else slice(-1)
    return tables.markdown(
        [*several, *header][cut], [row[cut] for row in rows], words=1 + len(several)
    )


def _tuned(folder: str) -> Iterator[list[str]]:
    searched = {row["agent"]: row for row in table_of(folder, "report.csv")}
    after = {row["agent"]: row for row in table_of(folder, "finetuned/finetuned.csv")}
    paper = figures_of(folder)
    order = [*after, *(agent for agent in searched if agent not in after)]
    for agent in order:
        first, last = searched[agent], after.get(agent)
        seeds = first["seeds"]
        runs = f" ({seeds} seeds)" if seeds not in ("", "1") else ""
        cells = [agent, f"{interval(first, 'test_accuracy')}{runs}"]
        if last is None:
            cells += ["", "", "", ""]
        else:
            if agent == FULL:
                cells = [agent, percent(last["before"], 2)]
            before = "" if agent == FULL else percent(last["before"], 2)
            cells += [before, percent(last["after"], 2), last["seeds"], difference(last)]
        yield [*cells, paper.get(agent, "")]


def scores(*comparisons: str) -> list[str]:
    """Return agents' scores over tasks, best first, and their accuracies on each task."""
    rows: list[tuple[float, list[str]]] = []
    tasks: list[str] = []
    for comparison in comparisons:
        name, _, rest = comparison.partition("=")
        listed, _, only = rest.partition(":")
        studies = [
            {row["agent"]: row for row in table_of(each, "report.csv")}
            for each in listed.split(",")
        ]
        tasks = [row[FULL]["env"].removeprefix("AMC-").removesuffix("-v0") for row in studies]
        if not rows:
            full = [f"{_accuracies(study[FULL])}" for study in studies]
            rows.append((float("inf"), [FULL, "", *full, "1.00"]))
        for row in table_of(name, "comparison.csv"):
            if only and row["agent"] not in only.split(","):
                continue
            mine = [study[row["agent"]] for study in studies]
            spent = "/".join(dict.fromkeys(whole(each["evaluations"]) for each in mine))
            score = interval(row, "score", scale=1, digits=2)
            cells = [row["agent"], spent, *map(_accuracies, mine), score]
            rows.append((float(row["score"]), cells))
        rows += [] if only else _partial(studies, {row[1][0] for row in rows})
    rows.sort(key=lambda row: -row[0])
    names = [f"{task}, reward (test) %" for task in tasks]
    header = ["agent", "evaluations", *names, "score"]
    return tables.markdown(header, [cells for _, cells in rows])


def _partial(
    studies: Sequence[Mapping[str, Row]], known: Collection[str]
) -> list[tuple[float, list[str]]]:
    """Return rows of agents that were not run on every task; they have no score and come last."""
    found: list[tuple[float, list[str]]] = []
    for agent in dict.fromkeys(agent for study in studies for agent in study):
        if agent not in known:
            mine = [study.get(agent) for study in studies]
            spent = "/".join(dict.fromkeys(whole(row["evaluations"]) for row in mine if row))
            cells = ["" if row is None else _accuracies(row) for row in mine]
            found.append((float("-inf"), [agent, spent, *cells, ""]))
    return found


def _accuracies(row: Row) -> str:
    return f"{interval(row, 'reward_accuracy')} ({percent(row['test_accuracy'])})"
