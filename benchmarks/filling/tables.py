"""Tables of README and docs, each made from the files of committed results.

| marker                           | table                                                      |
|----------------------------------|------------------------------------------------------------|
| ``copy FILE [N]``                | the first or N-th table of a report                        |
| ``rows FILE N COLUMN=CELL|...``  | rows of the N-th table with one of these cells             |
| ``agents FOLDER``                | accuracies of each agent of a study                        |
| ``tuned FOLDER...``              | searches of studies, and what fine-tuning makes of them    |
| ``headlines FOLDER...``          | what remains of size and accuracy in several studies       |
| ``progress FOLDER AGENT,... N,..`` | best accuracy so far, after N evaluations                |
| ``scores COMPARISON=FOLDER,...`` | agents over tasks; ``:AGENT,...`` behind it: only these    |
| ``reference FOLDER...``          | the authors' code beside ours                              |
| ``signal FILE``                  | rank correlations of each ranking and recovery             |
| ``networks all|summary|rest``    | networks of libraries, traced here and by Torch-Pruning    |
| ``transfer GROUP``               | agents on networks that a policy has not seen              |
| ``zoo all|families``             | small networks, and what the uniform plan costs them       |
| ``features episode|unit|decided``  | what is observed in suites                                 |
| ``suites``                       | suites of the package                                      |
| ``environments``                 | ids of single networks, and the budgets of their data sets |
| ``weights DATASET``              | networks with bundled weights for a data set               |
| ``paper TABLE``                  | claims of the paper, and what was measured beside them     |
| ``studies``                      | every study of `benchmarks/configs`, and its result        |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amc_gym._utils.names import choose
from benchmarks.filling.accuracies import agents, headlines, scores, tuned
from benchmarks.filling.environments import environments
from benchmarks.filling.paper import paper
from benchmarks.filling.progress import progress
from benchmarks.filling.reports import copy, reference, rows, signal
from benchmarks.filling.studies import studies
from benchmarks.filling.suites import features, suites
from benchmarks.filling.weights import weights
from benchmarks.networks.table import networks
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer.table import transfer
from benchmarks.zoo.table import zoo


def table(words: Sequence[str]) -> list[str]:
    """Return the lines of the table that a marker's words name.

    Raises:
        ValueError: there is no such table.
        BenchmarkError: it cannot be made from these files.
        OSError: a file is missing.
    """
    name, *arguments = words
    choose("table", name, TABLES)
    try:
        return TABLES[name](*arguments)
    except (TypeError, KeyError, IndexError) as error:
        raise BenchmarkError(f"no table {' '.join(words)!r} can be made: {error!r}") from error


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
    "transfer": transfer,
    "zoo": zoo,
    "features": features,
    "suites": suites,
    "environments": environments,
    "weights": weights,
    "paper": paper,
    "studies": studies,
}
