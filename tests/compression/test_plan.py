"""Plans: files give back the same plan and network, and wrong ones are refused."""

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import play

import amc_gym
from amc_gym import CompressionPlan, PlanError
from amc_gym.compression.channel_ranges import MOST
from amc_gym.envs.factory import make_env


@pytest.fixture(scope="module")
def finished():
    env = make_env("MobileNet", preserve_ratio=0.4)
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


@pytest.mark.parametrize("claim", ["macs", "params", "score"])
def test_a_false_claim_is_found(finished, claim):
    task, plan, _ = finished
    measured = replace(plan.measured, **{claim: getattr(plan.measured, claim) * 0.9})
    validation = amc_gym.validate(task, replace(plan, measured=measured))
    assert not validation.ok
    assert ("accuracy" if claim == "score" else claim) in validation.problems[0]


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


def sealed(content):
    """Return a plan's content with the right checksum, as a careful cheat would write it."""
    content = {name: value for name, value in content.items() if name != "sha256"}
    canonical = json.dumps(content, separators=(",", ":"))
    return {"sha256": hashlib.sha256(canonical.encode()).hexdigest()} | content


def in_format_1(plan, *, weights=True):
    """Return the content of a plan's file in format 1, which lists channels one by one."""
    content = plan.to_dict() | {"format": 1, "kept": {n: list(c) for n, c in plan.kept.items()}}
    if not weights:
        del content["weights"]
    return sealed(content)


@pytest.mark.parametrize("weights", [True, False], ids=["", "before weight pruning"])
def test_a_plan_of_an_earlier_format_still_counts(finished, tmp_path, weights):
    task, plan, _ = finished
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(in_format_1(plan, weights=weights), indent=1))
    loaded = CompressionPlan.load(path)
    assert loaded == plan
    assert amc_gym.validate(task, loaded).ok
    again = loaded.save(tmp_path / "again.json")
    assert CompressionPlan.load(again) == plan
    assert again.stat().st_size < path.stat().st_size / 2


def test_a_file_of_the_first_format_is_what_it_was():
    """Load a file that was written when format 1 was the only one."""
    path = Path(__file__).with_name("plan-format-1.json")
    content, plan = json.loads(path.read_text()), CompressionPlan.load(path)
    assert content["format"] == 1
    assert {name: list(kept) for name, kept in plan.kept.items()} == content["kept"]
    assert list(plan.kept) == list(content["kept"])
    assert plan.measured.to_dict() == content["measured"]
    for name in ("task", "options", "fingerprints", "versions", "weights"):
        assert getattr(plan, name) == content[name]


def test_a_plan_is_shown_in_one_line(finished):
    _, plan, _ = finished
    shown, measured = repr(plan), plan.measured
    assert len(shown) < 300
    assert f"{measured.macs:,} MACs" in shown
    assert f"{measured.score:.2%}" in shown


def test_a_file_has_one_line_for_each_unit(finished, tmp_path):
    _, plan, _ = finished
    text = plan.save(tmp_path / "plan.json").read_text()
    for unit, channels in plan.kept.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f'  "{unit}": "'))
        told = [part.partition("-") for part in line.split('"')[3].split(",")]
        counted = [range(int(first), int(last or first) + 1) for first, _, last in told]
        assert [channel for each in counted for channel in each] == list(channels)
    assert len(text.splitlines()) < len(plan.kept) + 50


def test_a_dictionary_of_a_plan_is_plain_and_complete(finished):
    _, plan, info = finished
    content = plan.to_dict()
    assert content == json.loads(info["plan"]) == json.loads(json.dumps(content))
    assert CompressionPlan.from_dict(content) == plan
    assert hash(CompressionPlan.from_dict(content)) == hash(plan)
    content["options"]["recovery"] = "none"
    content["kept"]["classifier"] = "0"
    assert plan.options["recovery"] == "reconstruct"  # only a copy was changed
    assert plan.to_dict() == json.loads(info["plan"])


RANGES = {
    "a billion": "0-999999999",
    "many millions": "0-1,2-9000000",
    "beyond all numbers": "0-" + "9" * 5000,
    "descending": "3,1",
    "a range descending": "5-3",
    "of one": "3-3",
    "twice": "0-3,3",
    "negative": "-1-3",
    "signed": "+1",
    "padded": "01",
    "spaced": "0, 1",
    "other digits": "\u0663",
    "a fraction": "0.5",
    "empty": "",
    "an end missing": "0-",
    "a comma more": "0,",
    "a list": [0, 1],
    "a number": 3,
    "nothing": None,
}


@pytest.mark.parametrize("text", RANGES.values(), ids=RANGES)
def test_impossible_ranges_are_refused_at_once(finished, text):
    _, plan, _ = finished
    content = plan.to_dict()
    content["kept"]["classifier"] = text
    began = time.perf_counter()
    with pytest.raises(PlanError, match="not a compression plan: its kept"):
        CompressionPlan.from_dict(sealed(content))
    assert time.perf_counter() - began < 0.5


def test_many_ranges_that_are_too_much_together_are_refused(finished):
    _, plan, _ = finished
    content = plan.to_dict()
    content["kept"] = {str(number): f"0-{MOST // 2}" for number in range(1000)}
    with pytest.raises(PlanError, match=f"at most {MOST:,} channels in all"):
        CompressionPlan.from_dict(sealed(content))


def test_large_plans_are_quick(finished, tmp_path):
    _, plan, _ = finished
    odd = tuple(range(1, 8192, 2))
    large = replace(plan, kept={str(number): odd for number in range(200)})  # 819,200 channels
    began = time.process_time()
    assert CompressionPlan.load(large.save(tmp_path / "large.json")) == large
    assert time.process_time() - began < 5


UNSAYABLE = {"twice": (1, 1), "descending": (2, 1), "below 0": (-1, 2), "none": (), "true": (True,)}


@pytest.mark.parametrize("channels", UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_could_not_be_read_is_not_written(finished, tmp_path, channels):
    _, plan, _ = finished
    forged = replace(plan, kept=plan.kept | {"classifier": channels})
    with pytest.raises(PlanError, match="the channels of unit 'classifier'"):
        forged.save(tmp_path / "plan.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("known", [0, 3, True, 2.0, "2", None])
def test_another_format_is_refused(finished, known):
    _, plan, _ = finished
    content = sealed(plan.to_dict() | {"format": known})
    with pytest.raises(PlanError, match="another format than 1 or 2"):
        CompressionPlan.from_dict(content)


def test_lists_and_ranges_belong_to_their_formats(finished):
    _, plan, _ = finished
    for content in (plan.to_dict() | {"format": 1}, in_format_1(plan) | {"format": 2}):
        with pytest.raises(PlanError, match="its kept"):
            CompressionPlan.from_dict(sealed(content))


def test_measured_figures_are_of_their_type(finished):
    _, plan, _ = finished
    with pytest.raises(TypeError, match=r"measured must be an amc_gym\.Measured, not dict"):
        replace(plan, measured=plan.measured.to_dict())


def test_a_plan_of_another_network_is_refused(finished, plain_task):
    _, plan, _ = finished
    with pytest.raises(PlanError, match="another model"):
        amc_gym.compress(plain_task, plan)
    with pytest.raises(PlanError, match="other reward images"):
        amc_gym.validate(plain_task, plan)


def test_channels_out_of_range_are_refused(finished):
    task, plan, _ = finished
    forged = replace(plan, kept=plan.kept | {"classifier": (0, 512)})
    with pytest.raises(PlanError, match=r"'classifier' outside 0\.\.511"):
        amc_gym.compress(task, forged)
