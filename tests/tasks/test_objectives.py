"""Objectives: losses and scores of any outputs and targets, and refusals of wrong ones."""

from __future__ import annotations

import builtins
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, r2_score
from torch import nn
from torch.nn import functional as F

import amc_gym
from amc_gym import CompressionTask, Objective, Samples, objectives
from amc_gym.compression.evaluation.scoring import finished
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.factory import make_env


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def in_batches(objective: Objective, outputs, targets, size: int) -> float:
    score = objective.score
    parts = [
        score.accumulate(outputs[start : start + size], targets[start : start + size])
        for start in range(0, len(outputs), size)
    ]
    return finished(score, parts)


def test_iou_is_that_of_all_pixels():
    logits = drawn(10, 4, 6, 6)
    targets = torch.randint(0, 3, (10, 6, 6), generator=torch.Generator().manual_seed(1))
    targets[0, :2] = 255  # pixels that do not count
    counts = targets != 255
    expected = jaccard_score(
        targets[counts], logits.argmax(1)[counts], average="macro", labels=range(4)
    )
    for size in (10, 3):
        found = in_batches(objectives.segmentation(), logits, targets, size)
        assert found == pytest.approx(expected)
    alone = {"out": logits, "aux": logits}
    assert objectives.segmentation().score.accumulate(alone, targets).shape == (4, 5)
    logits[:] = math.nan
    assert in_batches(objectives.segmentation(), logits, targets, 5) == 0


def test_r2_is_that_of_the_whole_pass():
    targets = drawn(30, 2) * 3 + 100
    outputs = targets + drawn(30, 2, seed=1)
    expected = r2_score(targets.double(), outputs.double())
    for size in (30, 7, 1):
        found = in_batches(objectives.regression(), outputs, targets, size)
        assert found == pytest.approx(expected, abs=1e-6)
    assert in_batches(objectives.regression(), outputs * 0, targets, 7) == 0
    assert in_batches(objectives.regression(), outputs * math.nan, targets, 7) == 0
    assert in_batches(objectives.regression(), targets[:, 0], targets[:, :1], 7) == 1
    with pytest.raises(ValueError, match="the same for all samples"):
        in_batches(objectives.regression(), outputs, torch.ones(30, 2), 7)


def test_a_tolerance_counts_what_is_near():
    targets = torch.zeros(4, 2)
    outputs = torch.tensor([[0.1, 0.3], [-0.1, 0.0], [math.nan, 0.0], [9.0, 0.2]])
    assert in_batches(objectives.regression(tolerance=0.2), outputs, targets, 3) == 5 / 8


def boxes_of(*corners: tuple[float, ...], scores: bool) -> dict[str, torch.Tensor]:
    made = {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(corners), dtype=torch.int64),
    }
    return made | ({"scores": torch.full((len(corners),), 0.9)} if scores else {})


def test_precision_is_of_all_images_together():
    """Compare with torchmetrics: a false box in one image lowers the precision of the others."""
    there = [boxes_of((0, 0, 10, 10), scores=False), boxes_of((5, 5, 20, 20), scores=False)]
    right = [boxes_of((0, 0, 10, 10), scores=True), boxes_of((5, 5, 20, 20), scores=True)]
    objective = objectives.detection(iou=0.5)
    assert in_batches(objective, right, there, 1) == pytest.approx(1)
    half = [right[0], boxes_of((30, 30, 40, 40), scores=True)]
    assert in_batches(objective, half, there, 1) == in_batches(objective, half, there, 2)
    assert 0 < in_batches(objective, half, there, 1) <= 0.51
    nothing = [boxes_of(scores=True)] * 2
    assert in_batches(objective, nothing, there, 1) == 0
    assert objectives.detection().name == "mAP"
    with pytest.raises(ValueError, match="dictionary of boxes, scores, labels"):
        objective.score.accumulate(torch.zeros(2, 4), there)
    with pytest.raises(ValueError, match="lack scores"):
        objective.score.accumulate(there, there)


