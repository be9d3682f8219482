"""Shared environments: they equal the original in every process, and large data is shared."""

import gc
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
import torch
from children import FORKSERVER, environment
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TransformReward
from small import PlainStack, images, lively, play
from stable_baselines3.common.vec_env import SubprocVecEnv

import amc_gym
from amc_gym import CompressionPlan, CompressionTask, Split
from amc_gym._utils.shared_memory import mapped_tensor
from amc_gym.compression.pruning import channels
from amc_gym.compression.ranking.importance import magnitude
from amc_gym.engine import analysis
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.envs.factory import make_env

SPLITS = (400, 1), (64, 2), (64, 3)

VARIANTS = {
    "default": {},
    "none": {"recovery": "none", "resource": "params", "action_mode": "feasible"},
    "greedy": {"importance": "greedy", "reward_images": 30},
    "taylor": {
        "importance": "taylor",
        "precision": "bf16",
        "max_sparsity": {"conv": 0.5, "linear": 0.9},
    },
    "own importance": {"importance": lambda view: magnitude(view)[::-1]},
    "bn": {"recovery": "bn", "preserve_ratio": None, "reward": "error-log-macs"},
    "reconstruct+bn": {"recovery": "reconstruct+bn", "channel_multiple": 2, "preserve_ratio": 0.8},
    "sequential": {"recovery": "sequential"},
    "nonlinear": {"recovery": "nonlinear"},
    "finetune": {"recovery": "reconstruct+finetune:2"},
    "weight": {"granularity": "weight", "recovery": "none", "reward": "error"},
    "weight+bn": {"granularity": "weight", "recovery": "bn+finetune:1"},
}


def own_task() -> CompressionTask:
    torch.manual_seed(1)
    return CompressionTask(lively(PlainStack()), *(images(*split) for split in SPLITS))


def in_worker(function, *args):
    """Run a function in another process and return its result."""
    with ProcessPoolExecutor(1, mp_context=FORKSERVER) as pool:
        return pool.submit(function, *args).result()


class Frugal:
    """A function that makes an environment, and in workers fails if it analyses the task again."""

    def __init__(self, make):
        self.make, self.parent = make, os.getpid()

    def __call__(self):
        def refuse(*_, **__):
            raise AssertionError("made again")

        if os.getpid() != self.parent:
            patch = pytest.MonkeyPatch()  # never undone: the worker ends with the test
            for name in ("trace", "fastest_form", "grams", "saliencies", "Targets"):
                patch.setattr(analysis, name, refuse)
            patch.setattr(channels, "rank", refuse)
            patch.setattr(Engine, "__init__", refuse)
        return self.make()


def compare(one, other, episodes: int, units: int) -> list[str]:
    """Play two vector environments side by side; return the plans of the finished episodes."""
    plans = []
    rng = np.random.default_rng(0)
    first, second = one.reset(seed=3), other.reset(seed=3)
    assert np.array_equal(first[0], second[0])
    for _ in range(episodes * (units + 1)):
        actions = rng.random((one.num_envs, 1), dtype=np.float32)
        step, expected = one.step(actions), other.step(actions)
        for found, wanted in zip(step[:4], expected[:4], strict=True):
            assert found.dtype == wanted.dtype
            assert np.array_equal(found, wanted)
        assert_equal(step[4], expected[4])
        last = step[4].get("final_info", step[4])
        plans += [plan for plan in last.get("plan", ()) if plan is not None]
    assert len(plans) >= episodes * one.num_envs
    return plans


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, dict):
            assert_equal(found[name], value)
        elif value.dtype == object and isinstance(value[0], np.ndarray):
            assert all(map(np.array_equal, found[name], value))
        else:
            assert np.array_equal(found[name], value), name


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("context", ["forkserver", "spawn"])
def test_workers_give_the_same_bit_for_bit(context, mode):
    if context == "spawn" and mode is AutoresetMode.SAME_STEP:
        pytest.skip("processes that import everything take long; once is enough")
    env = gym.make("AMC-MobileNet-v0", reward_images=100)
    n = 1 if context == "spawn" else 2
    makes = [Frugal(amc_gym.share(env))] * n
    vector = AsyncVectorEnv(makes, context=context, autoreset_mode=mode)
    same = SyncVectorEnv(
        [lambda: gym.make("AMC-MobileNet-v0", reward_images=100)] * n, autoreset_mode=mode
    )
    try:
        plans = compare(vector, same, episodes=2, units=14)
    finally:
        vector.close()
    for text in plans[:2]:
        plan = CompressionPlan.from_json(text)
        task = amc_gym.task_of(plan)
        assert plan.task == {"task": "MobileNet", "dataset": "digits", "weights": "bundled"}
        assert amc_gym.validate(task, plan).ok


