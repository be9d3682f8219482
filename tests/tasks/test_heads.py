"""Auxiliary heads that only training runs: they are left out, with a warning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import images
from torch import nn
from torch.nn import functional as F
from torchvision.models import googlenet

import amc_gym
from amc_gym import CompressionTask, Split
from amc_gym.envs.factory import make_env
from amc_gym.tasks.heads import auxiliary_heads, left_out, train_mode, unread_parameters, without


class Body(nn.Module):
    """A network with an auxiliary classifier for training, and with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 12, 3), nn.Conv2d(12, 16, 3)
        self.drop = nn.Dropout(0.5)
        self.aux = nn.Sequential(nn.Flatten(), nn.Linear(12 * 36, 5))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.a(x))
        y = self.head(self.drop(F.relu(self.b(x)).mean((2, 3))))
        return (y, self.aux(x)) if self.training else y


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, x):
        return self.body(x)


class Unused(nn.Module):
    """A network with a part that no mode runs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.left_over = nn.Conv2d(3, 12, 3), nn.Linear(7, 7)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        return self.head(F.relu(self.a(x)).mean((2, 3)))


def made(kind) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def task_of(model) -> CompressionTask:
    return CompressionTask(model, images(80, 1), images(20, 2), images(20, 3))


def plan_of(task):
    env = make_env(task, preserve_ratio=0.7)
    env.reset()
    while env._plan is None:
        env.step(np.array([0.3]))
    return env.plan


@pytest.mark.parametrize(("kind", "head"), [(Body, "aux"), (Nested, "body.aux")])
def test_a_head_that_only_training_runs_is_left_out(kind, head, tmp_path):
    model = made(kind)
    with pytest.warns(UserWarning, match=f"the model runs '{head}' in training only"):
        task = task_of(model)
    assert dict(model.named_modules())[head] is not None  # the user's model keeps its head
    plan = plan_of(task)
    assert amc_gym.validate(task, plan).ok
    small = amc_gym.compress(task, plan)
    assert left_out(small) == (head,)
    assert not any("aux" in name for name in small.state_dict())
    kept = sum(p.numel() for n, p in small.named_parameters())
    assert plan.measured.params == kept

    tuned = amc_gym.finetune(
        task,
        plan,
        images(40, 9),
        amc_gym.Recipe(1, 20, 0.05, schedule="cosine", distillation=0.5),
        progress=False,
    )
    assert tuned(task.example).shape == (1, 5)

    path = tmp_path / "small.safetensors"
    amc_gym.export(tuned, task, path)
    again = amc_gym.load(path, model=model)
    torch.testing.assert_close(again(task.example), tuned(task.example))


def test_dropout_works_in_training_without_the_head():
    network = without(made(Body), ("aux",))
    train_mode(network)
    x = images(4, 0).images
    assert network.drop.training
    assert not torch.equal(network(x), network(x))
    assert network(x).shape == (4, 5)


def test_googlenets_auxiliary_heads_are_left_out():
    torch.manual_seed(0)
    model = googlenet(num_classes=5, aux_logits=True, init_weights=False).eval()
    splits = [images(n, seed, size=64) for n, seed in ((8, 1), (4, 2), (4, 3))]
    assert auxiliary_heads(model, splits[0].images[:2]) == ("aux1", "aux2")
    with pytest.warns(UserWarning, match="'aux1', 'aux2'"):
        task = CompressionTask(model, *splits)
    assert task.model.aux1 is None
    train_mode(task.model)
    assert task.model(splits[0].images).shape == (8, 5)
    torch.testing.assert_close(task.model.eval()(task.example), model(task.example))


def test_parts_that_nothing_reads_stay_and_are_named(caplog):
    model = made(Unused)
    assert set(unread_parameters(model, images(2, 0).images)) == {
        "left_over.weight",
        "left_over.bias",
    }
    task = task_of(model)
    assert "never reads 2 of its parameters ('left_over.weight'" in caplog.text
    assert task.model is model


def test_networks_without_such_heads_stay_the_same_object(plain_stack):
    assert auxiliary_heads(plain_stack, images(2, 0).images) == ()
    assert task_of(plain_stack).model is plain_stack


def test_training_that_wants_more_than_images_is_looked_at_as_far_as_it_goes():
    class Wants(Body):
        def forward(self, x, labels=None):
            if self.training:
                self.aux(F.relu(self.a(x)))
                assert labels is not None, "labels, please"
            return self.head(F.relu(self.b(F.relu(self.a(x)))).mean((2, 3)))

    assert auxiliary_heads(made(Wants), images(2, 0).images) == ("aux",)


def test_a_split_of_a_task_with_heads_is_what_it_was():
    with pytest.warns(UserWarning, match="aux"):
        task = task_of(made(Body))
    assert isinstance(task.test, Split)


class Talkative(nn.Module):
    """A network without heads that returns its features beside the logits in training."""

    def __init__(self, wants_labels=False) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12)
        self.head, self.drop = nn.Linear(12, 5), nn.Dropout(0.5)
        self.wants_labels = wants_labels

    def forward(self, x, labels=None):
        x = F.relu(self.norm(self.a(x))).mean((2, 3))
        y = self.head(self.drop(x))
        if self.training and self.wants_labels:
            return F.cross_entropy(y, labels)
        return (y, x) if self.training else y


class Around(nn.Module):
    """A network around another one, which asks whether the inner one is training."""

    def __init__(self, inner) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        y = self.inner(x)
        return y[0].log_softmax(1) if isinstance(y, tuple) and y[1].sum() > 1e9 else y


TALKATIVE = {
    "outermost": (lambda: Talkative(), "leaves outermost of its modules"),
    "labels": (lambda: Talkative(True), "leaves outermost of its modules"),
    "inner": (lambda: Around(Talkative()), "leaves all that hold others of its modules"),
}


@pytest.mark.parametrize(("make", "message"), TALKATIVE.values(), ids=TALKATIVE)
def test_networks_with_other_outputs_in_training_are_fine_tuned(make, message):
    model = made(make)
    with pytest.warns(UserWarning, match=message):
        task = task_of(model)
    train_mode(task.model)
    inner = getattr(task.model, "inner", task.model)
    assert inner.norm.training
    assert inner.drop.training
    assert not inner.training
    task.model.eval()
    assert not any(module.training for module in model.modules())
    recipe = amc_gym.Recipe(1, 20, 0.05, schedule="cosine")
    tuned = amc_gym.finetune(task, plan_of(task), images(40, 9), recipe, progress=False)
    assert tuned(task.example).shape == (1, 5)


def test_networks_without_logits_in_training_are_searched_but_not_fine_tuned():
    class Stubborn(Talkative):
        def forward(self, x, labels=None):
            y = super().forward(x)
            return y if not self.drop.training else {"logits": y}

    task = task_of(made(Stubborn))
    plan = plan_of(task)
    recipe = amc_gym.Recipe(1, 20, 0.05, schedule="cosine")
    with pytest.raises(ValueError, match=r"does not return logits .N, classes. in training mode"):
        amc_gym.finetune(task, plan, images(40, 9), recipe, progress=False)
