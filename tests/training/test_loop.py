"""The training loop: it resumes bit for bit, and refuses wrong recipes."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from small import same
from torch import Tensor, nn

import amc_gym
from amc_gym import CompressionTask
from amc_gym.envs.factory import make_env
from amc_gym.tasks.split import Split
from amc_gym.training import loop as training
from amc_gym.training.augmentation import augment
from amc_gym.training.loop import _teacher, train
from amc_gym.training.optimization import (
    make_optimizer,
    make_scheduler,
    training_loss,
    uses_bf16,
)
from amc_gym.training.recipe import Recipe
from amc_gym.training.run import Run
from amc_gym.training.scores import accuracy
from amc_gym.zoo import bundled
from amc_gym.zoo.datasets import digits

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.05, shift=1, flip=True, seed=3)


class Tiny(nn.Module):
    """A network with batch norm and dropout, so that buffers and random numbers matter, too.

    It raises in step ``fuse``, counted from 0, as if the run were killed.
    """

    def __init__(self, fuse: int | None = None) -> None:
        super().__init__()
        self.fuse = fuse
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten()
        )
        self.head = nn.Linear(8 * 6 * 6, 10)

    def forward(self, images: Tensor) -> Tensor:
        if self.training and self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise KeyboardInterrupt
        return self.head(self.body(images))


@pytest.fixture
def split() -> Split:
    whole = digits(8).train
    return Split(whole.images[:100], whole.labels[:100])


def tiny(fuse: int | None = None) -> Tiny:
    torch.manual_seed(0)
    return Tiny(fuse)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_killed_run_resumes_to_the_same_bits(
    split: Split, tmp_path: Path, optimizer: Literal["sgd", "adamw"]
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)
    whole = train(tiny(), split, recipe, progress=False)

    checkpoint = tmp_path / "run" / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        # Step 15 is in epoch 2 of 0-3.
        train(tiny(fuse=15), split, recipe, checkpoint=checkpoint, progress=False)
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 2
    torch.rand(7)  # a new process has another state of the global generator
    resumed = train(Tiny(), split, recipe, checkpoint=checkpoint, progress=False)

    assert same(resumed, whole)
    assert not same(resumed, tiny())
    assert [path.name for path in checkpoint.parent.iterdir()] == ["state.pt"]


def test_finished_run_is_not_trained_again(split: Split, tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    first = train(tiny(), split, RECIPE, checkpoint=checkpoint, progress=False)
    assert same(train(Tiny(fuse=0), split, RECIPE, checkpoint=checkpoint, progress=False), first)


def test_checkpoint_of_another_run_is_refused(split: Split, tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    short = replace(RECIPE, epochs=1)
    train(tiny(), split, short, checkpoint=checkpoint, progress=False)
    with pytest.raises(ValueError, match="differs in epochs, seed"):
        train(tiny(), split, replace(RECIPE, seed=4), checkpoint=checkpoint, progress=False)
    other = Split(split.images, split.labels.flip(0))
    with pytest.raises(ValueError, match="differs in images"):
        train(tiny(), other, short, checkpoint=checkpoint, progress=False)


def test_training_depends_on_the_seed_and_leaves_the_global_stream_alone(split: Split) -> None:
    model = tiny()
    before = torch.get_rng_state()
    train(model, split, RECIPE, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(model, train(tiny(), split, replace(RECIPE, seed=4), progress=False))


def test_training_learns(split: Split) -> None:
    recipe = replace(RECIPE, epochs=15, shift=0, flip=False)
    model = train(tiny(), split, recipe, progress=False)
    assert accuracy(tiny(), split) < 0.4
    assert accuracy(model, split) > 0.95


def test_training_with_fewer_images_than_a_batch(split: Split) -> None:
    few = Split(split.images[:5], split.labels[:5])
    assert not same(train(tiny(), few, replace(RECIPE, epochs=6), progress=False), tiny())


def test_damaged_checkpoint_is_refused(split: Split, tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    train(tiny(), split, RECIPE, checkpoint=checkpoint, progress=False)
    whole = checkpoint.read_bytes()
    for damaged in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        checkpoint.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"state\.pt is damaged: delete it"):
            train(tiny(), split, RECIPE, checkpoint=checkpoint, progress=False)


def test_checkpoint_of_another_network_or_origin_is_refused(split: Split, tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.pt"
    train(tiny(), split, RECIPE, checkpoint=checkpoint, origin="one plan", progress=False)
    with pytest.raises(ValueError, match="differs in origin"):
        train(tiny(), split, RECIPE, checkpoint=checkpoint, origin="another", progress=False)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match="belongs to another network"):
        train(other, split, RECIPE, checkpoint=checkpoint, origin="one plan", progress=False)


def test_schedules_rise_and_fall() -> None:
    rates = {}
    for schedule in ("one-cycle", "cosine"):
        recipe = replace(RECIPE, schedule=schedule)
        optimizer = make_optimizer(tiny(), recipe)
        scheduler = make_scheduler(optimizer, recipe, 20)
        rates[schedule] = []
        for _ in range(20):
            rates[schedule].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    assert max(rates["one-cycle"]) == pytest.approx(0.05)
    assert rates["one-cycle"][0] < 0.01
    assert rates["cosine"][0] == 0.05
    assert rates["cosine"] == sorted(rates["cosine"], reverse=True)
    assert rates["cosine"][10] == pytest.approx(0.025)


def test_distillation_loss_against_its_definition() -> None:
    torch.manual_seed(0)
    logits, taught, labels = torch.randn(6, 10), torch.randn(6, 10), torch.arange(6)
    recipe = replace(RECIPE, distillation=0.25, temperature=3.0)
    p, q = (taught / 3).softmax(1), (logits / 3).softmax(1)
    soft = 9 * (p * (p / q).log()).sum(1).mean()
    hard = nn.functional.cross_entropy(logits, labels)
    expected = 0.75 * hard + 0.25 * soft
    torch.testing.assert_close(training_loss(logits, labels, taught, recipe), expected)
    torch.testing.assert_close(training_loss(logits, labels, None, recipe), hard)


def test_distillation_brings_the_student_nearer_to_its_teacher(split: Split) -> None:
    whole = digits(8).train
    teacher = train(tiny(), whole, replace(RECIPE, epochs=6, shift=0, flip=False), progress=False)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    unseen = digits(8).reward.images
    distances = {}
    for share in (0.0, 1.0):
        recipe = replace(
            RECIPE, schedule="cosine", epochs=15, distillation=share, shift=0, flip=False
        )
        torch.manual_seed(7)
        student = train(Tiny(), split, recipe, teacher=teacher, progress=False)
        with torch.inference_mode():
            found, wanted = (m(unseen).log_softmax(1) for m in (student, teacher))
        distances[share] = float((wanted.exp() * (wanted - found)).sum(1).mean())
    assert distances[1.0] < 0.8 * distances[0.0]
    assert not teacher.training
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_a_teachers_norms_are_folded_and_its_answers_are_the_same() -> None:
    split = digits(8).reward
    network = bundled.load("ResNet56", "digits")
    teacher = _teacher(network, split)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in teacher.modules())
    with torch.inference_mode():
        torch.testing.assert_close(
            teacher(split.images), network(split.images), atol=1e-4, rtol=1e-4
        )


def test_distillation_without_a_teacher_is_refused(split: Split) -> None:
    with pytest.raises(ValueError, match="needs a teacher"):
        train(tiny(), split, replace(RECIPE, distillation=0.5), progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"precision": "fp16"}, "choose from 'float32', 'bf16', 'auto'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"distillation": 1.5}, "distillation must be in"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_impossible_recipes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)


class Images(torch.utils.data.Dataset[Tensor]):
    """A data set of images without labels."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def test_images_without_labels_are_taught_by_the_original_alone(plain_task) -> None:
    env = make_env(plain_task)
    env.execute(env.budget.scaled([0.5] * len(env.budget.channels)))
    labelled = Split(torch.randn(64, 3, 8, 8), torch.zeros(64, dtype=torch.int64))
    recipe = Recipe(2, 16, learning_rate=0.01, schedule="cosine", distillation=1.0)
    tuned = [
        amc_gym.finetune(plain_task, env.plan, images, recipe, progress=False)
        for images in (
            labelled,
            labelled.images,
            labelled.images.numpy(),
            Split.unlabelled(labelled.images),
            Images(labelled.images),
        )
    ]
    for other in tuned[1:]:
        assert same(tuned[0], other)
    with pytest.raises(ValueError, match=r"needs labels.*set distillation=1\.0"):
        amc_gym.finetune(
            plain_task, env.plan, labelled.images, replace(recipe, distillation=0.5), progress=False
        )
    with pytest.raises(ValueError, match="the reward images have no labels"):
        CompressionTask(
            plain_task.model,
            plain_task.calibration,
            Split.unlabelled(plain_task.reward.images),
            plain_task.test,
        )


