"""Identity of a plan, from which names of files are hashed, independent of plan formats."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from amc_gym import CompressionPlan


def identity(plan: CompressionPlan, separators: tuple[str, str] | None = None) -> str:
    """Return the JSON of a plan in format 1, which identifies finished work of all versions.

    Args:
        plan: the plan.
        separators: separators of ``json.dumps``; None: its default.
    """
    content: dict[str, Any] = {
        "kept": plan.kept,
        "task": plan.task,
        "options": plan.options,
        "fingerprints": plan.fingerprints,
        "measured": plan.measured.to_dict(),
        "versions": plan.versions,
        "weights": plan.weights,
        "format": 1,
    }
    canonical = json.dumps(content, separators=(",", ":"))
    checksum = hashlib.sha256(canonical.encode()).hexdigest()
    return json.dumps({"sha256": checksum} | content, separators=separators)
