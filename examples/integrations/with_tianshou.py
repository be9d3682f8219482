"""Train Tianshou's DDPG on the environment, from any folder.

python examples/integrations/with_tianshou.py --episodes 400
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import numpy as np
import torch
from tianshou.algorithm import DDPG
from tianshou.algorithm.modelfree.ddpg import ContinuousDeterministicPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.exploration import GaussianNoise
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic

import amc_gym  # noqa: F401  registers the environments


class WithoutPlan(gym.Wrapper):
    """Removes the plan: Tianshou fails on an ``info`` string that not every step has."""

    def step(self, action):
        """Take a step, keeping only the numbers and the layer's name in ``info``."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info.pop("plan", None)
        return observation, reward, terminated, truncated, info


parser = argparse.ArgumentParser()
parser.add_argument("--env", default="AMC-MobileNet-v0")
parser.add_argument("--episodes", type=int, default=400)
parser.add_argument("--warm-up", type=int, default=100, help="episodes before learning begins")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

np.random.seed(arguments.seed)
torch.manual_seed(arguments.seed)
envs = DummyVectorEnv([lambda: WithoutPlan(gym.make(arguments.env))])
envs.seed(arguments.seed)
probe = gym.make(arguments.env)
states, ratios = probe.observation_space, probe.action_space
length = len(probe.unwrapped.engine.graph.units)  # steps of an episode

# The paper's networks have two hidden layers of 300.
hidden = {"state_shape": states.shape, "hidden_sizes": (300, 300)}
actor = ContinuousActorDeterministic(preprocess_net=Net(**hidden), action_shape=ratios.shape)
critic = ContinuousCritic(preprocess_net=Net(action_shape=ratios.shape, concat=True, **hidden))
algorithm = DDPG(
    # Actors output values in [-1, 1], which Tianshou scales to [0, 1]: sigma 1 is the paper's 0.5.
    policy=ContinuousDeterministicPolicy(
        actor=actor,
        action_space=ratios,
        observation_space=states,
        exploration_noise=GaussianNoise(sigma=1.0),
    ),
    policy_optim=AdamOptimizerFactory(lr=1e-4),
    critic=critic,
    critic_optim=AdamOptimizerFactory(lr=1e-3),
    tau=0.01,
    gamma=1.0,
)

rewards: list[float] = []
collector = Collector(
    algorithm,
    envs,
    VectorReplayBuffer(2000, 1),
    exploration_noise=True,
    on_episode_done_hook=lambda episode: rewards.append(float(episode.rew.sum())),
)
collector.reset()
if arguments.warm_up:
    collector.collect(n_episode=arguments.warm_up, random=True)


def decay(epoch: int, env_step: int) -> None:
    """Reduce the noise from episode to episode."""
    algorithm.policy.set_exploration_noise(GaussianNoise(sigma=0.99 ** (env_step / length)))


algorithm.run_training(
    OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=(arguments.episodes - arguments.warm_up) * length,
        collection_step_num_env_steps=None,
        collection_step_num_episodes=1,
        update_step_num_gradient_steps_per_sample=1.0,
        batch_size=64,
        training_fn=decay,
        show_progress=False,
        verbose=False,
    )
)
print(f"{len(rewards)} episodes of {length} steps, best reward {max(rewards):.4f}")