@pytest.mark.filterwarnings("ignore:this cpu has no bf16")
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_engine_arrives_whole(plain_task, variant):
    keywords = VARIANTS[variant]
    env = make_env(plain_task, **keywords)
    vector = AsyncVectorEnv([Frugal(amc_gym.share(env))], context="forkserver")
    try:
        units = len(env.budget.channels)
        (first, *_) = compare(vector, SyncVectorEnv([lambda: env]), episodes=2, units=units)
    finally:
        vector.close()
    plan = CompressionPlan.from_json(first)
    if keywords.get("precision") != "bf16":
        assert amc_gym.validate(plain_task, plan).ok


def validated(make):
    env = make()
    play(env, [0.5] * 4)
    return amc_gym.validate(env.task, env.plan).ok


def test_a_worker_validates_its_plans_with_what_it_was_sent(plain_task):
    make = amc_gym.share(make_env(plain_task, recovery="reconstruct+sequential+bn"))
    assert in_worker(validated, Frugal(make))


def test_every_argument_of_the_environment_is_copied(plain_task):
    env = make_env(plain_task, render_mode="ansi", preserve_ratio=0.7, reward="error")
    copy = amc_gym.share(env)()
    assert copy.render_mode == "ansi"
    assert copy.given == env.given
    assert copy.options == env.options
    assert copy.engine is env.engine
    assert vars(copy).keys() == vars(env).keys()


def described(make):
    """Return what a worker's environment has and where its data lies, as plain values."""
    env, other = make(), make()
    again = pickle.loads(pickle.dumps(make))()
    with open("/proc/self/maps") as maps:
        regions = [line.split() for line in maps if "amc-gym" in line]
    reward = env.engine.evaluator.batches[0][0].data_ptr()
    spans = [[int(end, 16) for end in region[0].split("-")] for region in regions]
    return {
        "one engine": env.engine is other.engine is again.engine,
        "regions": len(regions),
        "mapped": any(start <= reward < end for start, end in spans),
        "source": env.task.source,
        "spec": env.spec,
        "fingerprints": dict(vars(env.task)["fingerprints"]),
        "remembered": env.engine.evaluator.distinct,
        "hashes": [
            name for name in ("test", "reward") if "image_hashes" in vars(getattr(env.task, name))
        ],
        "threads": torch.get_num_threads(),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="mappings are read from /proc")
def test_a_worker_maps_one_region_for_all_its_environments(plain_task):
    env = gym.make("AMC-v0", task=plain_task, preserve_ratio=0.6)
    play(env, [0.5] * 4)
    make = amc_gym.share(env, threads=3)
    found = in_worker(described, make)
    assert found["spec"].kwargs["task"].fingerprint == plain_task.fingerprint
    assert found.pop("spec").id == "AMC-v0"
    assert found == {
        "one engine": True,
        "regions": 1,
        "mapped": True,
        "source": plain_task.source,
        "fingerprints": plain_task.fingerprints,
        "remembered": 0,
        "hashes": [],
        "threads": 3,
    }
    assert env.unwrapped.engine.evaluator.distinct > 0
    assert len(pickle.dumps(make)) < 100_000
    spec = make().spec
    assert spec is not None
    assert spec.kwargs == {"task": plain_task, "preserve_ratio": 0.6}


