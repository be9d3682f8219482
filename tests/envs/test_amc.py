"""AMCEnv: action modes, rewards, the embedding, budgets, and bad input."""

import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import images, play
from torch import nn

from amc_gym import CompressionTask
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env
from amc_gym.envs.vector import AMCVectorEnv

N = 14


def mobilenet(**keywords) -> AMCEnv:
    return make_env("MobileNet", **({"reward_images": 50} | keywords))


@pytest.mark.parametrize("mode", ["clamp", "feasible"])
@pytest.mark.parametrize("resource", ["macs", "params"])
def test_the_budget_holds_for_every_agent(mode, resource):
    env = mobilenet(action_mode=mode, resource=resource, preserve_ratio=0.3)
    rng = np.random.default_rng(0)
    for actions in (np.zeros(N), np.ones(N), rng.uniform(size=N)):
        *_, info = play(env, actions)
        assert info[f"{resource}_ratio"] <= 0.3


def test_an_agent_that_never_prunes_spends_the_whole_budget():
    *_, info = play(mobilenet(preserve_ratio=0.5), [0.0] * N)
    assert 0.4995 < info["macs_ratio"] <= 0.5


def test_unconstrained_and_never_pruning_is_the_original_network():
    env = mobilenet(preserve_ratio=None, reward="error")
    _, reward, *_, info = play(env, [0.0] * N)
    assert info["macs_ratio"] == info["params_ratio"] == 1
    assert info["sparsity"] == 0
    assert reward == info["accuracy"] - 1


def test_the_executed_ratio_is_reported_and_seen_next():
    env = mobilenet(preserve_ratio=0.3)
    env.reset()
    for _ in range(N):
        observation, *_, info = env.step(np.zeros(1, dtype=np.float32))
        assert observation[10] == pytest.approx(info["sparsity"])
    assert info["sparsity"] > 0.79


def test_feasible_actions_never_hit_the_bound():
    env = mobilenet(action_mode="feasible", preserve_ratio=0.3)
    env.reset()
    assert env.step(np.zeros(1))[-1]["channels"] == env.budget.cap([])
    env.reset()
    assert env.step(np.ones(1))[-1]["channels"] == env.budget.admissible[0][0]


@pytest.mark.parametrize("size", ["macs", "params"])
def test_error_log_rewards(size):
    env = mobilenet(reward=f"error-log-{size}", preserve_ratio=None)
    _, reward, *_, info = play(env, [0.5] * N)
    assert reward == pytest.approx(-(1 - info["accuracy"]) * math.log(info[size]))
    assert reward < 0


def test_channel_multiple_and_max_sparsity():
    env = mobilenet(
        channel_multiple=8, max_sparsity={"conv": 0.5, "linear": 0.75}, preserve_ratio=0.5
    )
    env.reset()
    kept = [env.step(np.ones(1))[-1]["channels"] for _ in range(N)]
    assert kept == [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 128]


def test_embedding_of_mobilenet_by_hand():
    """Units 0 and 13 of the width-0.5 MobileNet at 16 x 16, worked out from its shapes."""
    env = mobilenet(preserve_ratio=None)
    first, _ = env.reset()
    full = 4_172_288
    macs = 256 * 9 * 16 + 256 * 9 * 16 + 256 * 16 * 32  # stem, depthwise, pointwise
    stem_to_first = 256 * 9 * 16 + 256 * 9 * 16 + 256 * 16 * 32
    assert first[0] == 0
    assert first[1] == pytest.approx((32 - 10) / (512 - 10))  # n
    assert first[2] == 0  # c = 16, the smallest
    assert first[3] == first[4] == 1  # 16 x 16, the largest
    assert first[5] == first[6] == 0  # all 1 x 1 at stride 1
    largest = 4 * (256 * 512 + 512 * 9 + 512 * 512)  # unit 12: pointwise, depthwise, pointwise
    smallest = 4 * 512 * 512 + 512 * 10  # unit 13: pointwise and classifier
    costs = env.engine.costs["macs"]
    touching = [
        sum(
            dict(zip(costs.names, costs.per_layer(env.engine.graph.full), strict=True))[m]
            for m in unit.members
        )
        for unit in env.engine.graph.units
    ]
    assert touching[0] == macs
    assert touching[12] == largest
    assert touching[13] == smallest
    low, high = min(touching), max(touching)
    assert first[7] == pytest.approx((macs - low) / (high - low))
    assert first[8] == first[10] == 0
    assert first[9] == pytest.approx((full - stem_to_first) / full)
    second, *_ = env.step(np.array([0.5]))
    saved = macs // 2  # every layer that touches unit 0 is linear in it
    assert second[8] == pytest.approx(saved / full)
    assert second[10] == 0.5


