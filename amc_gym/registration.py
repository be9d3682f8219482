"""One table of ids."""

from __future__ import annotations

import gymnasium as gym

from amc_gym.zoo.models import NETWORKS

ENTRY_POINT = "amc_gym.envs.factory:make_env"
VECTOR_ENTRY_POINT = "amc_gym.envs.factory:make_vector_env"

IDS = {network.id: name for name, network in NETWORKS.items()}
"""Id -> name of the network in `amc_gym.zoo.models`; "AMC-v0" takes a task of one's own."""


def register() -> None:
    """Register every id that is not registered yet."""
    table = {"AMC-v0": {}} | {id_: {"task": network} for id_, network in IDS.items()}
    for id_, kwargs in table.items():
        if id_ not in gym.registry:
            gym.register(
                id_,
                entry_point=ENTRY_POINT,
                vector_entry_point=VECTOR_ENTRY_POINT,
                kwargs=kwargs,
                # Episodes end by themselves; a step limit would only hide a bug.
                max_episode_steps=None,
            )
