"""Choice of a fit by held-out samples: even with few images none makes a network worse."""

import numpy as np
import pytest
import torch

from amc_gym import CompressionTask
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery import chain
from amc_gym.compression.recovery.fitting import Problem, best_fit
from amc_gym.engine.analysis import Analysis


@pytest.mark.parametrize(("images", "share"), [(10, 0.5), (40, 0.75)])
def test_with_few_images_no_recovery_is_worse_than_the_one_it_builds_on(digits_task, images, share):
    few = digits_task.calibration.first(images)
    task = CompressionTask(digits_task.model, few, digits_task.reward, digits_task.test)
    made, unseen = Analysis(task), task.test.images
    orders = rank(task.model, made.graph, {}, "magnitude", None)
    kept = tuple(np.sort(order[: int(share * len(order))]) for order in orders)
    errors = {}
    for recovery in ("reconstruct", "sequential", "nonlinear"):
        network = chain(recovery).recover(kept, made)
        with torch.no_grad():
            errors[recovery] = float((network(unseen) - task.model(unseen)).square().mean())
    # Few images are held out, too: only two to eight of them choose the nonlinear fit.
    assert errors["sequential"] < errors["reconstruct"]
    assert errors["nonlinear"] < 1.1 * errors["sequential"]


@pytest.mark.parametrize("samples", [12, 40, 4000])
def test_weights_move_as_far_as_unseen_samples_allow(samples):
    """Fit thirty noisy columns: a dozen samples say nothing about them, thousands do."""
    generator = torch.Generator().manual_seed(samples)
    rows = torch.randn(1, samples + 4000, 30, generator=generator)
    start = torch.randn(1, 30, 5, generator=generator)
    better = start + 0.1 * torch.randn(1, 30, 5, generator=generator)
    noise = torch.randn(1, samples + 4000, 5, generator=generator)
    given = slice(samples)
    problem = Problem(rows[:, given], (rows @ better)[:, given] + noise[:, given])
    found = best_fit(problem, start, samples * 4 // 5)
    weights = start if found is None else found.weights
    before, after = ((each - better).square().sum() for each in (start, weights))
    assert after <= before
    assert after < before / 10 or samples < 4000


@pytest.mark.parametrize("seed", range(5))
def test_what_is_right_already_is_left_as_it_is(seed):
    draw = torch.Generator().manual_seed(seed)
    rows, start = torch.randn(2, 50, 300, generator=draw), torch.randn(2, 300, 4, generator=draw)
    # Rounded differently from the product that the fit computes on fewer samples.
    wanted = (rows.double() @ start.double()).float()
    assert best_fit(Problem(rows, wanted), start, 40) is None
    assert best_fit(Problem(rows, 1.001 * wanted), start, 40) is not None
