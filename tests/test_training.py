"""The training loop resumes exactly, and the bundled weights are what their card says."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

import amc_gym
from amc_gym import CompressionTask
from amc_gym.compression.cost import counted_macs
from amc_gym.envs.amc import AMCEnv
from amc_gym.tasks.split import Split
from amc_gym.training import loop as training
from amc_gym.training.augmentation import augment
from amc_gym.training.loop import _teacher, accuracy, train
from amc_gym.training.recipe import Recipe, make_optimizer, make_scheduler, training_loss, uses_bf16
from amc_gym.zoo import bundled, models
from amc_gym.zoo.datasets import digits, find_root, load
from amc_gym.zoo.recipes import RECIPES, TEACHERS, main

UNTOLD = {"accuracy": {}, "fingerprints": {}, "recipe": {}}
"""What a card must say besides what is found out when it is written."""

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.05, shift=1, flip=True, seed=3)


class Tiny(nn.Module):
    """Batch norm and dropout, so that buffers and random numbers matter too.

    Stops as if killed in step ``fuse``, counted from 0.
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


def same(left: nn.Module, right: nn.Module) -> bool:
    theirs = right.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in left.state_dict().items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_killed_run_resumes_to_the_same_bits(
    split: Split, tmp_path: Path, optimizer: Literal["sgd", "adamw"]
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)
    whole = train(tiny(), split, recipe, progress=False)

    checkpoint = tmp_path / "run" / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train(tiny(fuse=15), split, recipe, checkpoint=checkpoint, progress=False)  # epoch 2 of 0-3
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 2
    torch.rand(7)  # a new process would stand elsewhere in the global stream
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
        with pytest.raises(ValueError, match=r"state\.pt is damaged. Delete it"):
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


def test_finetuning_a_plan_resumes_after_a_kill_to_the_same_bits(
    digits_task: CompressionTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = amc_gym.search(digits_task, 1, progress=False)
    images = amc_gym.training_images(digits_task).first(192)
    recipe = Recipe(3, 64, 0.02, schedule="cosine", distillation=0.5)
    whole = amc_gym.finetune(digits_task, plan, images, recipe, progress=False)

    checkpoint, epochs = tmp_path / "state.pt", []

    def killed(run: training._Run, number: int, split: Split) -> float:
        epochs.append(number)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return epoch(run, number, split)

    epoch = training._Run.epoch
    monkeypatch.setattr(training._Run, "epoch", killed)
    arguments = (digits_task, plan, images, recipe)
    with pytest.raises(KeyboardInterrupt):
        amc_gym.finetune(*arguments, checkpoint=checkpoint, progress=False)
    resumed = amc_gym.finetune(*arguments, checkpoint=checkpoint, progress=False)
    assert epochs == [0, 1, 2, 2]
    assert same(resumed, whole)
    assert not same(resumed, amc_gym.compress(digits_task, plan))

    other = amc_gym.search(AMCEnv(digits_task, preserve_ratio=0.5), 1, progress=False)
    with pytest.raises(ValueError, match="differs in origin"):
        amc_gym.finetune(digits_task, other, images, recipe, checkpoint=checkpoint, progress=False)


def test_finetuning_on_images_that_judge_is_refused(digits_task: CompressionTask) -> None:
    plan = amc_gym.search(digits_task, 1, progress=False)
    for name in ("reward", "test"):
        with pytest.raises(ValueError, match=f"training images are {name} images"):
            amc_gym.finetune(digits_task, plan, getattr(digits_task, name), progress=False)


def test_runs_too_short_for_their_warm_up_are_refused(split: Split) -> None:
    with pytest.raises(ValueError, match="more than one step, got 1 x"):
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
    monkeypatch.setattr("amc_gym.training.recipe.has_bf16", lambda device: able)
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
    # Column 1 goes to 0-2, and mirrored to 4-2.
    assert places == {(row, column) for row in (1, 2, 3) for column in range(5)}
    assert augment(images, shift=0, flip=False) is images


def test_augment_fills_with_the_darkest_value() -> None:
    images = torch.full((50, 1, 4, 4), 3.0)
    images[0, 0, 0, 0] = -1
    assert set(augment(images, shift=2, flip=False).unique().tolist()) == {-1.0, 3.0}


CARDS = [json.loads(path.read_text()) for path in sorted(bundled.DIRECTORY.glob("*.json"))]


def test_bundled_weights_have_a_recipe() -> None:
    assert {(card["network"], card["dataset"]) for card in CARDS} <= set(RECIPES)
    assert ("MobileNet", "digits") in RECIPES


@pytest.mark.parametrize(
    ("network", "dataset"), [(card["network"], card["dataset"]) for card in CARDS]
)
def test_bundled_weights_are_what_their_card_says(network: str, dataset: str) -> None:
    card = bundled.find(network, dataset)
    if dataset != "digits" and "AMC_DATA_ROOT" not in os.environ:
        pytest.skip("AMC_DATA_ROOT names no folder of data")
    model, splits = bundled.load(network, dataset), load(dataset, find_root(dataset, None))
    assert not model.training
    assert counted_macs(model, torch.zeros(1, *card["input_shape"])) == card["macs"]
    assert sum(parameter.numel() for parameter in model.parameters()) == card["parameters"]
    for name in ("reward", "test"):
        split, claim = getattr(splits, name), card["accuracy"][name]
        assert claim["images"] == len(split)
        assert accuracy(model, split) == pytest.approx(claim["top1"], abs=1.01 / len(split))
    for name, fingerprint in card["fingerprints"].items():
        assert getattr(splits, name).fingerprint == fingerprint


def test_damaged_weights_are_refused_with_the_fix(tmp_path: Path) -> None:
    card = bundled.find("MobileNet", "digits")
    content = bytearray((bundled.DIRECTORY / card["file"]).read_bytes())
    path = tmp_path / card["file"]
    (tmp_path / "mobilenet-digits.json").write_text(json.dumps(card))

    with pytest.raises(OSError, match=r"cannot read.*make weights"):
        bundled.load("MobileNet", "digits", tmp_path)
    path.write_bytes(content[:-1000])
    with pytest.raises(OSError, match=r"checksum.*make weights"):
        bundled.load("MobileNet", "digits", tmp_path)
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"checksum.*reinstall amc-gym"):
        bundled.load("MobileNet", "digits", tmp_path)
    path.write_bytes(content[:-1000])
    with pytest.raises(OSError, match="damaged"):
        bundled.load_state(path)


