"""Plans survive the disk, replay to the same network, and are refused when something is wrong."""

import hashlib
import json

import pytest
import torch
from small import play

import amc_gym
from amc_gym import CompressionPlan, PlanError
from amc_gym.envs.amc import AMCEnv


@pytest.fixture(scope="module")
def finished():
    env = AMCEnv("MobileNet", preserve_ratio=0.4)
    info = play(env, [0.3] * 14)[-1]
    return env.task, env.plan, info


def test_saved_and_loaded_plan_is_equal_and_gives_the_same_logits(finished, tmp_path):
    task, plan, info = finished
    loaded = CompressionPlan.load(plan.save(tmp_path / "plan.json"))
    assert loaded == plan == CompressionPlan.from_json(info["plan"])
    images = task.test.images[:32]
    before, after = amc_gym.compress(task, plan), amc_gym.compress(task, loaded)
    with torch.inference_mode():
        assert torch.equal(before(images), after(images))


def test_validate_confirms_what_the_environment_measured(finished):
    task, plan, info = finished
    validation = amc_gym.validate(task, plan)
    assert validation.ok, validation.problems
    assert validation.found["macs"] == info["macs"]
    assert validation.found["params"] == info["params"]


def test_a_compressed_network_is_really_smaller_and_ready_to_use(finished):
    task, plan, info = finished
    network = amc_gym.compress(task, plan)
    assert not network.training
    assert sum(p.numel() for p in network.parameters()) == info["params"]
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("claim", ["macs", "params", "accuracy"])
def test_a_false_claim_is_found(finished, claim):
    task, plan, _ = finished
    content = json.loads(plan.to_json())
    measured = content["measured"] | {claim: content["measured"][claim] * 0.9}
    forged = CompressionPlan(
        plan.kept, plan.task, plan.options, plan.fingerprints, measured, plan.versions
    )
    validation = amc_gym.validate(task, forged)
    assert not validation.ok
    assert claim in validation.problems[0]


def test_a_changed_or_truncated_file_is_refused(finished, tmp_path):
    _, plan, _ = finished
    path = plan.save(tmp_path / "plan.json")
    text = path.read_text()
    path.write_text(text.replace('"images": 400', '"images": 401'))
    with pytest.raises(PlanError, match="does not match its checksum"):
        CompressionPlan.load(path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(PlanError, match="not a compression plan"):
        CompressionPlan.load(path)
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(PlanError, match="cannot read the plan"):
        CompressionPlan.load(path)
    with pytest.raises(PlanError, match=r"missing\.json"):
        CompressionPlan.load(tmp_path / "missing.json")
    path.write_text("[1]")
    with pytest.raises(PlanError, match="no checksum"):
        CompressionPlan.load(path)


def test_a_plan_from_before_weight_pruning_still_counts(finished):
    _, plan, _ = finished
    content = json.loads(plan.to_json())
    del content["sha256"], content["weights"]
    canonical = json.dumps(content, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    assert CompressionPlan.from_json(json.dumps(content)) == plan


def test_a_plan_of_another_network_is_refused(finished, plain_task):
    _, plan, _ = finished
    with pytest.raises(PlanError, match="another model"):
        amc_gym.compress(plain_task, plan)
    with pytest.raises(PlanError, match="other reward images"):
        amc_gym.validate(plain_task, plan)


def test_channels_out_of_range_are_refused(finished):
    task, plan, _ = finished
    kept = dict(plan.kept) | {"classifier": (0, 512)}
    forged = CompressionPlan(kept, plan.task, plan.options, plan.fingerprints, plan.measured)
    with pytest.raises(PlanError, match=r"'classifier' outside 0\.\.511"):
        amc_gym.compress(task, forged)