@pytest.mark.thorough
def test_finetuning_a_plan_resumes_after_a_kill_to_the_same_bits(
    digits_task: CompressionTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = amc_gym.search(digits_task, 1, progress=False)
    images = amc_gym.training_images(digits_task).first(192)
    recipe = Recipe(3, 64, 0.02, schedule="cosine", distillation=0.5)
    whole = amc_gym.finetune(digits_task, plan, images, recipe, progress=False)

    checkpoint, epochs = tmp_path / "state.pt", []

    def killed(run: Run, number: int, split: Split) -> float:
        epochs.append(number)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return epoch(run, number, split)

    epoch = Run.epoch
    monkeypatch.setattr(Run, "epoch", killed)
    arguments = (digits_task, plan, images, recipe)
    with pytest.raises(KeyboardInterrupt):
        amc_gym.finetune(*arguments, checkpoint=checkpoint, progress=False)
    resumed = amc_gym.finetune(*arguments, checkpoint=checkpoint, progress=False)
    assert epochs == [0, 1, 2, 2]
    assert same(resumed, whole)
    assert not same(resumed, amc_gym.compress(digits_task, plan))

    other = amc_gym.search(make_env(digits_task, preserve_ratio=0.5), 1, progress=False)
    with pytest.raises(ValueError, match="differs in origin"):
        amc_gym.finetune(digits_task, other, images, recipe, checkpoint=checkpoint, progress=False)


def test_finetuning_on_images_that_judge_is_refused(digits_task: CompressionTask) -> None:
    plan = amc_gym.search(digits_task, 1, progress=False)
    for name in ("reward", "test"):
        with pytest.raises(ValueError, match=f"training images are also {name} images"):
            amc_gym.finetune(digits_task, plan, getattr(digits_task, name), progress=False)


def test_runs_too_short_for_their_warm_up_are_refused(split: Split) -> None:
    with pytest.raises(ValueError, match="more than one step, not 1 x"):
        train(tiny(), split, replace(RECIPE, epochs=1, batch_size=100), progress=False)


def test_weight_decay_spares_biases_and_norms() -> None:
    model = tiny()
    name_of = {id(parameter): name for name, parameter in model.named_parameters()}
    decay_of = {
        name_of[id(parameter)]: group["weight_decay"]
        for group in make_optimizer(model, replace(RECIPE, weight_decay=0.1)).param_groups
        for parameter in group["params"]
    }
    assert decay_of == {
        "body.0.weight": 0.1,
        "body.0.bias": 0.0,
        "body.1.weight": 0.0,
        "body.1.bias": 0.0,
        "head.weight": 0.1,
        "head.bias": 0.0,
    }


def test_bf16_trains_in_float32_weights(split: Split) -> None:
    model = train(tiny(), split, replace(RECIPE, precision="bf16"), progress=False)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert not same(model, train(tiny(), split, RECIPE, progress=False))


@pytest.mark.parametrize("able", [True, False])
def test_auto_is_bf16_where_it_is_fast(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amc_gym.training.optimization.has_bf16", lambda device: able)
    depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    assert uses_bf16(replace(RECIPE, precision="auto"), tiny()) == able
    assert not uses_bf16(replace(RECIPE, precision="auto"), depthwise)  # on a processor
    assert uses_bf16(replace(RECIPE, precision="bf16"), depthwise)
    assert not uses_bf16(RECIPE, tiny())


def test_a_log_has_a_line_for_each_epoch(split: Split, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny(), split, replace(RECIPE, epochs=2), evaluate_on=split)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert all("loss" in line and "accuracy" in line for line in lines)
    train(tiny(), split, replace(RECIPE, epochs=2), progress=False)
    assert not capsys.readouterr().err


def test_accuracy_counts_over_batches_and_keeps_the_mode(split: Split) -> None:
    model = tiny().train()
    expected = (model.eval()(split.images).argmax(1) == split.labels).double().mean().item()
    model.train()
    assert accuracy(model, split, batch_size=7) == pytest.approx(expected)
    assert model.training


def test_augment_shifts_and_mirrors_whole_images() -> None:
    torch.manual_seed(0)
    images = torch.zeros(200, 2, 5, 5)
    images[:, 0, 2, 1] = 1
    images[:, 1, 2, 1] = 2
    moved = augment(images, shift=1, flip=True)
    assert moved.shape == images.shape
    assert torch.equal(moved[:, 1], 2 * moved[:, 0])
    places = {tuple(place) for place in moved[:, 0].nonzero()[:, 1:].tolist()}
    # Column 1 moves to columns 0-2, and mirrored to columns 2-4.
    assert places == {(row, column) for row in (1, 2, 3) for column in range(5)}
    assert augment(images, shift=0, flip=False) is images


def test_augment_cuts_out_parts_of_the_area_that_is_asked_for() -> None:
    size = 64
    ramp = torch.linspace(-1, 1, size).expand(200, 1, size, size)
    images = torch.cat([ramp, ramp.mT], 1)  # a pixel's value is its place
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cut = augment(images, shift=0, flip=False, crop=0.3)
    width = (cut[:, 0, 32, -1] - cut[:, 0, 32, 0]) / 2
    height = (cut[:, 1, -1, 32] - cut[:, 1, 0, 32]) / 2
    area = width * height
    assert 0.25 < area.min() < 0.4
    assert 0.8 < area.max() <= 1.001
    assert (width / height).log().abs().max() < 0.35
    assert cut.shape == images.shape
    assert torch.equal(augment(images, shift=0, flip=False, crop=1.0), images)


def test_augment_fills_with_the_darkest_value() -> None:
    images = torch.full((50, 1, 4, 4), 3.0)
    images[0, 0, 0, 0] = -1
    assert set(augment(images, shift=2, flip=False).unique().tolist()) == {-1.0, 3.0}


def test_a_diverging_run_is_stopped_and_its_checkpoint_keeps_no_nan(
    split: Split, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, learning_rate=1e30, schedule="cosine")
    checkpoint = tmp_path / "state.pt"
    with pytest.raises(ValueError, match=r"diverged in epoch 1.*lower learning_rate=1e\+30"):
        train(tiny(), split, recipe, checkpoint=checkpoint, progress=False)
    assert not checkpoint.exists()


def test_a_few_steps_that_diverge_change_nothing(split: Split) -> None:
    network = tiny().eval()
    with torch.no_grad():
        network.head.weight.mul_(1e30)
    before = copy.deepcopy(network)
    assert training.finetune_steps(network, split, 3) is network
    assert same(network, before)
    assert not network.training


def test_shifts_larger_than_images_are_refused(split: Split) -> None:
    with pytest.raises(ValueError, match="shift must be smaller than the images of 8 x 8 pixels"):
        train(tiny(), split, replace(RECIPE, shift=8), progress=False)


def test_frozen_weights_are_trained(split: Split) -> None:
    model = tiny().requires_grad_(False)
    before = copy.deepcopy(model)
    train(model, split, RECIPE, progress=False)
    changed = zip(model.parameters(), before.parameters(), strict=True)
    assert not any(torch.equal(one, other) for one, other in changed)


def test_accuracy_is_that_of_a_network_that_classifies_and_puts_its_modes_back(
    split: Split,
) -> None:
    network = tiny().train()
    network.body[1].eval()
    before = [module.training for module in network.modules()]
    assert 0 <= accuracy(network, split) <= 1
    assert [module.training for module in network.modules()] == before
    with pytest.raises(ValueError, match="the network does not run on one image"):
        accuracy(nn.Linear(2, 2), split)
    with torch.no_grad():
        network.head.bias[3] = torch.nan
    with pytest.raises(ValueError, match="the network's logits are NaN"):
        accuracy(network, split)
    assert [module.training for module in network.modules()] == before
    with pytest.raises(ValueError, match="the network must return logits"):
        accuracy(nn.Flatten(0), split)
