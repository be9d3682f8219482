"""Weight pruning in stages: densities fall, zeros stay, an interrupted call goes on."""

import json

import pytest
import torch
from small import PlainStack, images, lively

from amc_gym import CompressionTask
from amc_gym.compression.pruning.fine_grained import nonzero_params
from amc_gym.training.recipe import Recipe
from amc_gym.workflows.weight_stages import geometric, prune_in_stages

RECIPE = Recipe(1, batch_size=64, learning_rate=0.01, schedule="cosine", distillation=0.5)
TARGETS = (0.5, 0.25, 0.12)


@pytest.fixture(scope="module")
def training_images():
    return images(128, 9)


def run(task, training_images, folder, targets=TARGETS, **keywords):
    return prune_in_stages(
        task,
        training_images,
        targets,
        evaluations=4,
        recipe=RECIPE,
        folder=folder,
        progress=False,
        **keywords,
    )


@pytest.fixture(scope="module")
def finished(plain_task, training_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    return folder, run(plain_task, training_images, folder)


def test_densities_fall_to_the_targets_below_what_one_stage_can_reach(plain_task, finished):
    full = nonzero_params(plain_task.model)
    for stage, target in zip(finished[1], TARGETS, strict=True):
        assert nonzero_params(stage.network) <= target * full
        assert stage.density == pytest.approx(target, abs=0.01)
    assert finished[1][-1].density < 0.2  # one stage keeps at least 20 % of a convolution


def test_pruned_weights_stay_pruned_and_the_others_were_trained(finished):
    for before, after in zip(finished[1], finished[1][1:], strict=False):
        one, two = before.network.state_dict(), after.network.state_dict()
        for name in ("second.weight", "hidden.weight"):
            assert (two[name][one[name] == 0] == 0).all()
            both = (one[name] != 0) & (two[name] != 0)
            assert not torch.equal(one[name][both], two[name][both])


def test_a_stopped_call_goes_on_after_the_last_finished_stage(
    plain_task, training_images, finished
):
    folder, stages = finished
    (folder / "stage-3.json").unlink()
    (folder / "stage-1.checkpoint").touch()  # as if killed just before it was removed
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    again = run(plain_task, training_images, folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("stage-[12].json")} == times
    assert not list(folder.glob("*.checkpoint"))
    for one, two in zip(stages, again, strict=True):
        assert one.plan == two.plan
        assert (one.density, one.layers, one.after) == (two.density, two.layers, two.after)
        old, new = one.network.state_dict(), two.network.state_dict()
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_stages_of_a_network_that_holds_a_layer_twice(training_images, tmp_path):
    network = lively(PlainStack())
    network.again = network.second
    task = CompressionTask(network, images(400, 1), images(64, 2), images(64, 3))
    stages, again = (run(task, training_images, tmp_path, TARGETS[:1]) for _ in range(2))
    old, new = stages[0].network.state_dict(), again[0].network.state_dict()
    assert old.keys() == new.keys() > {"again.weight", "second.weight"}
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_stages_of_another_call_are_not_taken_over(plain_task, training_images, finished):
    with pytest.raises(ValueError, match=r"stage-1\.json belongs to another call"):
        run(plain_task, training_images, finished[0], seed=1)
    assert json.loads((finished[0] / "stage-1.json").read_text())["identity"]["seed"] == 0


def test_targets_must_fall():
    with pytest.raises(ValueError, match="that decrease"):
        prune_in_stages(None, None, (0.5, 0.5))
    with pytest.raises(ValueError, match="that decrease"):
        prune_in_stages(None, None, ())


def test_geometric_targets():
    assert geometric(0.2, 1) == (0.2,)
    assert geometric(0.25, 2) == pytest.approx((0.5, 0.25))
