"""How the kept weights make up for the pruned ones: named steps, joined by "+"."""

from __future__ import annotations

from amc_gym.names import choose

STEPS = {
    "none": "the kept weights as they are",
    "reconstruct": "least squares towards each layer's original output (paper, section 3.4)",
}

PLANNED = frozenset({"bn", "sequential", "finetune"})
"""Steps of the public contract that are refused by name until they exist."""


def parse(recovery: str) -> tuple[str, ...]:
    """Split and check a recovery option: ``"reconstruct"`` -> ``("reconstruct",)``.

    Returns:
        The steps in order; empty for ``"none"``.

    Raises:
        ValueError: an unknown, repeated or not yet available step.
    """
    steps = recovery.split("+")
    for step in steps:
        choose("recovery step", step, STEPS, planned=PLANNED)
    if len(set(steps)) != len(steps) or ("none" in steps and len(steps) > 1):
        raise ValueError(f"recovery {recovery!r}: name each step once, and 'none' only alone")
    return () if steps == ["none"] else tuple(steps)
