"""Batched evaluation of plans that a searcher knows before it needs their rewards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym


def evaluated_ahead(
    env: gym.Env[Any, Any], plans: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, ...]]:
    """Yield plans in order, each to be executed before the next one is asked for.

    Before a plan is yielded, as many plans as pay off are evaluated together; their episodes then
    find the remembered scores.  Rewards, their order and the number of evaluations are the same as
    if plans were executed one by one.

    Args:
        env: an AMC environment, wrapped or not.
        plans: counts of each unit.
    """
    evaluate_ahead = env.get_wrapper_attr("evaluate_ahead")
    left = list(plans)
    while left:
        known = evaluate_ahead(left)
        yield from left[:known]
        left = left[known:]
