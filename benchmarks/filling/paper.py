"""Tables of the paper beside our results, from the claims in ``benchmarks/paper.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import Field

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError, Name, Schema
from amc_gym._utils.names import choose
from benchmarks.best_plans.judged import Judged
from benchmarks.filling.cells import RESULTS, Row, difference, percent, rows_of, study_of
from benchmarks.finetuning.outcomes import load_all
from benchmarks.reports import tables
from benchmarks.reports.escaping import Markdown
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError

FILE = Path(__file__).parents[1] / "paper.toml"

HEADER = (
    "paper's policy",
    "paper %",
    "our agent",
    "study",
    "MACs or weights %",
    "before %",
    "fine-tuned %",
    "to the full network, trained further",
    "test images",
    "seeds",
    "machine",
)

NOT_RUN = "not run"

STAGES_AGENT = "evolution"
"""Agent that `amc_gym.search` is, by which each stage of weight pruning is decided."""


class ClaimSchema(Schema):
    """A row of a table of the paper, and our result beside it.

    Attributes:
        policy: the paper's name of it.
        paper: the paper's figures; None if it has none.
        result: folder of committed results in benchmarks/results; None if nothing was run.
        agent: agent of that study whose plan is shown.
    """

    policy: Name
    paper: Name | None = None
    result: Name | None = None
    agent: Name | None = None


class TableSchema(Schema):
    """A table of claims; ``elsewhere`` means that our results are on other images."""

    elsewhere: bool = False
    rows: list[ClaimSchema] = Field(min_length=1)


def _read() -> dict[str, TableSchema]:
    """Return every table of the file, by name.

    Raises:
        BenchmarkError: the file does not fit the schema.
    """
    try:
        content = tomllib.loads(documents.read_text(FILE))
        return {name: documents.check(TableSchema, each) for name, each in content.items()}
    except (DocumentError, tomllib.TOMLDecodeError, OSError) as error:
        raise BenchmarkError(f"{FILE} holds no claims: {error}") from error


def figures_of(result: str) -> dict[str, str]:
    """Return the paper's figures for the agents of a study, if the images are the same."""
    return {
        claim.agent: claim.paper if claim.policy == claim.agent else f"{claim.policy} {claim.paper}"
        for each in _read().values()
        for claim in each.rows
        if claim.result == result and claim.agent and claim.paper and not each.elsewhere
    }


def paper(name: str) -> list[str]:
    """Return a table of the paper beside our results.

    Raises:
        ValueError: there is no table of that name.
    """
    known = _read()
    choose("table of the paper", name, known)
    rows = [[claim.policy, claim.paper or "", *_ours(claim)] for claim in known[name].rows]
    return tables.markdown(HEADER, rows, words=4)


def _ours(claim: ClaimSchema) -> list[str]:
    if claim.result is None:
        return [NOT_RUN, *[""] * (len(HEADER) - 3)]
    folder, study = RESULTS / claim.result, study_of(claim.result)
    where = Markdown(f"[{study.name}](../benchmarks/configs/{study.name}.toml)")
    for known in (_tuned, _searched, _judged, _staged):
        if found := known(folder, claim.agent or ""):
            return [claim.agent or "", where, *found]
    raise BenchmarkError(f"{folder} has no result of {claim.agent!r}")


def _row(path: Path, agent: str) -> Row | None:
    if not path.exists():
        return None
    return next((row for row in rows_of(path) if row["agent"] == agent), None)


def _tuned(folder: Path, agent: str) -> list[str] | None:
    """Return the figures of a plan, or of the full network, before and after fine-tuning."""
    row = _row(folder / "finetuned" / "finetuned.csv", agent)
    if row is None:
        return None
    outcomes = [each for each in load_all(folder / "finetuned") if each.agent == agent]
    images = {len(each.after.array) for each in outcomes}
    return [
        percent(row["macs"]),
        percent(row["before"]),
        percent(row["after"], 2),
        difference(row),
        _numbers(images),
        row["seeds"],
        _machines(each.machine for each in outcomes),
    ]


def _searched(folder: Path, agent: str) -> list[str] | None:
    """Return the figures of searches without fine-tuning."""
    row = _row(folder / "report.csv", agent)
    if row is None:
        return None
    records, _ = Store(folder).load()
    mine = [each for each in records if each.run.agent == agent] or records
    return [
        percent(row["macs_ratio"]) or "100.0",
        percent(row["test_accuracy"]),
        "",
        "",
        _numbers({records[0].full.test_images}),
        row["seeds"],
        _machines(each.machine for each in mine),
    ]


def _judged(folder: Path, agent: str) -> list[str] | None:
    """Return the figures of a search's best plan, evaluated image by image."""
    row = _row(folder / "best-plans.csv", agent)
    if row is None:
        return None
    judged = map(Judged.read, (folder / "best-plans").glob("*.json"))
    images = {len(each.right["test top1"].array) for each in judged if each.agent == agent}
    sizes = [percent(row["macs_ratio"]), percent(row["test_top1"])]
    return [*sizes, "", "", _numbers(images), row["runs"], ""]


def _staged(folder: Path, agent: str) -> list[str] | None:
    """Return the figures of the last stage of weight pruning, which `amc_gym.search` decides."""
    path = folder / "stages.csv"
    if agent != STAGES_AGENT or not path.exists():
        return None
    row = rows_of(path)[-1]
    machine = documents.read(folder / "machine.json")["machine"]
    after, change = percent(row["after"], 2), difference(row)
    return [
        percent(row["density"]),
        percent(row["before"]),
        after,
        change,
        _numbers([int(row["images"])]),
        "1",
        _machines([machine]),
    ]


def _numbers(found: Iterable[int]) -> str:
    return " or ".join(f"{each:,}" for each in sorted(found))


def _machines(found: Iterable[Mapping[str, str | int]]) -> str:
    names = {str(each.get("gpu", each["cpu"])) for each in found}
    return ", ".join(sorted(name.replace("NVIDIA ", "").split(" 80GB")[0] for name in names))
