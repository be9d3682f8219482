"""Plans that a searcher knows before it needs their rewards, evaluated together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym


def evaluated_ahead(
    env: gym.Env[Any, Any], plans: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, ...]]:
    """Yield plans in order, each of them to be executed before the next one is asked for.

    As many as it pays to evaluate at once are, before the first of them is yielded: its episode
    then finds what is remembered.  Rewards, their order and what counts as an evaluation are those
    of plans that are executed one by one.

    Args:
        env: an AMC environment, wrapped or not.
        plans: counts of each unit.
    """
    ahead = env.get_wrapper_attr("ahead")
    left = list(plans)
    while left:
        known = ahead(left)
        yield from left[:known]
        left = left[known:]
