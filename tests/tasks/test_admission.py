"""Requirements on a task's network, and errors for networks that do not meet them."""

from __future__ import annotations

import re
import threading
import warnings

import numpy as np
import pytest
import torch
from small import PlainStack, images, lively
from torch import distributed, nn
from torch.nn import functional
from torch.nn.utils import prune

import amc_gym
from amc_gym import CompressionTask
from amc_gym.envs.factory import make_env


def task_of(model, **options) -> CompressionTask:
    return CompressionTask(model, images(80, 1), images(20, 2), images(20, 3), **options)


def stack() -> nn.Module:
    torch.manual_seed(0)
    return lively(PlainStack())


class Answers(nn.Module):
    """A network whose outputs a function changes."""

    def __init__(self, change) -> None:
        super().__init__()
        self.body, self.change = PlainStack(), change

    def forward(self, x):
        return self.change(self.body(x))


def with_value(value: float, name: str) -> nn.Module:
    model = stack()
    model.state_dict()[name].view(-1)[0] = value
    return model


def holding(thing) -> nn.Module:
    model = stack()
    model.thing = thing
    return model


def partly_training() -> nn.Module:
    model = stack()
    model.get_submodule("norm").train()
    return model


def hooked(hook) -> nn.Module:
    model = stack()
    hook(model.get_submodule("second"))
    return model.eval()


def lazy() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.LazyConv2d(5, 8), nn.Flatten()).eval()


def answering(change) -> nn.Module:
    torch.manual_seed(0)
    return Answers(change).eval()


REFUSED = {
    "none": (lambda: None, TypeError, r"must be a torch\.nn\.Module, not None"),
    "its class": (lambda: PlainStack, TypeError, r"pass PlainStack\(\.\.\.\)"),
    "state_dict": (lambda: stack().state_dict(), TypeError, "load_state_dict"),
    "name": (lambda: "resnet18", TypeError, "not the string 'resnet18'"),
    "function": (lambda: functional.relu, TypeError, "must be a torch.nn.Module"),
    "training": (lambda: stack().train(), ValueError, r"call model\.eval\(\)"),
    "partly training": (lambda: partly_training(), ValueError, r"call model\.eval\(\)"),
    "scripted": (lambda: torch.jit.script(stack()), ValueError, r"scripted \(torch\.jit\)"),
    "traced": (lambda: torch.jit.trace(stack(), images(1, 0).images), ValueError, "scripted"),
    "scripted part": (
        lambda: nn.Sequential(torch.jit.script(stack())).eval(),
        ValueError,
        "'0' is scripted",
    ),
    "no parameters": (
        lambda: nn.Sequential(nn.AvgPool2d(2), nn.Flatten()).eval(),
        ValueError,
        "no parameters",
    ),
    "meta": (lambda: stack().to("meta"), ValueError, "meta device"),
    "lazy": (lazy, ValueError, "no shape yet"),
    "half": (lambda: stack().half(), ValueError, r"'first.weight' is torch.float16.*model\.float"),
    "double": (lambda: stack().double(), ValueError, r"torch.float64.*model\.float"),
    "nan weight": (lambda: with_value(float("nan"), "third.bias"), ValueError, "'third.bias' hold"),
    "inf weight": (lambda: with_value(np.inf, "second.weight"), ValueError, "'second.weight' hold"),
    "nan statistic": (
        lambda: with_value(float("nan"), "norm.running_var"),
        ValueError,
        "'norm.running_var' holds NaN",
    ),
    "negative variance": (
        lambda: with_value(-9.0, "norm.running_var"),
        ValueError,
        "logits are NaN",
    ),
    "lock": (lambda: holding(threading.Lock()), ValueError, "cannot be copied"),
    "non-leaf": (
        lambda: holding(torch.ones(2, requires_grad=True) * 2),
        ValueError,
        "cannot be copied",
    ),
    "tuple": (lambda: answering(lambda y: (y, y)), ValueError, "logits.*not tuple"),
    "dictionary": (lambda: answering(lambda y: {"out": y}), ValueError, "logits.*not dict"),
    "map": (lambda: answering(lambda y: y[:, :, None, None]), ValueError, "logits of shape"),
    "classes chosen": (lambda: answering(lambda y: y.argmax(1)), ValueError, "logits of shape"),
    "one class": (lambda: answering(lambda y: y[:, :1]), ValueError, "two classes"),
    "first image only": (lambda: answering(lambda y: y[:1]), ValueError, r"for 2 images"),
    "logits overflow": (lambda: answering(lambda y: y / 0), ValueError, "logits are NaN"),
    "one image only": (
        lambda: answering(lambda y: y.view(1, 5)),
        ValueError,
        "does not run on 2 images",
    ),
    "random": (
        lambda: answering(functional.dropout),
        ValueError,
        "training=self.training",
    ),
    "changes its input": (
        lambda: nn.Sequential(nn.ReLU(inplace=True), stack()).eval(),
        ValueError,
        "changes its input images in place",
    ),
    "old weight norm": (
        lambda: hooked(nn.utils.weight_norm),
        ValueError,
        "'second' computes its weight in a hook, WeightNorm.*remove_weight_norm",
    ),
    "old spectral norm": (
        lambda: hooked(nn.utils.spectral_norm),
        ValueError,
        "'second' computes its weight in a hook, SpectralNorm",
    ),
    "pruned by masks": (
        lambda: hooked(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)),
        ValueError,
        r"'second' computes its weight in a hook, BasePruningMethod.*prune\.remove",
    ),
    "raises": (
        lambda: answering(lambda y: [][1]),
        ValueError,
        "does not run on one image",
    ),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*is deprecated")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python")
