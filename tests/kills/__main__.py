"""Many kills of each command, and their outcome: ``python -m tests.kills --kills 50``.

Standard output has one line for each scenario, standard error one for each kill; the exit status
is 1 if something was lost, done twice or left over.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kills.decoding import Decoding
from tests.kills.export import Export
from tests.kills.finetuning import FineTuning
from tests.kills.harness import Scenario, kill_repeatedly
from tests.kills.study import Study
from tests.kills.study import environment as of_study


@dataclass(frozen=True)
class Kind:
    """A kind of scenario: how it is made in a folder, and its command's variables."""

    make: Callable[[Path], Scenario]
    environment: Callable[[Path], Mapping[str, str]] = lambda folder: {}


SCENARIOS = {
    "finetuning": Kind(FineTuning),
    "decoding": Kind(Decoding, lambda folder: {"AMC_CACHE": str(folder / "cache")}),
    "export": Kind(Export),
    "study": Kind(Study, lambda folder: of_study()),
}


def main() -> int:
    """Run the scenarios that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], metavar="SCENARIO")
    parser.add_argument("--kills", type=int, default=50, help="of each scenario")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    problems = 0
    for name in arguments.scenarios or SCENARIOS:
        kind = SCENARIOS[name]
        with tempfile.TemporaryDirectory(prefix="amc-gym-kills-") as temporary:
            folder = Path(temporary)
            summary = kill_repeatedly(
                kind.make(folder),
                arguments.kills,
                seed=arguments.seed,
                environment=dict(kind.environment(folder)),
            )
        print(summary, flush=True)
        problems += len(summary.problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
