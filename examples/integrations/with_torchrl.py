"""Train TorchRL's DDPG on the environment, from any folder.

python examples/integrations/with_torchrl.py --episodes 400
"""

from __future__ import annotations

import argparse

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.modules import AdditiveGaussianModule, ValueOperator
from torchrl.objectives import DDPGLoss, SoftUpdate

import amc_gym  # noqa: F401  registers the environments

parser = argparse.ArgumentParser()
parser.add_argument("--env", default="AMC-MobileNet-v0")
parser.add_argument("--episodes", type=int, default=400)
parser.add_argument("--warm-up", type=int, default=100, help="episodes before learning begins")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

torch.manual_seed(arguments.seed)
env = GymEnv(arguments.env)
env.set_seed(arguments.seed)
length = len(env.rollout(1000))  # steps of an episode: the network's units

# The paper's networks: two hidden layers of 300, ratios through a sigmoid.
layers = nn.Linear(11, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 1)
actor = TensorDictModule(nn.Sequential(*layers, nn.Sigmoid()), ["observation"], ["action"])


class Critic(nn.Module):
    """Computes the value of a ratio in a state."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(12, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 1)
        )

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([observation, action], dim=-1))


critic = ValueOperator(Critic(), in_keys=["observation", "action"])
loss = DDPGLoss(actor, critic, delay_actor=True, delay_value=True)
loss.make_value_estimator(gamma=1.0)
targets = SoftUpdate(loss, tau=0.01)
optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
replay = TensorDictReplayBuffer(storage=LazyTensorStorage(2000), batch_size=64)

noise = AdditiveGaussianModule(
    env.action_spec,
    sigma_init=0.5,
    sigma_end=0.02,
    annealing_num_steps=max(1, arguments.episodes * length),
)
collector = Collector(
    env,
    TensorDictSequential(actor, noise),
    frames_per_batch=length,  # one episode
    total_frames=arguments.episodes * length,
    init_random_frames=arguments.warm_up * length,
    auto_register_policy_transforms=False,  # memoryless noise needs no InitTracker
)
rewards = []
for episode in collector:
    noise.step(length)
    replay.extend(episode)
    rewards.append(float(episode["next", "reward"][episode["next", "done"]].sum()))
    if len(rewards) > arguments.warm_up:
        for _ in range(length):
            losses = loss(replay.sample())
            optimizer.zero_grad()
            (losses["loss_actor"] + losses["loss_value"]).backward()
            optimizer.step()
            targets.step()
collector.shutdown()
print(f"{len(rewards)} episodes of {length} steps, best reward {max(rewards):.4f}")
