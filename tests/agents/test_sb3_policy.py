"""Policies that SB3 learns on a suite: training, a file without code, loading and execution."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from stable_baselines3 import SAC

import agents
from agents import sb3_suite
from agents.policy_loaders import declared, is_for
from agents.sb3_policy import dumped, read
from agents.sb3_suite import ALGORITHMS, FOLDER
from agents.step_policy import ABOUT, Trained, about
from amc_gym.suites.context import Context
from amc_gym.suites.environment import SuiteEnv
from amc_gym.suites.suite import Suite


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite("two", [Context("vgg-digits-0", ratio) for ratio in (0.4, 0.5)])


@pytest.fixture(scope="module")
def env(suite: Suite) -> SuiteEnv:
    return SuiteEnv(suite.one("vgg-digits-0/0.5"))


@pytest.fixture(scope="module")
def files(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, temporary = map(tmp_path_factory.mktemp, ("policies", "temporary"))
    found = {}
    for algorithm in ALGORITHMS:
        told: list[int] = []
        changes = {"policy_kwargs": {"net_arch": [16]}}
        changes |= {"n_steps": 8, "batch_size": 8} if algorithm == "ppo" else {"batch_size": 8}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(temporary))
            content = sb3_suite.trained(
                algorithm, suite, 3, 0, changes=changes, on_episode=told.append
            )
        assert told == [1, 2, 3]
        found[algorithm] = folder / f"sb3-{algorithm}.safetensors"
        found[algorithm].write_bytes(content)
    assert not list(temporary.iterdir())
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_file_is_carried_out_and_repeats(
    algorithm: str, files: dict[str, Path], env: SuiteEnv
) -> None:
    path = files[algorithm]
    assert declared(path) == "sb3"
    assert is_for(path, "sb3-policy")
    assert not is_for(path, "amc-policy")
    state = torch.random.get_rng_state()
    first = agents.make("sb3-policy", env, seed=0, weights=path).learn(5)
    again = agents.make("sb3-policy", env, seed=1, weights=path).learn(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.evaluations == 1
    assert first.best.counts == again.best.counts
    act, trained = read(path)
    seen = env.reset()[0]
    assert seen.shape == (trained.features,)
    actions = act(np.stack([seen, np.zeros_like(seen)]))
    assert actions.shape == (2, 1)
    assert ((actions >= 0) & (actions <= 1)).all()
    assert actions[0] != actions[1]


def test_the_file_acts_as_the_trained_policy(env: SuiteEnv, tmp_path: Path) -> None:
    """Compare the file's actions with SB3's own policy, up to half precision."""
    given = {"buffer_size": 10, "device": "cpu"}
    about = {"suite": "x", "episodes": 1}
    trained = Trained("comparable", "residual", 103)
    model = SAC("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, **given)
    path = tmp_path / "x.safetensors"
    path.write_bytes(dumped(model, "sac", trained, **about))
    seen = np.stack([env.observation_space.sample() for _ in range(5)])
    wanted, _ = model.predict(seen, deterministic=True)
    np.testing.assert_allclose(read(path)[0](seen), wanted, atol=2e-3)
    odd = SAC("MlpPolicy", env, policy_kwargs={"activation_fn": torch.nn.Tanh}, **given)
    with pytest.raises(ValueError, match="activation_fn cannot be in a file"):
        dumped(odd, "sac", trained, **about)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rows_start_to_learn_at_once(algorithm: str) -> None:
    (row,) = yaml.safe_load((FOLDER / f"{algorithm}.yml").read_text()).values()
    assert row["gamma"] == 1
    assert row.get("learning_starts", 0) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"callback": "agents.noise.ActionNoiseDecay"}, "callback"),
        ({"learning_start": 0}, "learning_start"),
        ({"n_envs": 2}, "n_envs"),
    ],
)
def test_impossible_hyper_parameters_are_refused(suite: Suite, changes: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        sb3_suite.trained("sac", suite, 1, 0, changes=changes)
    with pytest.raises(ValueError, match="did you mean 'sac'"):
        sb3_suite.trained("sacc", suite, 1, 0)


def changed(path: Path, to: Path, tensors: dict[str, Any] | None = None, **said: Any) -> Path:
    """Copy a policy's file with other tensors, or other values in its description."""
    document = json.loads(about(path) or "") | said
    save_file(load_file(path) | (tensors or {}), to, {ABOUT: json.dumps(document)})
    return to


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"algorithm": "os.system"}, "algorithm"),
        ({"net_arch": [10**9]}, "net_arch"),
        ({"net_arch": [17]}, "size mismatch"),
        ({"low": 1.0}, "no range"),
        ({"more": 1}, "more"),
        ({"loader": "pickle"}, "loader"),
    ],
)
def test_bad_files_are_one_error(
    said: dict[str, Any], message: str, files: dict[str, Path], tmp_path: Path, env: SuiteEnv
) -> None:
    path = changed(files["sac"], tmp_path / "bad.safetensors", **said)
    with pytest.raises(OSError, match="not a policy of Stable-Baselines3") as error:
        agents.make("sb3-policy", env, seed=0, weights=path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_files_of_something_else_are_refused(
    files: dict[str, Path], tmp_path: Path, env: SuiteEnv
) -> None:
    nan = {"mu.bias": torch.tensor([float("nan")], dtype=torch.half)}
    with pytest.raises(OSError, match="NaN"):
        read(changed(files["sac"], tmp_path / "nan.safetensors", nan))
    (tmp_path / "x.safetensors").write_bytes(b"PK\x03\x04 a pickled one")
    with pytest.raises(OSError, match="not a file of a policy's weights"):
        read(tmp_path / "x.safetensors")
    with pytest.raises(OSError, match="not a policy of Stable-Baselines3"):
        read(agents.amc_policy.WEIGHTS)
    paper = gym.make("AMC-MobileNet-v0", weights="random", reward_images=20)
    with pytest.raises(ValueError, match="observation='comparable' and action_mode='residual'"):
        agents.make("sb3-policy", paper, seed=0, weights=files["sac"])
    path = changed(files["sac"], tmp_path / "old.safetensors", features=102)
    with pytest.raises(OSError, match="size mismatch"):
        agents.make("sb3-policy", env, seed=0, weights=path)
