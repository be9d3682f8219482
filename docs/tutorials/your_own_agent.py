# %% [markdown]
# # Your own agent
#
# Three ways to bring an algorithm: your own loop, a Stable-Baselines3 class, a script in CleanRL's
# style; and how to compare it fairly.
#
# Agents spend **evaluations**: an evaluation builds and tests the compressed network of one
# finished plan. Compare agents at equal evaluations, not at equal episodes, steps or seconds.

# %%
import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from IPython.display import Image

import agents
import amc_gym
import benchmarks

# %% [markdown]
# ## A loop of your own
#
# An agent is a class that takes an environment and a seed and has a `learn` method. A wrapper
# around the environment records what it finds, so it need not return anything. This one changes one
# ratio of its best plan at a time:


# %%
@agents.register("hill-climber", kind="searcher")
class HillClimber:
    """Mutates the best sparsity ratios found so far, one unit at a time."""

    def __init__(self, env: gym.Env, seed: int) -> None:
        self.env = env
        self.rng = np.random.default_rng(seed)

    def learn(self, episodes: int) -> None:
        best, best_reward = np.full(self.env.unwrapped.steps_per_episode, 0.5), -np.inf
        for _ in range(episodes):
            ratios = best.copy()
            unit = self.rng.integers(len(ratios))
            ratios[unit] = np.clip(ratios[unit] + self.rng.normal(0, 0.2), 0, 1)
            reward = self.play(ratios)
            if reward >= best_reward:
                best, best_reward = ratios, reward

    def play(self, ratios: np.ndarray) -> float:
        self.env.reset()
        return sum(float(self.env.step(np.array([ratio]))[1]) for ratio in ratios)


# %% [markdown]
# `make` gives the agent an environment that counts its episodes; `learn(50)` returns the best plan.

# %%
env = gym.make("AMC-MobileNet-v0")
for name in ("hill-climber", "random"):
    result = agents.make(name, env, seed=0).learn(50)
    network = amc_gym.compress(env.unwrapped.task, result.best)
    test = amc_gym.accuracy(network, env.unwrapped.task.test)
    print(f"{name:13} {result.best_episode.accuracy:.1%} of reward images, ", end="")
    print(f"{test:.1%} of test images, {result.seconds:.0f} s")

# %% [markdown]
# ## A class of Stable-Baselines3
#
# The environment is an ordinary Gymnasium environment, so a library's algorithm trains on it
# directly. `benchmarks.record` writes down what it finds, as a study would. Episodes are short and
# only the last step has a reward, hence `gamma=1`. The paper explores for many episodes; here there
# are only 25 in all.

# %%
recorded = benchmarks.record(
    gym.make("AMC-MobileNet-v0"), agent="my-sac", seed=0, out="runs/mine", episodes=25
)
steps = recorded.unwrapped.steps_per_episode
model = stable_baselines3.SAC(
    "MlpPolicy", recorded, learning_starts=5 * steps, batch_size=64, gamma=1.0, seed=0
)
_ = model.learn(25 * steps)
recorded.close()

# %% [markdown]
# ## A script in CleanRL's form
#
# CleanRL's scripts make their environment from an id, and `amc_gym:AMC-MobileNet-v0` imports the
# package by itself. So `python ddpg_continuous_action.py --env-id amc_gym:AMC-MobileNet-v0` works
# unchanged. Here is a policy gradient in that style, all in one cell: eight episodes at a time,
# evaluated together, with their mean reward as the baseline, and 100 reward images to be quick.

# %%
torch.manual_seed(0)
envs = gym.make_vec("AMC-MobileNet-v0", num_envs=8, reward_images=100)
actor = torch.nn.Sequential(torch.nn.Linear(11, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
optimizer = torch.optim.Adam(actor.parameters(), lr=0.02)
means = []
for iteration in range(20):
    observations, _ = envs.reset(seed=iteration)
    log_probs = []
    for _ in range(steps):
        policy = torch.distributions.Normal(0.5 + actor(torch.as_tensor(observations)), 0.2)
        actions = policy.sample()
        log_probs.append(policy.log_prob(actions).sum(1))
        observations, rewards, *_ = envs.step(actions.clip(0, 1).numpy())
    returns = torch.as_tensor(rewards, dtype=torch.float32)
    advantages = (returns - returns.mean()) / (returns.std() + 1e-6)
    loss = -(torch.stack(log_probs).sum(0) * advantages).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    means.append(rewards.mean())
envs.close()
for first in range(0, 20, 5):
    mean = np.mean(means[first : first + 5])
    print(f"iterations {first:2} to {first + 4:2}: mean reward {mean:.3f}")

# %% [markdown]
# ## A fair comparison
#
# A study gives every agent the same number of evaluations, the same seeds and the same networks,
# and each run its own process. `examples/bring_your_own_agent.py` holds the hill climber as a
# module; any importable class works.

# %% language="bash"
# python -m benchmarks run --env AMC-MobileNet-v0 --seeds 2 --episodes 20 \
#     --agents bring_your_own_agent:HillClimber,random,uniform --out runs/study
# python -m benchmarks report runs/study

# %%
Image("runs/study/learning-curves.png")

# %% [markdown]
# Two seeds and twenty evaluations show the method, not which agent is better. [Which
# agent?](../which-agent.md) says how many of both you need, what the committed results show, and
# where black-box searchers beat reinforcement learning.