def spoilt(make):
    env = make()
    for _, labels in env.engine.evaluator.batches:
        labels.fill_(-1)
    env.task.reward.images.zero_()
    return play(make(), [0.5] * 4)[1:4]


def rewarded(make):
    return play(make(), [0.5] * 4)[1:4]


def test_a_worker_spoils_nothing_but_its_own(plain_task):
    env = make_env(plain_task, reward="error")
    make, wanted = amc_gym.share(env), play(env, [0.5] * 4)[1:4]
    with ProcessPoolExecutor(1, mp_context=FORKSERVER) as pool:
        assert pool.submit(rewarded, make).result() == wanted
        assert pool.submit(rewarded, make).result() == wanted
        assert in_worker(spoilt, make) == [-1, True, False]
        assert in_worker(rewarded, make) == wanted
        assert pool.submit(rewarded, make).result() == wanted
    env.engine.evaluator.forget()
    assert play(env, [0.5] * 4)[1:4] == wanted
    assert wanted[0] > -1


def test_copies_start_afresh_and_sharing_disturbs_no_episode(plain_task):
    env = make_env(plain_task)
    env.reset()
    env.step(np.array([0.5]))
    make = amc_gym.share(env)
    assert env.step(np.array([0.5]))[0][0] == pytest.approx(2 / 4)
    with pytest.raises(gym.error.ResetNeeded):
        make().step(np.array([0.5]))


def test_one_engine_is_sent_once(plain_task):
    one = amc_gym.share(make_env(plain_task))
    other = amc_gym.share(make_env(plain_task, preserve_ratio=0.7))
    assert other._shipment is one._shipment
    assert one().options["preserve_ratio"] == 0.5
    assert other().options["preserve_ratio"] == 0.7


def sources(make):
    env = make()
    play(env, [0.5] * 4)
    return env.plan.task


def test_tasks_of_equal_content_keep_their_names(plain_task):
    equal = CompressionTask(
        plain_task.model, plain_task.calibration, plain_task.reward, plain_task.test, 0.8
    )
    object.__setattr__(equal, "source", (("task", "package.module:function"),))
    makes = [amc_gym.share(make_env(task)) for task in (plain_task, equal)]
    assert makes[0]._shipment is makes[1]._shipment
    found = [in_worker(sources, make) for make in makes]
    assert found == [{"task": None}, {"task": "package.module:function"}]
    assert makes[1]().task.preserve_ratio == 0.8


def test_a_closed_one_fails_in_new_processes_and_lives_on_in_old_ones(plain_task):
    env = make_env(plain_task)
    make, wanted = amc_gym.share(env), play(env, [0.5] * 4)[1:4]
    with ProcessPoolExecutor(1, mp_context=FORKSERVER) as pool:
        assert pool.submit(rewarded, make).result() == wanted
        make.close()
        make.close()
        assert pool.submit(rewarded, make).result() == wanted
    with pytest.raises(OSError, match=r"what process \d+ shared is not available .*share the env"):
        in_worker(rewarded, make)
    assert rewarded(make) == wanted
    assert in_worker(rewarded, amc_gym.share(env)) == wanted


def test_the_memory_goes_with_the_engine(tmp_path):
    make = amc_gym.share(make_env(own_task, reward_images=17), directory=str(tmp_path))
    assert in_worker(rewarded, make)
    assert len(list(tmp_path.iterdir())) == 1
    del make
    gc.collect()
    assert len(list(tmp_path.iterdir())) == 1  # workers may still be starting
    engines.clear()
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_images_that_lie_in_a_file_are_not_copied(plain_stack, tmp_path):
    draw, path = np.random.default_rng(0), tmp_path / "images.npy"
    np.save(path, draw.integers(256, size=(20_000, 3, 8, 8), dtype=np.uint8))
    mapped = mapped_tensor(np.load(path, mmap_mode="c"))
    test = Split(mapped, draw.integers(5, size=20_000), [0.5] * 3, [0.25] * 3)
    env = make_env(CompressionTask(plain_stack, images(400, 1), images(64, 2), test))
    make = amc_gym.share(env, directory=str(tmp_path))
    assert in_worker(rewarded, make) == play(env, [0.5] * 4)[1:4]
    assert in_worker(sum_of_test_images, make) == int(mapped.sum())
    (region,) = tmp_path.glob("amc-gym-*")
    assert region.stat().st_size < mapped.nbytes / 2