def test_saved_weights_come_back(tmp_path: Path) -> None:
    model = bundled.load("MobileNet", "digits")
    path = bundled.save(
        model, "MobileNet", "digits", input_shape=(1, 16, 16), fields=UNTOLD, directory=tmp_path
    )
    assert path == tmp_path / "mobilenet-digits.safetensors"
    assert same(bundled.load("MobileNet", "digits", tmp_path), model)


def test_unknown_pairs_are_answered_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"choose from .*'MobileNet digits'"):
        bundled.find("ResNet50", "imagenet")
    with pytest.raises(ValueError, match="did you mean 'MobileNet digits'"):
        main("MobileNet", "digit")


def test_main_writes_weights_and_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPES["Plain20", "digits"], batch_size=256)
    monkeypatch.setitem(RECIPES, ("Plain20", "digits"), recipe)
    main("Plain20", "digits", out=tmp_path, epochs=2, checkpoint=tmp_path / "run.pt")
    card = bundled.find("Plain20", "digits", tmp_path)
    recipe = replace(recipe, epochs=2)
    assert card["recipe"] == asdict(recipe)
    once = (tmp_path / card["file"]).read_bytes()
    torch.manual_seed(recipe.seed)
    model = models.build("Plain20", "digits")
    train(model, digits().train, recipe, progress=False)
    assert same(bundled.load("Plain20", "digits", tmp_path), model)
    # A finished run is read from its checkpoint.
    main("Plain20", "digits", out=tmp_path, epochs=2, checkpoint=tmp_path / "run.pt")
    assert (tmp_path / card["file"]).read_bytes() == once
    card = bundled.find("Plain20", "digits", tmp_path)
    assert accuracy(model, digits().reward) == card["accuracy"]["reward"]["top1"]
    assert "of 400 images" in capsys.readouterr().out


def test_main_distils_from_the_bundled_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all((teacher, dataset) in RECIPES for (_, dataset), teacher in TEACHERS.items())
    recipe = Recipe(epochs=1, batch_size=256, learning_rate=0.05, warmup=0.5, distillation=0.9)
    monkeypatch.setitem(RECIPES, ("Plain20", "digits"), recipe)
    monkeypatch.setitem(TEACHERS, ("Plain20", "digits"), "ResNet56")
    main("Plain20", "digits", out=tmp_path, checkpoint=tmp_path / "run.pt")
    torch.manual_seed(recipe.seed)
    model = models.build("Plain20", "digits")
    taught = bundled.load("ResNet56", "digits")
    train(model, digits().train, recipe, teacher=taught, progress=False)
    assert same(bundled.load("Plain20", "digits", tmp_path), model)
    # Another teacher's answers are another run's.
    monkeypatch.setitem(TEACHERS, ("Plain20", "digits"), "MobileNet")
    with pytest.raises(ValueError, match="belongs to another run: it differs in origin"):
        main("Plain20", "digits", out=tmp_path, checkpoint=tmp_path / "run.pt")


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


def test_images_are_not_shifted_out_of_sight(split: Split) -> None:
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
