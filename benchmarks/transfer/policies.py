"""Names of policies' files and what they say: NAME[-nNETWORKS][-sSEED].

Several trainings of a policy differ only in their seed, so that an interval can be over them:
amc-policy-n20-s0 and amc-policy-n20-s1 are two trainings on 20 networks each.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.transfer.rows import Row

_NAME = re.compile(r"(?P<name>.+?)(?:-n(?P<networks>\d+))?(?:-s\d+)?")


def label(row: Row) -> str:
    """Name an agent as tables do: by its policy, or by its own name if it has none."""
    return _parts(row["policy"])[0] or row["agent"]


def networks(policy: str) -> int | None:
    """Read from its name how many networks a policy was trained on; ``None``: it does not say."""
    return _parts(policy)[1]


def _parts(policy: str) -> tuple[str, int | None]:
    match = _NAME.fullmatch(policy)
    if match is None:
        return "", None
    return match["name"], None if match["networks"] is None else int(match["networks"])


def by_label(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group rows by agent, keeping for each policy only trainings on the most networks.

    Trainings whose names do not say the number are trainings on all networks.
    """
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[label(row)].append(row)
    return {name: _largest(mine) for name, mine in found.items()}


def _largest(rows: Sequence[Row]) -> list[Row]:
    known = {policy: networks(policy) for policy in {row["policy"] for row in rows}}
    counts = set(known.values())
    most = None if None in counts else max(n for n in counts if n is not None)
    return [row for row in rows if known[row["policy"]] == most]