@pytest.mark.parametrize(("make", "kind", "message"), REFUSED.values(), ids=REFUSED)
def test_networks_are_refused_by_name(make, kind, message):
    with pytest.raises(kind, match=message):
        task_of(make())


def test_a_mask_may_hold_infinity():
    model = stack()
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    assert task_of(model).model is model


class Compiled(nn.Module):
    """A network with a part that is given, such as a compiled one."""

    def __init__(self, part) -> None:
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)


WRAPPED = {
    "compiled": torch.compile,
    "parallel": nn.DataParallel,
    "both": lambda model: torch.compile(nn.DataParallel(model)),
    "inside": lambda model: Compiled(torch.compile(model)).eval(),
    "compiled twice inside": lambda model: nn.DataParallel(
        Compiled(torch.compile(nn.DataParallel(model))).eval()
    ),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrappers_come_off_and_the_model_stays_as_it_was(wrap):
    plain = stack()
    wrapped = wrap(plain)
    before = [type(module) for module in wrapped.modules()]
    task = task_of(wrapped)
    assert {type(m).__name__ for m in task.model.modules()}.isdisjoint(
        {"OptimizedModule", "DataParallel"}
    )
    assert [type(module) for module in wrapped.modules()] == before
    assert any(module is plain for module in task.model.modules())  # shared, not copied
    assert make_env(task).engine.graph.full == make_env(task_of(plain)).engine.graph.full


def test_distributed_networks_are_unwrapped(tmp_path):
    plain = stack()
    meeting = f"file://{tmp_path}/store"
    distributed.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
    try:
        assert task_of(nn.parallel.DistributedDataParallel(plain)).model is plain
    finally:
        distributed.destroy_process_group()


def test_a_network_compiled_in_place_runs_plainly(monkeypatch):
    model = stack()
    model.compile()
    assert model._compiled_call_impl is not None
    task = task_of(model)
    assert task.model._compiled_call_impl is None
    assert model._compiled_call_impl is not None
    monkeypatch.setattr(model, "_compiled_call_impl", None)
    torch.testing.assert_close(task.model(task.example), model(task.example))


def test_shared_modules_stay_shared_without_their_wrappers():
    inner = nn.Conv2d(3, 3, 1)
    wrapped = torch.compile(inner)
    model = nn.Sequential(wrapped, wrapped, nn.Conv2d(3, 5, 8), nn.Flatten()).eval()
    task = task_of(model)
    assert list(task.model._modules.values())[:2] == [inner, inner]


def test_frozen_weights_are_trained_and_it_is_said(caplog):
    model = stack().requires_grad_(False)
    task = task_of(model)
    env = make_env(task, preserve_ratio=0.7)
    env.reset()
    while env._plan is None:
        env.step(np.array([0.3]))
    recipe = amc_gym.Recipe(1, 20, 0.05, schedule="cosine")
    small = amc_gym.compress(task, env.plan)
    tuned = amc_gym.finetune(task, env.plan, images(40, 9), recipe, progress=False)
    assert re.search(r"15 weights are frozen.*'first.weight'.*trains them", caplog.text)
    changed = [
        not torch.equal(one, other)
        for one, other in zip(small.parameters(), tuned.parameters(), strict=True)
    ]
    assert all(changed)
    assert not any(parameter.requires_grad for parameter in model.parameters())
