"""Ids of the environments, and their registration with Gymnasium."""

from __future__ import annotations

import gymnasium as gym

ENTRY_POINT = "amc_gym.envs.factory:make_env"
VECTOR_ENTRY_POINT = "amc_gym.envs.factory:make_vector_env"

SUITE_ENTRY_POINT = "amc_gym.suites.environment:make_suite_env"
SUITE_VECTOR_ENTRY_POINT = "amc_gym.suites.environment:make_suite_vector_env"

IDS = {
    "AMC-ResNet56-v0": "ResNet56",
    "AMC-Plain20-v0": "Plain20",
    "AMC-MobileNet-v0": "MobileNet",
    "AMC-MobileNetV2-v0": "MobileNetV2",
    "AMC-ResNet50-v0": "ResNet50",
    "AMC-VGG16-v0": "VGG16",
}
"""Id -> name of the network in `amc_gym.zoo.models`; "AMC-v0" takes a task of your own.

The table is written out because the networks need PyTorch, and ids are registered without it.
"""


SUITES: dict[str, dict[str, str]] = {
    "AMC-Suite-v0": {},
    "AMC-SuiteTrain-v0": {"suite": "zoo-train-v1"},
    "AMC-SuiteTest-v0": {"suite": "zoo-test-v1"},
}
"""Id of a suite environment -> its keywords; "AMC-Suite-v0" takes any suite."""


def register() -> None:
    """Register every id that is not registered yet."""
    table = {"AMC-v0": {}} | {id_: {"task": network} for id_, network in IDS.items()}
    for id_, kwargs in table.items():
        _register(id_, ENTRY_POINT, VECTOR_ENTRY_POINT, kwargs)
    for id_, kwargs in SUITES.items():
        _register(id_, SUITE_ENTRY_POINT, SUITE_VECTOR_ENTRY_POINT, kwargs)


def _register(id_: str, entry_point: str, vector_entry_point: str, kwargs: dict[str, str]) -> None:
    if id_ not in gym.registry:
        gym.register(
            id_,
            entry_point=entry_point,
            vector_entry_point=vector_entry_point,
            kwargs=kwargs,
            # Episodes end by themselves; a step limit would only hide a bug.
            max_episode_steps=None,
        )