def test_a_task_of_ones_own(plain_task):
    env = gym.make("AMC-v0", task=plain_task, preserve_ratio=0.6)
    *_, info = play(env, [0.4] * 4)
    assert info["macs_ratio"] <= 0.6
    assert env.unwrapped.task is plain_task
    assert env.spec is not None
    assert env.spec.kwargs["task"] is plain_task  # not deep-copied


CALLS = []


def make_task() -> CompressionTask:
    CALLS.append(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 6), nn.Flatten()).eval()
    return CompressionTask(model, images(80, 1), images(20, 2), images(20, 3))


def test_a_function_is_called_once_however_many_environments():
    one, two = make_env(make_task), make_env(make_task)
    assert one.task is two.task
    assert len(CALLS) == 1


def test_tasks_of_the_same_objects_share_their_engine():
    task = make_task()
    one, two = make_env(task), make_env(replace(task, preserve_ratio=0.4))
    assert one.task is not two.task
    assert one.engine is two.engine


def test_a_dotted_name_is_recorded_in_the_plan(monkeypatch):
    env = make_env(f"{__name__}:make_task")
    play(env, [0.2])
    assert env.plan.task == {"task": f"{__name__}:make_task"}


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"resource": "mac"}, "unknown resource 'mac'; did you mean 'macs'"),
        ({"resource": "latenc"}, "unknown resource 'latenc'; did you mean 'latency'"),
        ({"reward": "acuracy"}, "unknown reward 'acuracy'; did you mean 'accuracy'"),
        ({"reward": "error-log-time"}, "unknown reward 'error-log-time'; did you mean"),
        ({"dataset": "digit"}, "unknown dataset 'digit'; did you mean 'digits'"),
        ({"dataset": "imagenet"}, r"no weights of MobileNet for imagenet.*or a path"),
        ({"granularity": "weights"}, "unknown granularity 'weights'; did you mean 'weight'"),
        ({"metric": "top3"}, "unknown metric 'top3'"),
        ({"action_mode": "clip"}, "unknown action_mode 'clip'"),
        ({"importance": "magnitud"}, "did you mean 'magnitude'"),
        ({"recovery": "none+reconstruct"}, "'none' stands alone"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"evaluation": "fast"}, "unknown evaluation 'fast'"),
        (
            {"evaluation": "resident", "recovery": "reconstruct+bn"},
            "which recovery 'bn' has to run",
        ),
        (
            {"evaluation": "resident", "granularity": "weight", "recovery": "none"},
            "granularity='weight' prunes none: choose evaluation='auto'",
        ),
        ({"runtime": "onyx"}, "unknown runtime 'onyx'; did you mean 'onnx'"),
        ({"runtime": "onnx"}, "use them with resource='latency'"),
        ({"latency_table": "table.json"}, "use them with resource='latency'"),
        ({"render_mode": "humans"}, "unknown render_mode 'humans'"),
        ({"device": "gpu"}, "device 'gpu' is not available"),
        ({"preserve_ratio": 0}, r"preserve_ratio must be in \(0, 1\]"),
        ({"preserve_ratio": 1.5}, r"preserve_ratio must be in \(0, 1\]"),
        ({"preserve_ratio": float("nan")}, r"preserve_ratio must be in \(0, 1\]"),
        ({"preserve_ratio": "half"}, "unknown preserve_ratio 'half'"),
        ({"preserve_ratio": 0.05}, r"smallest feasible ratio is 0\.05\d+"),
        ({"max_sparsity": 1.0}, r"max_sparsity must be in \[0, 1\)"),
        ({"max_sparsity": {"conv": 0.5}}, "lacks linear layers"),
        ({"max_sparsity": {"convolution": 0.5}}, "unknown layer kind"),
        ({"channel_multiple": 0}, "channel_multiple must be at least 1"),
        ({"reward_images": 0}, "reward_images must be at least 1"),
        ({"reward_images": 401}, "the task has only 400"),
        ({"weights": "torchvision"}, "torchvision has no weights of MobileNet"),
        ({"weights": "model.bin"}, r"a file whose name ends in \.safetensors"),
    ],
)
def test_bad_options_name_the_fix(keywords, message):
    with pytest.raises(ValueError, match=message):
        mobilenet(**keywords)


