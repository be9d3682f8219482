"""Engines that judge plans, and plans to judge."""

from __future__ import annotations

import numpy as np

from amc_gym import CompressionTask
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions


def engine(task: CompressionTask, evaluation: str = "auto", **options) -> Engine:
    """Return an engine of 100 reward images in float32 on the processor, or as options say."""
    usual = {"reward_images": min(100, len(task.reward)), "device": "cpu", "precision": "float32"}
    options = usual | options
    return Engine(engines.analysis(task), EngineOptions(evaluation=evaluation, **options))


def plans(made: Engine, n: int, least: float = 0.3) -> list[tuple[int, ...]]:
    """Draw ``n`` plans that keep a random fraction of each unit, at least ``least``."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(least, 1, (n, len(made.graph.units)))
    return [
        tuple(
            unit.blocks * max(1, round(share * unit.channels / unit.blocks))
            for unit, share in zip(made.graph.units, row, strict=True)
        )
        for row in shares
    ]
