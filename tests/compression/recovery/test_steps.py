"""Recovery steps: what each computes; search and final network use them in the same way."""

import copy

import numpy as np
import pytest
import torch
from small import ExactCalibration, play

import amc_gym
from amc_gym.compression.recovery import BatchNorm, Finetune, Reconstruct, chain
from amc_gym.compression.recovery.batch_norm import recalibrate
from amc_gym.compression.slim import slim
from amc_gym.engine.cache import engines
from amc_gym.envs.factory import make_env


def test_parsing():
    assert chain("none").steps == ()
    assert chain("reconstruct+bn").steps == (Reconstruct(), BatchNorm())
    assert chain("bn+finetune:7").steps[-1] == Finetune(7)
    assert chain("finetune").steps == (Finetune(100),)
    assert chain("bn:200").steps == (BatchNorm(200),)
    assert str(chain("reconstruct+bn:200")) == "reconstruct+bn:200"
    assert chain(["reconstruct", Finetune(3)]) == chain("reconstruct+finetune:3")


@pytest.mark.parametrize(
    ("recovery", "message"),
    [
        ("reconstrct", "unknown recovery step 'reconstrct'; did you mean 'reconstruct'"),
        ("bn+reconstruct", r"write the steps in the order 'reconstruct\+bn'"),
        ("bn+bn", "name each step once"),
        ("none+bn", "'none' stands alone"),
        ("nonlinear:3", "nonlinear takes no number, only bn and finetune do"),
        ("bn:1", "bn takes a number of images, as in bn:100"),
        ("bn:", "bn takes a number of images"),
        ("finetune:0", "finetune takes a number of steps"),
        ("finetune:x", "finetune takes a number of steps"),
        ("", "unknown recovery step"),
    ],
)
def test_what_cannot_be_parsed(recovery, message):
    with pytest.raises(ValueError, match=message):
        chain(recovery)


def test_recalibrated_statistics_are_those_of_the_images():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(3).eval()
    network = torch.nn.Sequential(norm)
    images = 3 + 2 * torch.randn(201, 3, 5, 5)
    recalibrate(network, images.split(64))  # the last batch has nine images
    torch.testing.assert_close(norm.running_mean, images.mean((0, 2, 3)))
    within = sum(len(batch) * batch.var((0, 2, 3)) for batch in images.split(64)) / len(images)
    torch.testing.assert_close(norm.running_var, within)
    assert norm.momentum == 0.1
    assert not norm.training


@pytest.mark.parametrize(("most", "seen"), [(4, 4), (5, 4), (6, 6), (8, 8), (100, 12)])
def test_batch_norms_see_so_many_images_and_no_batch_beyond_them(exact, most, seen):
    images, asked = next(iter(exact.images()))[:12], []

    class Few(ExactCalibration):
        def images(self):
            for batch in images.split(4):
                asked.append(len(batch))
                yield batch

    few = Few(exact.model, images)
    by_some = BatchNorm(most).apply(copy.deepcopy(exact.model), None, few)
    by_first = copy.deepcopy(exact.model)
    recalibrate(by_first, images[:seen].split(4))
    for name, found in by_some.state_dict().items():
        torch.testing.assert_close(found, by_first.state_dict()[name], msg=name)
    assert sum(asked) == min(-(-most // 4) * 4, 12)


@pytest.fixture(scope="module")
def exact(plain_task):
    return ExactCalibration(plain_task.model, plain_task.calibration.images)


@pytest.mark.parametrize("recovery", ["sequential", "nonlinear"])
def test_keeping_everything_in_sequence_changes_nothing(exact, recovery):
    kept = tuple(np.arange(c) for c in exact.graph.full)
    same = chain(recovery).recover(kept, exact)
    images = next(iter(exact.images()))
    torch.testing.assert_close(same(images), exact.model(images), rtol=1e-6, atol=1e-6)


def test_one_pruned_unit_is_the_nested_fit_and_two_are_better_sequentially(exact):
    """Compare both fits: they agree while all earlier units are whole, so a layer's inputs are."""
    images = next(iter(exact.images()))
    full = [np.arange(c) for c in exact.graph.full]
    one = (*full[:3], np.arange(9))
    by_refit = chain("reconstruct").recover(one, exact)
    by_pass = chain("sequential").recover(one, exact)
    torch.testing.assert_close(by_pass(images), by_refit(images), rtol=1e-3, atol=1e-3)

    several = tuple(np.arange(c // 2) for c in exact.graph.full)
    errors = []
    for recovery in ("none", "reconstruct", "sequential", "nonlinear"):
        network = chain(recovery).recover(several, exact)
        with torch.no_grad():
            errors.append(float((network(images) - exact.model(images)).square().mean()))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("recovery", ["reconstruct+bn", "sequential", "nonlinear", "bn+finetune:3"])
def test_search_signal_and_hand_over_are_the_same_network(plain_task, recovery):
    env = make_env(plain_task, recovery=recovery, preserve_ratio=0.6)
    *_, info = play(env, [0.5] * 4)
    small = amc_gym.compress(plain_task, env.plan)
    fast = env.engine.evaluator.network(env.plan.counts)
    images = plain_task.reward.images
    with torch.inference_mode():
        torch.testing.assert_close(small(images), fast(images), rtol=1e-3, atol=1e-3)
    assert amc_gym.validate(plain_task, env.plan).ok
    assert info["accuracy"] == env.plan.measured.accuracy


def test_finetuning_trains_and_leaves_the_original_alone(plain_task):
    made = engines.analysis(plain_task)
    before = copy.deepcopy(plain_task.model.state_dict())
    kept = tuple(np.arange(c // 2) for c in made.graph.full)
    plain = slim(plain_task.model, made.graph, kept)
    tuned = chain("finetune:20").recover(kept, made)
    split = plain_task.calibration

    def loss(network):
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(network(split.images), split.labels)

    assert loss(tuned) < loss(plain)
    assert not tuned.training
    after = plain_task.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_another_recovery_can_be_applied_to_a_found_plan(plain_task):
    env = make_env(plain_task, preserve_ratio=0.6)
    play(env, [0.5] * 4)
    other = amc_gym.compress(plain_task, env.plan, "sequential+bn")
    expected = chain("sequential+bn").recover(
        env.plan.kept_channels(env.engine.graph), engines.analysis(plain_task)
    )
    images = plain_task.reward.images
    with torch.inference_mode():
        assert torch.equal(other(images), expected(images))
        assert not torch.equal(other(images), amc_gym.compress(plain_task, env.plan)(images))
