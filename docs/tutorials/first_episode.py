# %% [markdown]
# # First episode
#
# What an observation, an action and a reward are, and how a plan becomes a smaller network.
#
# AMC-Gym asks one question, layer by layer: *how many of its channels can this layer lose?* An
# **episode** is one walk through a trained network. Its result is a **plan**, which says which
# channels stay. The reward says how good the compressed network is.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import amc_gym

env = gym.make("AMC-MobileNet-v0", preserve_ratio=0.3, render_mode="rgb_array")
observation, info = env.reset(seed=0)
print(env.observation_space)
print(env.action_space)

# %% [markdown]
# The network is a small MobileNet, trained on handwritten digits; both come with the package. Its
# **budget** is 30 % of its multiplications and additions (**MACs**).
#
# ## What there is to decide
#
# Some channels can only be pruned together: those that a depthwise convolution passes on, for
# example, or those that two branches add up. Such a group is a **unit**, and each step decides one
# unit. It is named after the first layer that reads its channels.

# %%
units = env.unwrapped.engine.graph.units
for unit in units:
    print(f"{unit.name:26}{unit.channels:4} channels")

# %% [markdown]
# ## Observation
#
# Eleven numbers in [0, 1] describe the next unit: its place in the network, its size and stride,
# what it costs, how much the steps so far have saved, how much is still to come, and the last
# action (the paper's equation 1).

# %%
names = ["t", "n", "c", "h", "w", "stride", "k", "FLOPs", "reduced", "rest", "last action"]
for name, number in zip(names, observation, strict=True):
    print(f"{name:12}{number:.3f}")

# %% [markdown]
# ## Action
#
# An action is a **sparsity ratio**: the fraction of the unit's channels to prune. Here we ask every
# unit to lose 40 %, which is not enough for the budget.

# %%
terminated = False
while not terminated:
    observation, reward, terminated, truncated, info = env.step(np.array([0.4], dtype=np.float32))
    print(f"{info['layer']:26}asked 0.40, done {info['sparsity']:.2f}, {info['channels']:3} stay")

# %% [markdown]
# The last units lost more than we asked. This is the paper's Algorithm 1: before each step the
# environment computes how much the later units could save at most. If that is not enough to meet
# the budget, the current unit has to give more. So *every* episode ends within the budget, whatever
# the agent does:

# %%
print(f"MACs: {info['macs']:,}, {info['macs_ratio']:.1%} of the full network's")
print(f"accuracy on the reward images: {info['accuracy']:.1%}, reward {reward:.4f}")

# %%
plt.figure(figsize=(9, 6))
plt.imshow(env.render())
plt.axis("off")
plt.show()

# %% [markdown]
# The reward was 0 until the last step. Then three things happened: the compressed network was
# built; its remaining weights were refitted to make up for the pruned ones (**recovery**); and it
# was run on the *reward images*, which it was not trained on. That is one **evaluation**, the unit
# in which agents are compared.
#
# ## The compressed network
#
# The plan of the episode is a small object that can be saved as JSON. `compress` turns it into an
# `nn.Module` that really is smaller: nothing in it is masked.

# %%
plan, task = env.unwrapped.plan, env.unwrapped.task
small = amc_gym.compress(task, plan)
print(sum(p.numel() for p in task.model.parameters()), "parameters before")
print(sum(p.numel() for p in small.parameters()), "after")
print(f"test images: {amc_gym.accuracy(task.model, task.test):.1%} before, ", end="")
print(f"{amc_gym.accuracy(small, task.test):.1%} after")

# %% [markdown]
# Test images are for reports; no search sees them. Whoever receives the plan need not believe its
# figures, but can replay it:

# %%
plan.save("plan.json")
print(amc_gym.validate(task, amc_gym.CompressionPlan.load("plan.json")).ok)

# %% [markdown]
# ## A first search
#
# Random plans are no better than the *uniform* plan, which prunes every unit equally. A search that
# learns from the rewards of earlier plans is better, and evaluations are cheap enough for hundreds
# of them:

# %%
env.action_space.seed(1)
best = 0.0
for _ in range(20):
    env.reset()
    terminated = False
    while not terminated:
        *_, terminated, _, info = env.step(env.action_space.sample())
    best = max(best, info["accuracy"])
found = amc_gym.search(env, evaluations=200, seed=0, progress=False)
references = env.unwrapped.problem.references
print(f"uniform plan          {references.uniform:.1%} of the reward images")
print(f"best of 20 at random  {best:.1%}")
print(f"200 plans, evolution  {found.measured.accuracy:.1%}")
print(f"full network          {references.full:.1%}")

# %% [markdown]
# Next: replace that evolutionary search with [your own agent](your_own_agent.md).
