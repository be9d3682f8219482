"""Tables of README and docs, each made from the files of committed results.

| marker                           | table                                                      |
|----------------------------------|------------------------------------------------------------|
| ``copy FILE [N]``                | the first or N-th table of a report                        |
| ``rows FILE N COLUMN=CELL|...``  | its rows with one of these cells, the N-th table's         |
| ``agents FOLDER``                | accuracies of each agent of a study                        |
| ``tuned FOLDER...``              | searches of studies, and what fine-tuning makes of them    |
| ``headlines FOLDER...``          | what remains of size and accuracy in several studies       |
| ``progress FOLDER AGENT,... N,..`` | best accuracy so far, after N evaluations                |
| ``scores COMPARISON=FOLDER,...`` | agents over tasks; ``:AGENT,...`` behind it: only these    |
| ``reference FOLDER...``          | the authors' code beside ours                              |
| ``signal FILE``                  | rank correlations of each ranking and recovery             |
| ``networks all|summary|rest``    | networks of libraries, traced here and by Torch-Pruning    |
| ``zoo all|families``             | small networks, and what the uniform plan costs them       |
| ``studies``                      | every study of `benchmarks/configs`, and its result        |
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from agents import kind_of
from amc_gym._utils.names import choose
from benchmarks.networks.table import networks
from benchmarks.reports import tables
from benchmarks.reports.escaping import Markdown
from benchmarks.reproducing.configs import Study, load, names
from benchmarks.search_signal.judgements import RECOVERIES
from benchmarks.studies import archive
from benchmarks.studies.runs import BenchmarkError
from benchmarks.zoo.table import zoo

RESULTS = Path(__file__).parents[1] / "results"
FULL = "full network"

Row = Mapping[str, str]
"""Column -> its text, of a CSV file."""


def table(words: Sequence[str]) -> list[str]:
    """The lines of the table that a marker's words name.

    Raises:
        ValueError: there is no such table.
        BenchmarkError: it cannot be made of these files.
        OSError: a file is missing.
    """
    name, *arguments = words
    choose("table", name, TABLES)
    try:
        return TABLES[name](*arguments)
    except (TypeError, KeyError, IndexError) as error:
        raise BenchmarkError(f"no table {' '.join(words)!r} can be made: {error!r}") from error


def copy(file: str, number: str = "1") -> list[str]:
    """A table of a report in Markdown."""
    found: list[list[str]] = [[]]
    for line in (RESULTS / file).read_text("utf-8").splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return found[int(number) - 1] or found[int(number)]


def rows(file: str, number: str, *conditions: str) -> list[str]:
    """Rows of a report's table in Markdown, without the columns that single one cell out."""
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


def headlines(*folders: str) -> list[str]:
    """The searched and fine-tuned network of each study, or that of its last stage."""
    header = ["", "MACs %", "parameters %", "accuracy %"]
    lines = []
    for folder in folders:
        title = _study_of(folder).title
        if (RESULTS / folder / "stages.csv").exists():
            row = _csv(folder, "stages.csv")[-1]
            sizes = ["", f"{_percent(row['density'])} not zero"]
        else:
            row = _first_searched(RESULTS / folder / "finetuned" / "finetuned.csv")
            sizes = [_percent(row["macs"]), _percent(row["params"])]
        lines.append([title, *sizes, _percent(row["after"], 2), _difference(row)])
    return tables.markdown([*header, "against the full network, trained on alike"], lines)


def progress(folder: str, agents: str, evaluations: str) -> list[str]:
    """Best accuracy on the reward images so far: median over seeds, and their range."""
    after = [int(n) for n in evaluations.split(",")]
    known = archive.read(RESULTS / folder)
    lines = []
    for agent in agents.split(","):
        runs = [run["history"] for run in known if run["agent"] == agent]
        if not runs:
            raise BenchmarkError(f"{folder} has no runs of {agent}")
        best = [[_best(run, n) for run in runs if run["evaluation"][-1] >= n] for n in after]
        lines.append([f"{agent}, {_seeds(len(runs))}", *map(_spread, best)])
    return tables.markdown(["best accuracy % after evaluations", *map(str, after)], lines)


def _best(history: Mapping[str, Sequence[float]], n: int) -> float:
    """Best accuracy of a run's first n evaluations, in percent."""
    numbered = zip(history["evaluation"], history["accuracy"], strict=True)
    return 100 * max(accuracy for evaluation, accuracy in numbered if evaluation <= n)


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return f"{median(values):.1f}" + (f", {low:.1f} to {high:.1f}" if low < high else "")


def agents(folder: str) -> list[str]:
    """Accuracies of each agent."""
    header = ["agent", "seeds", "evaluations", "reward accuracy %", "test accuracy %", "MACs %"]
    rows = [
        [
            row["agent"],
            row["seeds"],
            _whole(row["evaluations"]),
            _interval(row, "reward_accuracy"),
            _interval(row, "test_accuracy"),
            _percent(row["macs_ratio"]),
        ]
        for row in _csv(folder, "report.csv")
    ]
    return tables.markdown(header, rows)


