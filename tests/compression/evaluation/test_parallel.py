"""Parallel evaluation: results equal those of one core."""

import sys
import threading

import numpy as np
import pytest
import torch
from children import run_forked

from amc_gym.compression.evaluation.parallel import executor, torch_threads
from amc_gym.compression.recovery.statistics import grams
from amc_gym.engine.analysis import BATCH
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions


@pytest.fixture
def threads():
    """Yield a function that sets torch's number of threads, and restore the number afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def random_plans(made, n):
    rng = np.random.default_rng(0)
    return [tuple(int(rng.integers(1, c + 1)) for c in made.graph.full) for _ in range(n)]


@pytest.mark.parametrize("recovery", ["reconstruct", "reconstruct+bn"])
def test_hits_depend_neither_on_cores_nor_on_other_plans(digits_task, threads, recovery):
    made = Engine(engines.analysis(digits_task), EngineOptions(recovery=recovery))
    assert len(made.evaluator.batches) > 1
    plans = random_plans(made, 9 if recovery == "reconstruct" else 2)  # more than may be pending
    threads(1)
    alone = [made.evaluator(counts) for counts in plans]
    for cores in (1, 2, 3):
        threads(cores)
        made.evaluator.forget()
        assert made.evaluator.many([*plans, plans[0]]) == [*alone, alone[0]]


@pytest.mark.thorough
def test_statistics_do_not_depend_on_cores_or_on_the_fast_network(digits_task, threads):
    graph, images = engines.analysis(digits_task).graph, digits_task.calibration.images
    found = []
    for cores in (1, 2):
        threads(cores)
        engines.clear()
        found.append(engines.analysis(digits_task).grams)
    plain = grams(digits_task.model, graph, images.split(BATCH), n_images=len(images))
    assert found[0].keys() == found[1].keys() == plain.keys()
    for name, gram in plain.items():
        assert torch.equal(found[0][name], found[1][name])
        scale = gram.max()  # inputs are float32: each layer before rounds by 6e-8
        torch.testing.assert_close(found[0][name] / scale, gram / scale, rtol=1e-5, atol=1e-5)


def test_logits_are_the_same_bits_on_any_number_of_cores(digits_task, threads):
    made = Engine(engines.analysis(digits_task), EngineOptions())
    images, _ = made.evaluator.batches[0]

    def logits(cores, counts):
        threads(cores)
        network = made.evaluator.network(counts)
        with torch.inference_mode():
            return executor().submit(torch.inference_mode()(network), images).result()

    for counts in random_plans(made, 4):
        assert torch.equal(logits(1, counts), logits(2, counts))


def test_networks_that_are_evaluated_together_do_not_disturb_each_other(digits_task):
    made = Engine(engines.analysis(digits_task), EngineOptions())
    images, _ = made.evaluator.batches[0]
    plans = random_plans(made, made.evaluator.network.overlap)
    with torch.inference_mode():
        expected = [made.evaluator.network(counts)(images).clone() for counts in plans]
        networks = [made.evaluator.network(counts) for counts in plans]
        for network, logits in zip(networks, expected, strict=True):
            assert torch.equal(network(images), logits)


def test_each_worker_has_one_thread_and_others_keep_theirs(threads):
    threads(2)
    assert executor().submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == 2
    seen = []
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [2]
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_an_error_reaches_the_caller_and_the_next_plan_is_evaluated(digits_task, threads):
    threads(2)
    made = Engine(engines.analysis(digits_task), EngineOptions())
    full = made.graph.full
    with pytest.raises(Exception, match=r".+"):
        made.evaluator.many([full, (0,) * len(full)])
    assert made.evaluator(full).images == 400


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_a_forked_process_makes_threads_of_its_own():
    script = """
import os, torch
from amc_gym.compression.evaluation.parallel import executor
torch.set_num_threads(2)
executor().submit(int).result()
child = os.fork()
if child == 0:
    os._exit(executor().submit(lambda: 7).result(timeout=20))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = run_forked(script)
    assert done.stdout.strip() == "7", done.stderr
