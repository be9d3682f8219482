"""Memory of an evaluator: results are remembered up to a bound, plans are all counted."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

from amc_gym.compression.evaluation.memory import PLANS, Memory
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions


def plans(n, units=60, seed=0):
    rng = np.random.default_rng(seed)
    return [tuple(map(int, row)) for row in rng.integers(1, 2000, (n, units))]


def test_what_was_used_least_recently_is_forgotten_first():
    memory = Memory(most=3)
    a, b, c, d = plans(4)
    for number, plan in enumerate((a, b, c)):
        memory.put(plan, number)
    assert memory.get(a) == 0
    memory.put(d, 3)
    assert [memory.get(plan) for plan in (a, b, c, d)] == [0, None, 2, 3]
    assert len(memory) == 3


def test_plans_are_counted_once_however_often_they_are_forgotten():
    memory = Memory(most=2)
    several = plans(5)
    for plan in several * 3:
        memory.put(plan, 0)
    assert memory.distinct == 5
    memory.forget()
    assert memory.distinct == len(memory) == 0
    assert memory.get(several[0]) is None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_start_with_nothing_and_the_same_bound(copied):
    memory = Memory(most=2)
    memory.put((1, 2), 3)
    other = copied(memory)
    assert other.distinct == 0
    for plan in plans(4):
        other.put(plan, 0)
    assert len(other) == 2
    assert memory.get((1, 2)) == 3


def test_memory_stays_bounded():
    memory, sizes = Memory(), []
    tracemalloc.start()
    try:
        for seed in range(3):
            for plan in plans(PLANS, seed=seed):
                memory.put(plan, 0)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert memory.distinct == 3 * PLANS
    assert sizes[0] < 60e6
    assert (sizes[2] - sizes[0]) / (2 * PLANS) < 120  # bytes for a plan that is only counted


def test_an_evaluator_evaluates_a_forgotten_plan_again_to_the_same_result(digits_task):
    made = Engine(engines.analysis(digits_task), EngineOptions(reward_images=100))
    evaluator = made.evaluator
    evaluator._remembered = Memory(most=3)
    rng = np.random.default_rng(0)
    several = list({tuple(int(rng.integers(1, c + 1)) for c in made.graph.full) for _ in range(8)})
    found = evaluator.many(several)  # more in one call than are remembered
    assert len(evaluator._remembered) == 3
    assert [evaluator(plan) for plan in several] == found
    assert evaluator.distinct == len(several)
    assert len(set(found)) > 1
