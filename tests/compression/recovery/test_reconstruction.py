"""Reconstruction: nested and plain least squares equal NumPy's, on a layer's true inputs."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from amc_gym.compression.cost import RESOURCES, counted_macs, counted_params
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery.reconstruction import (
    NestedLeastSquares,
    as_matrix,
    least_squares,
    refit,
    unfolded_columns,
)
from amc_gym.compression.recovery.statistics import (
    can_refit,
    grams,
    random_positions,
    rows_at,
    split_product,
)
from amc_gym.compression.slim import slim
from amc_gym.compression.tracing import trace

generator = torch.Generator().manual_seed(0)
ROWS = torch.randn(300, 24, dtype=torch.float64, generator=generator) @ torch.randn(
    24, 24, dtype=torch.float64, generator=generator
)
GRAM = ROWS.T @ ROWS
WEIGHT = torch.randn(24, 7, dtype=torch.float64, generator=generator)
ORDER = torch.randperm(24, generator=generator)


@pytest.mark.parametrize("k", [1, 5, 23, 24])
def test_nested_equals_plain_equals_lstsq(k):
    columns = ORDER[:k].sort().values
    plain = least_squares(GRAM, WEIGHT, columns)
    ascending = ORDER[:k].argsort()
    nested = NestedLeastSquares(GRAM, WEIGHT, ORDER, dtype=torch.float64).weights(k).T[ascending]
    torch.testing.assert_close(nested, plain, rtol=1e-8, atol=1e-8)
    fast = NestedLeastSquares(GRAM, WEIGHT, ORDER).weights(k).T[ascending]
    torch.testing.assert_close(fast.double(), plain, rtol=1e-3, atol=1e-4)
    expected, *_ = np.linalg.lstsq(ROWS[:, columns].numpy(), (ROWS @ WEIGHT).numpy(), rcond=None)
    plain = least_squares(GRAM, WEIGHT, columns, ridge=1e-12)
    np.testing.assert_allclose(plain, expected, rtol=1e-6, atol=1e-6)


def test_what_columns_explain_is_the_error_without_them():
    """Compare |X W0 - X_S W|^2 of the best W with what the columns after the first k explain."""
    explained = NestedLeastSquares(
        GRAM, WEIGHT, ORDER, ridge=1e-12, dtype=torch.float64
    ).explained()
    for k in (0, 1, 9, 23, 24):
        columns = ORDER[:k]
        fitted = ROWS[:, columns] @ least_squares(GRAM, WEIGHT, columns, ridge=1e-12)
        error = (ROWS @ WEIGHT - fitted).square().sum()
        torch.testing.assert_close(explained[k:].sum(), error, rtol=1e-6, atol=1e-6)


def test_errors_of_units_are_those_of_direct_fits(plain_task):
    """Check layers that are re-fitted: convolutions, one behind a flattening, a linear layer."""
    model = plain_task.model
    graph = trace(model, plain_task.example)
    statistics = grams(model, graph, [plain_task.calibration.images], n_images=400)
    orders = rank(model, graph, statistics, "magnitude")
    errors = Pruner(model, graph, orders, statistics).errors()
    for unit, order, error in zip(graph.units, orders, errors, strict=True):
        (name,) = unit.consumers
        layer, gram = graph.layers[name], statistics[name][0]
        weight = as_matrix(model.get_submodule(name).weight)[0]
        for count in (1, unit.channels // 2):
            kept = tuple(np.sort(order[:count]) for _ in graph.units)
            assert layer.inputs is not None
            columns = unfolded_columns(layer.inputs.kept(kept), layer)[0]
            fitted = torch.zeros_like(weight)
            fitted[columns] = least_squares(gram, weight, columns)
            lost = ((weight - fitted).T @ gram @ (weight - fitted)).trace()
            total = (weight.T @ gram @ weight).trace()
            assert error[count] == pytest.approx((lost / total).item(), rel=1e-3, abs=1e-4)


def test_errors_of_layers_as_they_are_are_those_without_their_columns(plain_task):
    model = plain_task.model
    graph = trace(model, plain_task.example)
    statistics = grams(model, graph, [plain_task.calibration.images], n_images=400)
    orders = rank(model, graph, statistics, "magnitude")
    errors = Pruner(model, graph, orders, {}).errors(statistics)
    for index, (unit, order, error) in enumerate(zip(graph.units, orders, errors, strict=True)):
        (name,) = unit.consumers
        layer, gram = graph.layers[name], statistics[name]
        matrix = as_matrix(model.get_submodule(name).weight, layer.groups)

        assert layer.inputs is not None

        def lost(
            channels: np.ndarray, layer=layer, gram=gram, matrix=matrix, inputs=layer.inputs
        ) -> float:
            gone = torch.from_numpy(np.isin(inputs.channel, channels))
            left = matrix * gone.repeat_interleave(layer.weights).reshape(*matrix.shape[:2], 1)
            return (left.mT @ gram @ left).diagonal(dim1=-2, dim2=-1).sum().item()

        assert set(layer.inputs.unit) == {index}
        all_lost = [lost(order[k:]) for k in range(unit.channels + 1)]
        rising = np.maximum.accumulate(all_lost[::-1])[::-1]  # with fewer channels never less
        np.testing.assert_allclose(error, rising / rising[0], rtol=1e-6, atol=1e-9)


def test_keeping_everything_returns_the_original_weights_whatever_the_ridge():
    for ridge in (1e-6, 1.0, 100.0):
        kept = least_squares(GRAM, WEIGHT, torch.arange(24), ridge)
        torch.testing.assert_close(kept, WEIGHT, rtol=1e-7, atol=1e-7)


def test_dead_inputs_do_not_break_the_fit():
    gram = torch.zeros(4, 4, dtype=torch.float64)
    weight = torch.ones(4, 2, dtype=torch.float64)
    assert NestedLeastSquares(gram, weight, torch.arange(4)).weights(2).isfinite().all()


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 4, 1),
        nn.Conv2d(3, 4, 3, padding=1, stride=2),
        nn.Conv2d(3, 4, 5, padding=2, dilation=2),
        nn.Conv2d(3, 4, (3, 1), padding="same"),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_sampled_rows_are_rows_of_the_unfolded_input(conv):
    conv, inputs = conv.double(), torch.randn(6, 3, 12, 12, dtype=torch.float64)
    every = conv(inputs).detach().permute(0, 2, 3, 1).reshape(6, -1, 4)
    where = random_positions(6, every.shape[1], torch.Generator().manual_seed(0))
    rows = rows_at(conv, inputs, where)
    assert rows.shape[0] == 60
    outputs = rows @ conv.weight.detach().flatten(1).T + conv.bias.detach()
    for image, produced in enumerate(outputs.reshape(6, 10, 4)):
        distance = (produced[:, None] - every[image][None]).abs().amax(2)
        assert distance.min(1).values.max() < 1e-12
        assert len(distance.argmin(1).unique()) == 10  # ten distinct positions


def test_grams_are_the_sum_over_all_positions_where_there_are_few(plain_stack):
    """Compare with unfolded inputs; with at most ten positions, all of them are sampled."""
    images = torch.randn(200, 3, 8, 8)
    graph = trace(plain_stack, images[:1])
    collected = grams(plain_stack, graph, images.split(64), n_images=200)
    seen = {}
    hook = plain_stack.get_submodule("third").register_forward_pre_hook(
        lambda module, args: seen.update(x=args[0])
    )
    plain_stack(images)
    hook.remove()
    columns = F.unfold(seen["x"], 5, padding=2, stride=2)  # (N, 250, 4)
    rows = columns.permute(0, 2, 1).reshape(-1, 250).double().detach()
    torch.testing.assert_close(collected["third"][0], rows.T @ rows, rtol=1e-5, atol=1e-3)


def test_layers_with_too_few_samples_are_left_alone(plain_stack):
    graph = trace(plain_stack, torch.zeros(1, 3, 8, 8))
    hidden = graph.layers["hidden"]  # 32 columns, one sample per image
    assert can_refit(hidden, 64)
    assert not can_refit(hidden, 63)
    assert not can_refit(graph.layers["first"], 10**6)  # fed by the network's input


def test_groups_are_fitted_each_for_itself():
    grams_, weights = torch.stack([GRAM, 2 * GRAM.flip(0, 1)]), torch.stack([WEIGHT, -WEIGHT])
    columns = torch.stack([ORDER[:9].sort().values, ORDER[9:18].sort().values])
    together = least_squares(grams_, weights, columns)
    for group in range(2):
        alone = least_squares(grams_[group], weights[group], columns[group])
        torch.testing.assert_close(together[group], alone)


class Grouped(nn.Module):
    """A grouped convolution between two others; its units fall into four blocks on each side."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 1)
        self.grouped = nn.Conv2d(16, 24, 3, padding=1, groups=4)
        self.last = nn.Conv2d(24, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.grouped(torch.relu(self.first(x))))).mean((2, 3))