def sum_of_test_images(make):
    return int(make().task.test.images.sum())


def test_wrappers_go_around_what_is_made(plain_task):
    def negative(reward):
        return -reward

    env = gym.make("AMC-v0", task=plain_task)
    with pytest.raises(
        ValueError, match=r"wrapped in TransformReward: .* TransformReward\(make\(\)"
    ):
        amc_gym.share(TransformReward(env, negative))
    with pytest.raises(ValueError, match="share takes an AMCEnv, not CartPoleEnv"):
        amc_gym.share(gym.make("CartPole-v1").unwrapped)
    make = amc_gym.share(env)
    makes = [lambda: TransformReward(make(), negative)] * 2
    vector, same = AsyncVectorEnv(makes, context="forkserver"), SyncVectorEnv(makes)
    try:
        compare(vector, same, episodes=1, units=4)
    finally:
        vector.close()


def test_stable_baselines3_takes_it(plain_task):
    # SB3 drops the function at once, maybe before its workers have started.
    vector = SubprocVecEnv([amc_gym.share(make_env(plain_task))] * 3, start_method="forkserver")
    try:
        vector.reset()
        for _ in range(4):
            _, rewards, done, infos = vector.step(np.full((3, 1), 0.5, np.float32))
    finally:
        vector.close()
    assert done.all()
    assert rewards.tolist() == [play(make_env(plain_task), [0.5] * 4)[1]] * 3
    assert len({info["plan"] for info in infos}) == 1


def test_what_cannot_be_sent_is_refused(plain_task):
    lock = threading.Lock()

    def importance(view):
        with lock:
            return magnitude(view)

    with pytest.raises(ValueError, match=r"cannot be sent to other processes: .*lock"):
        amc_gym.share(make_env(plain_task, importance=importance))


MAIN = """
import gymnasium as gym, numpy as np, torch
from torch import nn
import amc_gym
from small import images

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, 5)
    def forward(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))

def task():
    torch.manual_seed(0)
    return amc_gym.CompressionTask(Own().eval(), *(images(n, n) for n in (300, 60, 61)))

if __name__ == "__main__":
    torch.set_num_threads(1)
    env = gym.make("AMC-v0", task=task, importance=lambda view: np.arange(8))
    make = amc_gym.share(env)
    envs = gym.vector.AsyncVectorEnv([make] * 2, context="forkserver")
    envs.reset()
    for _ in range(2):
        _, rewards, *_ = envs.step(np.full((2, 1), 0.3, np.float32))
    env.reset()
    for _ in range(2):
        _, reward, *_ = env.step(np.full(1, 0.3, np.float32))
    assert rewards.tolist() == [reward] * 2
    print("equal", reward > 0)
    # It ends with its workers still at it.
"""


@pytest.mark.thorough
def test_models_of_a_script_reach_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(MAIN)
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.stdout == "equal True\n", done.stderr


def test_gymnasium_makes_workers_without_it_too():
    """Make workers from the registered id; each loads and calibrates by itself."""
    vector = gym.make_vec(
        "AMC-MobileNet-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "forkserver"},
        reward_images=30,
        recovery="none",
    )
    try:
        _, info = vector.reset(seed=0)
        assert info == {}
        for _ in range(14):
            _, rewards, terminations, _, info = vector.step(np.full((2, 1), 0.5, np.float32))
    finally:
        vector.close()
    assert terminations.all()
    env = gym.make("AMC-MobileNet-v0", reward_images=30, recovery="none")
    assert rewards.tolist() == [play(env, [0.5] * 14)[1]] * 2
