"""Train RLlib's SAC on the environment, from any folder.

python examples/integrations/with_rllib.py --episodes 400
"""

from __future__ import annotations

import argparse

import gymnasium as gym
from ray.rllib.algorithms.sac import SACConfig
from ray.tune.registry import register_env


def make(config: dict) -> gym.Env:
    """Make the environment of one of RLlib's workers."""
    import amc_gym  # noqa: F401  registers the environments there

    return gym.make(**config)


parser = argparse.ArgumentParser()
parser.add_argument("--env", default="AMC-MobileNet-v0")
parser.add_argument("--episodes", type=int, default=400)
parser.add_argument("--warm-up", type=int, default=100, help="episodes before learning begins")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

register_env("amc", make)
# Steps of an episode: the network's units.
length = len(make({"id": arguments.env}).unwrapped.engine.graph.units)
config = (
    SACConfig()
    .environment("amc", env_config={"id": arguments.env})
    .env_runners(num_env_runners=0, rollout_fragment_length=length)
    .training(
        gamma=1.0,
        tau=0.01,
        train_batch_size_per_learner=64,
        num_steps_sampled_before_learning_starts=arguments.warm_up * length,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 2000},
    )
    # As many updates as an episode has steps; an iteration is one episode.
    .reporting(min_sample_timesteps_per_iteration=length, min_time_s_per_iteration=0)
    .debugging(seed=arguments.seed)
)
algorithm = config.build_algo()
episodes, best = 0, -float("inf")
while episodes < arguments.episodes:
    runners = algorithm.train()["env_runners"]
    episodes = int(runners["num_episodes_lifetime"])
    best = max(best, runners["episode_return_max"])
algorithm.stop()
print(f"{episodes} episodes of {length} steps, best reward {best:.4f}")