def test_unknown_ids_and_networks():
    with pytest.raises(gym.error.NameNotFound):
        gym.make("AMC-MobilNet-v0")
    with pytest.raises(ValueError, match="unknown network 'Mobilenet'; did you mean 'MobileNet'"):
        make_env("Mobilenet")
    with pytest.raises(TypeError, match="task"):
        gym.make("AMC-v0")


def test_weights_that_are_missing_or_damaged(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(OSError, match="cannot read the weights"):
        mobilenet(weights=path)
    path.write_bytes(b"\x10" * 100)
    with pytest.raises(OSError, match="damaged"):
        mobilenet(weights=path)


@pytest.mark.parametrize("action", [[float("nan")], [0.5, 0.5], 0.5, [[0.5]]])
def test_bad_actions_are_refused_and_the_episode_goes_on(action):
    env = mobilenet()
    env.reset()
    with pytest.raises(ValueError, match="the action"):
        env.step(np.array(action))
    assert env.step(np.array([0.5]))[0][0] == pytest.approx(1 / N)


def test_actions_out_of_range_are_clipped():
    env = mobilenet()
    env.reset()
    low = env.step(np.array([-3.0]))[-1]
    env.reset()
    assert env.step(np.array([0.0]))[-1] == low
    env.reset()
    high = env.step(np.array([np.inf]))[-1]
    env.reset()
    assert env.step(np.array([1.0]))[-1] == high


def test_steps_before_the_start_and_after_the_end_are_refused():
    env = mobilenet()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.array([0.5]))
    with pytest.raises(RuntimeError, match="no plan yet"):
        _ = env.plan
    play(env, [0.5] * N)
    plan = env.plan
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.array([0.5]))
    assert env.plan == plan


def test_options_of_networks_do_not_apply_to_other_tasks(plain_task):
    with pytest.raises(ValueError, match="are only for registered networks"):
        make_env(plain_task, weights="random")
    with pytest.raises(ValueError, match="task must be"):
        make_env(3)
    with pytest.raises(ValueError, match="cannot be imported"):
        make_env("nowhere.at_all:task")
    with pytest.raises(ValueError, match="returned list, not a CompressionTask"):
        make_env(list)


def test_bad_tasks_are_refused(plain_stack):
    good = images(10, 1), images(10, 2), images(10, 3)
    with pytest.raises(ValueError, match=r"call model\.eval\(\) first"):
        CompressionTask(nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()), *good)
    with pytest.raises(ValueError, match="reward and test splits share 10 images"):
        CompressionTask(plain_stack, good[0], good[1], good[1])
    with pytest.raises(ValueError, match=r"labels 0\.\.\d, but the model knows 5 classes"):
        CompressionTask(plain_stack, good[0], good[1], images(50, 4, classes=9))
    with pytest.raises(ValueError, match="does not run on one image"):
        CompressionTask(plain_stack, *(images(10, s, size=12) for s in (1, 2, 3)))
    with pytest.raises(ValueError, match="images must be float32"):
        CompressionTask(plain_stack, (good[0].images.byte(), good[0].labels), *good[1:])
    with pytest.raises(ValueError, match=r"logits of shape \(N, classes\)"):
        CompressionTask(nn.Conv2d(3, 5, 1).eval(), *good)


def test_classes_given_a_name_of_a_network_say_to_use_gym_make():
    with pytest.raises(TypeError, match=r"not the string 'MobileNet': .* gym\.make"):
        AMCEnv("MobileNet")
    with pytest.raises(TypeError, match=r"not int 2: gym\.make_vec"):
        AMCVectorEnv(2, "MobileNet")