def test_grouped_convolutions_are_fitted_slimmed_and_counted_right():
    torch.manual_seed(0)
    model, images = Grouped().eval(), torch.randn(200, 3, 6, 6)
    graph = trace(model, images[:1])
    assert [(u.name, u.channels, u.blocks) for u in graph.units] == [
        ("grouped", 16, 4),
        ("last", 24, 4),
    ]
    statistics = grams(model, graph, [images], n_images=200)
    assert statistics["grouped"].shape == (4, 36, 36)
    pruner = Pruner(model, graph, rank(model, graph, statistics, "magnitude"), statistics)
    for counts in ((8, 12), (4, 24), (16, 4)):
        kept = pruner.kept(counts)
        assert all(np.bincount(k // 4).tolist() == [counts[0] // 4] * 4 for k in kept[:1])
        small = slim(model, graph, kept, refit(model, graph, statistics, kept))
        assert counted_macs(small, images) == RESOURCES["macs"].of_channels(graph).total(counts)
        assert counted_params(small) == RESOURCES["params"].of_channels(graph).total(counts)
        fast = pruner.tensors(counts, "grouped")["weight"]
        torch.testing.assert_close(fast, small.grouped.weight.data, rtol=1e-3, atol=1e-4)
    plain = slim(model, graph, kept := pruner.kept((8, 24)))
    fitted = slim(model, graph, kept, refit(model, graph, statistics, kept))
    error = [(net.eval()(images) - model(images)).square().mean() for net in (plain, fitted)]
    assert error[1] < error[0]


@pytest.mark.parametrize("importance", ["magnitude", "greedy"])
def test_remembered_tensors_equal_the_plain_fit(plain_task, importance):
    model = plain_task.model
    graph = trace(model, plain_task.example)
    statistics = grams(model, graph, [plain_task.calibration.images], n_images=400)
    assert set(statistics) == {"second", "third", "hidden", "classifier"}
    pruner = Pruner(model, graph, rank(model, graph, statistics, importance), statistics)
    rng = np.random.default_rng(0)
    for _ in range(5):
        counts = [int(rng.integers(1, c + 1)) for c in graph.full]
        plain = refit(model, graph, statistics, pruner.layout(counts))
        for name, weight in plain.items():
            remembered = pruner.tensors(counts, name)["weight"]
            torch.testing.assert_close(remembered, weight, rtol=1e-3, atol=1e-4)
            assert torch.equal(remembered, pruner.tensors(counts, name)["weight"])


def test_reconstruction_lowers_the_error_of_the_layers_output():
    columns = ORDER[:12].sort().values
    target = ROWS @ WEIGHT
    plain = (ROWS[:, columns] @ WEIGHT[columns] - target).square().sum()
    fitted = (ROWS[:, columns] @ least_squares(GRAM, WEIGHT, columns) - target).square().sum()
    assert fitted < 0.7 * plain


@pytest.mark.parametrize("shift", [0.0, 3.0])  # inputs behind a ReLU have a mean
def test_short_products_in_float32_sum_to_the_gram_matrix(shift: float) -> None:
    torch.manual_seed(0)
    rows = (torch.randn(2, 20_000, 24) * torch.logspace(-3, 3, 24) + shift).relu()
    exact = rows.double().mT @ rows.double()
    scale = exact.diagonal(dim1=-2, dim2=-1).sqrt()
    off = (split_product(rows) - exact).abs() / (scale[..., :, None] * scale[..., None, :])
    assert off.max() < 2e-7  # a single product of all rows is off by 4e-7
