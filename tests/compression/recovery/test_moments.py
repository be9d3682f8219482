"""Moments: outputs get back the mean and deviation that least squares took from them."""

import torch

from amc_gym.compression.recovery.fitting import Fitted
from amc_gym.compression.recovery.moments import restored


def test_means_and_deviations_are_those_that_are_wanted():
    torch.manual_seed(0)
    rows = torch.randn(2, 400, 6) + 1
    wanted = 3 * torch.randn(2, 400, 4) - 5
    fitted = Fitted(torch.linalg.lstsq(rows, wanted).solution, torch.ones(2, 1, 4))
    assert (fitted(rows).std(1) < wanted.std(1)).all()  # least squares shrink deviations
    found = restored(fitted, rows, wanted)(rows)
    torch.testing.assert_close(found.mean(1), wanted.mean(1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.std(1), wanted.std(1), rtol=1e-4, atol=1e-4)


def test_outputs_that_do_not_vary_are_moved_and_not_stretched():
    rows = torch.randn(1, 50, 3)
    dead = Fitted(torch.zeros(1, 3, 2), torch.zeros(1, 1, 2))
    found = restored(dead, rows, torch.randn(1, 50, 2) + 7)
    assert torch.equal(found.weights, dead.weights)
    assert (found(rows) - 7).abs().max() < 1
    whole = Fitted(torch.randn(1, 3, 2), torch.zeros(1, 1, 2))
    constant = restored(whole, rows, torch.full((1, 50, 2), 4.0))
    assert torch.equal(constant.weights, whole.weights)
