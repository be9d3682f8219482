"""Committed plans: every one, in any format, is read as its file says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amc_gym
from amc_gym import CompressionPlan
from benchmarks.leaderboard.commands import SUBMISSIONS

BENCHMARKS = Path(amc_gym.__file__).parents[1] / "benchmarks"


def plans_in(content: Any) -> Iterator[dict[str, Any]]:
    """Yield all plans that a document holds at any depth."""
    if isinstance(content, dict):
        if content.keys() >= {"sha256", "kept", "fingerprints", "measured"}:
            yield content
            return
        content = list(content.values())
    if isinstance(content, list):
        for each in content:
            if isinstance(each, dict | list):
                yield from plans_in(each)


def test_committed_plans_are_what_they_were() -> None:
    seen: set[str] = set()
    formats: dict[int, int] = {}
    for path in sorted(BENCHMARKS.rglob("*.json")):
        for content in plans_in(json.loads(path.read_text())):
            if content["sha256"] in seen:
                continue
            seen.add(content["sha256"])
            plan = CompressionPlan.from_dict(content)
            for name in ("task", "options", "fingerprints", "versions"):
                assert getattr(plan, name) == content[name], path
            assert plan.measured.to_dict() == content["measured"], path
            assert plan.weights == content.get("weights", {})
            if content["format"] == 1:
                assert list(plan.kept) == list(content["kept"]), path
                assert [list(kept) for kept in plan.kept.values()] == list(content["kept"].values())
            assert CompressionPlan.from_dict(plan.to_dict()) == plan
            formats[content["format"]] = formats.get(content["format"], 0) + 1
    assert sum(formats.values()) >= len(list(SUBMISSIONS.glob("*/plans/*.json"))) > 0