def tuned(*folders: str) -> list[str]:
    """Test accuracy of searches, and before and after fine-tuning, beside the paper's."""
    header = ["plan of", "as searched %", "recovered %", "fine-tuned %", "fine-tuning seeds"]
    header += ["against the full network, trained on alike", "paper"]
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
    searched = {row["agent"]: row for row in _csv(folder, "report.csv")}
    after = {row["agent"]: row for row in _csv(folder, "finetuned/finetuned.csv")}
    paper = _study_of(folder).figures
    order = [*after, *(agent for agent in searched if agent not in after)]
    for agent in order:
        first, last = searched[agent], after.get(agent)
        seeds = first["seeds"]
        runs = f" ({seeds} seeds)" if seeds not in ("", "1") else ""
        cells = [agent, f"{_interval(first, 'test_accuracy')}{runs}"]
        if last is None:
            cells += ["", "", "", ""]
        else:
            if agent == FULL:
                cells = [agent, _percent(last["before"], 2)]
            before = "" if agent == FULL else _percent(last["before"], 2)
            cells += [before, _percent(last["after"], 2), last["seeds"], _difference(last)]
        yield [*cells, paper.get(agent, "")]


def _difference(row: Row) -> str:
    if not row["difference"]:
        return ""
    value, low, high = (f"{100 * float(row[name]):+.2f}" for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"


def scores(*comparisons: str) -> list[str]:
    """Agents over tasks, the best score first, beside their accuracies on each task."""
    rows: list[tuple[float, list[str]]] = []
    tasks: list[str] = []
    for comparison in comparisons:
        name, _, rest = comparison.partition("=")
        listed, _, only = rest.partition(":")
        studies = [
            {row["agent"]: row for row in _csv(each, "report.csv")} for each in listed.split(",")
        ]
        tasks = [row[FULL]["env"].removeprefix("AMC-").removesuffix("-v0") for row in studies]
        if not rows:
            full = [f"{_accuracies(study[FULL])}" for study in studies]
            rows.append((float("inf"), [FULL, "", *full, "1.00"]))
        for row in _csv(name, "comparison.csv"):
            if only and row["agent"] not in only.split(","):
                continue
            mine = [study[row["agent"]] for study in studies]
            spent = "/".join(dict.fromkeys(_whole(each["evaluations"]) for each in mine))
            score = _interval(row, "score", scale=1, digits=2)
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
    """Agents that were not run on every task: they have no score, and stand last."""
    found: list[tuple[float, list[str]]] = []
    for agent in dict.fromkeys(agent for study in studies for agent in study):
        if agent not in known:
            mine = [study.get(agent) for study in studies]
            spent = "/".join(dict.fromkeys(_whole(row["evaluations"]) for row in mine if row))
            cells = ["" if row is None else _accuracies(row) for row in mine]
            found.append((float("-inf"), [agent, spent, *cells, ""]))
    return found


def _accuracies(row: Row) -> str:
    return f"{_interval(row, 'reward_accuracy')} ({_percent(row['test_accuracy'])})"


FIGURES = (
    "construction, s",
    "episode, s",
    "peak memory above imports, MB",
    "re-fit, s",
    "evaluation, s",
)


def reference(*folders: str) -> list[str]:
    """The authors' code beside ours."""
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
    """Spearman's of all plans, of the upper half, and beyond size; a row for each ranking."""
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


def studies() -> list[str]:
    """Rows of the paper that there are: by which command, at which cost, with which result."""
    rows = []
    for study in map(load, names()):
        command = Markdown(f"`python -m benchmarks reproduce {study.name}`")
        rows.append([study.paper or "", study.title, command, study.cost, _result(study)])
    rows.sort(key=lambda row: (not row[0], row[0], row[1]))
    return tables.markdown(["in the paper", "here", "command", "cost", "ours"], rows, words=5)


def _result(study: Study) -> Markdown | str:
    """The headline of a study's result, with a link to its report."""
    if study.result is None:
        return ""
    folder = RESULTS / study.result
    reports = ("finetuned/finetuned.md", "report.md", "comparison.md", "pareto.md", "signal.md")
    report = next(
        (name for name in (*reports, "stages.md", "signals.md") if (folder / name).exists()), ""
    )
    words = _headline(folder) or "report"
    return Markdown(f"[{words}](../benchmarks/results/{study.result}/{report})")


def _headline(folder: Path) -> str:
    """Figures of the most accurate plan that was searched and fine-tuned, else nothing."""
    path = folder / "finetuned" / "finetuned.csv"
    if path.exists():
        row = _first_searched(path)
        before, after = _percent(row["before"]), _percent(row["after"])
        return f"{row['agent']}: {before} → {after} %, {_difference(row)} against the full network"
    path = folder / "stages.csv"
    if path.exists():
        row = _rows(path)[-1]
        return f"{_percent(row['density'])} % of the weights: {_percent(row['after'])} %"
    return ""


def _first_searched(path: Path) -> Row:
    """The first row of a fine-tuned study that is no rule's."""
    return next(
        row for row in _rows(path) if row["agent"] != FULL and kind_of(row["agent"]) != "rule"
    )


def _study_of(folder: str) -> Study:
    return next(study for study in map(load, names()) if study.result == folder)


def _csv(folder: str, name: str) -> list[dict[str, str]]:
    return _rows(RESULTS / folder / name)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _percent(text: str, digits: int = 1) -> str:
    return f"{100 * float(text):.{digits}f}" if text else ""


def _whole(text: str) -> str:
    return f"{float(text):.0f}" if text else ""


def _interval(row: Row, name: str, scale: float = 100, digits: int = 1) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    shown = [f"{scale * float(text):.{digits}f}" for text in (value, low, high) if text]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]" if low else shown[0]


TABLES: dict[str, Callable[..., list[str]]] = {
    "copy": copy,
    "rows": rows,
    "headlines": headlines,
    "progress": progress,
    "agents": agents,
    "tuned": tuned,
    "scores": scores,
    "reference": reference,
    "signal": signal,
    "networks": networks,
    "zoo": zoo,
    "studies": studies,
}
