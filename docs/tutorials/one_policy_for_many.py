# %% [markdown]
# # One policy for many networks
#
# Suites, where every episode compresses a different network; and what a policy that was trained on
# many networks is worth on a new one.
#
# On a single network a search is hard to beat: there are a dozen numbers to choose, and an
# evaluation takes milliseconds. Learning pays where what was learnt on some networks helps on
# others.

# %%
import gymnasium as gym
import numpy as np
import stable_baselines3

import agents

# %% [markdown]
# ## A suite
#
# `reset` draws a **context**: a network, its data and a budget. Observations are *comparable*:
# their scales are absolute, so the same number means the same on every network. An action of 0.5
# keeps as much as the plan of least estimated error, which is known without any evaluation; other
# actions keep more or less. A reward of 0 is as good as the uniform plan, 1 as good as the full
# network.

# %%
env = gym.make("AMC-SuiteTrain-v0")
print(len(env.unwrapped.suite.networks), "networks,", len(env.unwrapped.suite), "contexts")
print(env.observation_space)
for seed in range(4):
    _, info = env.reset(seed=seed)
    terminated, steps = False, 0
    while not terminated:
        _, reward, terminated, _, _ = env.step(np.array([0.5], dtype=np.float32))
        steps += 1
    print(f"{info['context']:28} {steps:2} steps, reward {reward:+.2f}")

# %% [markdown]
# ## Training on it
#
# The algorithm needs no change. Here TD3 trains for some twenty episodes, enough to show how it is
# done and too few to learn anything lasting: the committed policies had 1,500 episodes.

# %%
noise = stable_baselines3.common.noise.NormalActionNoise(np.zeros(1), np.full(1, 0.1))
model = stable_baselines3.TD3(
    "MlpPolicy", env, learning_starts=50, action_noise=noise, gamma=1.0, batch_size=64, seed=0
)
_ = model.learn(200)

# %% [markdown]
# ## A network never seen
#
# Policies are tested on other networks. This one, with its own budget, is from a family that none
# of our policies was trained on: inverted residuals with squeeze-and-excitation.

# %%
test = gym.make("AMC-SuiteTest-v0")
context = next(iter(test.unwrapped.suite.part("family")))
print(context)


# %%
def played(act) -> float:
    """Return the reward of one episode of the context."""
    observation, _ = test.reset(options={"context": context.name})
    terminated = False
    while not terminated:
        observation, reward, terminated, _, _ = test.step(act(observation))
    return float(reward)


print(f"plan of least error: {played(lambda _: np.array([0.5], dtype=np.float32)):+.2f}")
print(f"TD3, twenty episodes: {played(lambda o: model.predict(o, deterministic=True)[0]):+.2f}")

# %% [markdown]
# ## The policy that comes with the package
#
# `amc-policy` has learnt, from 200 plans of each training network, to predict what a plan is worth.
# Its first plan needs no evaluation; then a Gaussian process continues the search from there. For
# comparison, evaluation by evaluation: CMA-ES, which starts from nothing.

# %%
only = gym.make("AMC-SuiteTest-v0", only=context.name)
print("best reward after", *(f"{n:>7}" for n in (1, 4, 16)), "evaluations")
for name in ("amc-policy", "cma-es"):
    history = agents.make(name, only, seed=0).learn(16).history
    best = np.maximum.accumulate([episode.reward for episode in history])
    print(f"{name:17}", *(f"{best[n - 1]:+7.2f}" for n in (1, 4, 16)))

# %% [markdown]
# One network is an example, not evidence. The results over all test networks, with intervals, and
# how much of them is learnt: [suites](../suites.md#a-policy-that-has-seen-other-networks).