def test_without_the_extra_detection_names_it(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pycocotools"):
            raise ImportError("No module named 'pycocotools'", name="pycocotools")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'amc-gym\[detection\]'"):
        objectives.detection()


class Metric:
    """A metric that collects values over batches, as those of torchmetrics do."""

    def __init__(self) -> None:
        self.errors: list[float] = []

    def reset(self) -> None:
        self.errors = []

    def update(self, outputs, targets) -> None:
        self.errors += (outputs - targets).abs().flatten().tolist()

    def compute(self) -> float:
        return float(np.exp(-np.mean(self.errors)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU())
        self.head = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def split(net: nn.Module, n: int, seed: int) -> Samples:
    x = drawn(n, 6, seed=seed)
    with torch.no_grad():
        return Samples(x, net(x) + 0.1 * drawn(n, 2, seed=seed + 100))


def task_of(net: nn.Module, objective, **options) -> CompressionTask:
    parts = [split(net, n, seed) for seed, n in enumerate((64, 40, 40))]
    return CompressionTask(net, *parts, objective=objective, **options)


def mse(outputs, targets):
    return F.mse_loss(outputs, targets)


def near(outputs, targets):
    return (-(outputs - targets).abs().mean(1)).exp()


def clipped_r2(outputs, targets):
    return max(0.0, r2_score(targets, outputs))


@pytest.mark.parametrize("score", [near, Metric(), clipped_r2], ids=["each", "metric", "whole"])
def test_anything_callable_is_a_score(net, score):
    task = task_of(net, (mse, score))
    env = make_env(task, preserve_ratio=0.6)
    plan = amc_gym.search(env, 3, progress=False)
    network = amc_gym.compress(task, plan)
    with torch.no_grad():
        outputs = network(task.reward.inputs)
    if isinstance(score, Metric):
        score.reset()
        score.update(outputs, task.reward.targets)
        expected = score.compute()
    else:
        expected = float(np.mean(np.asarray(score(outputs, task.reward.targets))))
    assert plan.measured.score == pytest.approx(expected, abs=1e-5)
    assert amc_gym.validate(task, plan).ok
    assert plan.score_name == "score"
    assert amc_gym.CompressionPlan.from_json(plan.to_json()) == plan
    assert '"score":' in plan.to_json()
    assert '"accuracy"' not in plan.to_json()


def test_info_says_score_and_no_accuracy(net):
    env = make_env(task_of(net, "regression"))
    env.reset()
    info, reward = {}, 0.0
    for _ in range(env.steps_per_episode):
        _, reward, _, _, info = env.step(np.array([0.5]))
    assert reward == info["score"]
    assert "accuracy" not in info
    assert env.options["metric"] == "R2"
    assert env.options["reward"] == "score"


def test_taylor_and_sensitivity_know_the_objectives_loss(net):
    env = make_env(task_of(net, "regression"), importance="taylor")
    saliency = env.engine.analysis.saliency
    x, y = env.task.calibration.inputs, env.task.calibration.targets
    hidden = net.body[:2](x).detach().requires_grad_()
    loss = F.mse_loss(net.head(net.body[2:](hidden)), y) * len(x)
    (gradient,) = torch.autograd.grad(loss, hidden)
    expected = (gradient * hidden).square().mean(0).double()
    torch.testing.assert_close(saliency[0], expected.detach(), rtol=1e-4, atol=1e-9)
    assert all(value > 0 for value in env.engine.analysis.sensitivity.values())


REFUSED = {
    "above 1": ((mse, lambda o, t: near(o, t) + 1), r"numbers in \[0, 1\]"),
    "NaN": ((mse, lambda o, t: near(o, t) * math.nan), r"numbers in \[0, 1\]"),
    "NaN at last": ((mse, lambda o, t: math.nan), r"must be in \[0, 1\]"),
    "of another batch size": ((mse, lambda o, t: near(o, t)[:1]), r"\(1,\) for 2 samples"),
    "of two dimensions": ((mse, lambda o, t: (o - t).abs()), r"\(2, 2\) for 2 samples"),
    "below 0 for bad outputs": ((mse, lambda o, t: r2_score(t, o)), "outputs that are"),
    "a text": ((mse, lambda o, t: "good"), "the score"),
    "that fails": ((mse, lambda o, t: o["logits"]), "fails on the reward samples"),
    "loss without gradient": ((lambda o, t: mse(o.detach(), t), near), "no gradient"),
    "loss of numbers": ((lambda o, t: mse(o, t).item(), near), "a tensor with one number"),
    "loss for each": ((lambda o, t: (o - t).square().mean(1), near), "a tensor with one number"),
    "infinite loss": ((lambda o, t: mse(o, t) / 0, near), "must be finite"),
    "other targets": ("segmentation", "logits"),
    "boxes": ("detection", "list with a dictionary"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_before_the_search(net, name):
    objective, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        task_of(net, objective)


def test_targets_of_every_split_must_fit(net):
    good, bad = split(net, 40, 0), Samples(drawn(40, 6, seed=7), drawn(40, 3))
    for place in range(3):
        parts = [good, split(net, 40, 1), split(net, 40, 2)]
        parts[place] = bad
        with pytest.raises(ValueError, match="of one shape"):
            CompressionTask(net, *parts, objective="regression")
    other = Samples((drawn(40, 6), drawn(40, 6)), drawn(40, 2))
    with pytest.raises(ValueError, match="inputs of one structure"):
        CompressionTask(net, other, good, split(net, 40, 2), objective="regression")
    with pytest.raises(ValueError, match="share 40 images"):
        CompressionTask(net, good, good, split(net, 40, 2), objective="regression")


def test_what_is_no_objective_is_refused(net):
    with pytest.raises(TypeError, match="objective must be one of classification"):
        task_of(net, 3)
    with pytest.raises(ValueError, match="segmentation"):
        task_of(net, "segmentaton")
    with pytest.raises(TypeError, match="loss must be a function of outputs and targets"):
        task_of(net, (lambda outputs: 0, near))
    with pytest.raises(ValueError, match="top must be 1 or 5"):
        objectives.classification(top=3)


def test_options_of_classes_are_refused_for_others(net):
    task = task_of(net, "regression")
    with pytest.raises(ValueError, match="metric='top5' is only for tasks that classify"):
        make_env(task, metric="top5")
    plan = amc_gym.search(make_env(task), 1, progress=False)
    train_split = split(net, 64, 9)
    for option in ({"label_smoothing": 0.1}, {"flip": True}, {"shift": 1}):
        with pytest.raises(ValueError, match=next(iter(option))):
            amc_gym.finetune(task, plan, train_split, amc_gym.Recipe(1, 32, 0.01, **option))
    with pytest.raises(amc_gym.PlanError, match="evaluated by 'R2'"):
        amc_gym.validate(task_of(net, objectives.regression(tolerance=0.5)), plan)


def test_top5_is_an_objective_and_a_metric(digits_task):
    five = CompressionTask(
        digits_task.model,
        digits_task.calibration,
        digits_task.reward,
        digits_task.test,
        objective=objectives.classification(top=5),
    )
    plans = [
        amc_gym.search(
            make_env(task, reward_images=50, preserve_ratio=0.5, **options), 1, progress=False
        )
        for task, options in ((five, {}), (digits_task, {"metric": "top5"}))
    ]
    assert plans[0].measured == plans[1].measured
    assert plans[0].options["metric"] == plans[1].options["metric"] == "top5"
    assert EngineOptions().metric is None


class Detector(nn.Module):
    """A detector: a part that makes maps, and a head that runs once for each bright place."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(6, 2)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        maps = self.backbone(images)
        return [
            self.head(one[:, image[0] > 0.5].T) for one, image in zip(maps, images, strict=True)
        ]


def test_a_part_alone_is_compressed_and_counted():
    torch.manual_seed(0)
    model = Detector().eval()

    def loss(outputs, targets):
        return torch.stack(
            [(o.mean() - t) ** 2 for o, t in zip(outputs, targets, strict=True)]
        ).mean()

    def score(outputs, targets):
        return torch.stack(
            [(-(o.mean() - t).abs()).exp() for o, t in zip(outputs, targets, strict=True)]
        )

    parts = [Samples(drawn(n, 3, 8, 8, seed=s), torch.zeros(n)) for s, n in enumerate((32, 16, 16))]
    task = CompressionTask(model, *parts, objective=(loss, score), part="backbone")
    env = make_env(task, recovery="reconstruct+bn")
    assert [unit.name for unit in env.engine.graph.units] == ["backbone.2"]
    assert env.engine.costs["macs"].full == 64 * 9 * (3 * 8 + 8 * 6)
    plan = amc_gym.search(env, 3, progress=False)
    assert amc_gym.validate(task, plan).ok
    network = amc_gym.compress(task, plan)
    assert network.get_submodule("backbone.0").out_channels == plan.counts[0] < 8
    assert torch.equal(network.get_submodule("head").weight, model.head.weight)
    with pytest.raises(ValueError, match="granularity"):
        make_env(task, granularity="weight", recovery="none")
    with pytest.raises(ValueError, match="no module of the model"):
        CompressionTask(model, *parts, objective=(loss, score), part="neck")
