# %% [markdown]
# # The paper in numbers
#
# State, action and Algorithm 1 on a network of three layers, with every number worked out by hand.
#
# In *AMC: AutoML for Model Compression and Acceleration on Mobile Devices* (He et al., ECCV 2018)
# an agent chooses a sparsity ratio for each layer, and Algorithm 1 makes sure that the whole
# network meets its budget. Here is one episode, small enough to follow with a pencil.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import amc_gym

torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()),
    *(nn.Conv2d(4, 10, 3, padding=1), nn.ReLU()),
    *(nn.Conv2d(10, 10, 3, padding=1), nn.ReLU()),
    *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 3)),
).eval()
images = [(torch.randn(n, 1, 8, 8), torch.arange(n) % 3) for n in (60, 60, 60)]
task = amc_gym.CompressionTask(model, *images)
env = gym.make("AMC-v0", task=task, preserve_ratio=0.5, render_mode="rgb_array")

# %% [markdown]
# ## What the network costs
#
# A k x k convolution with n inputs and m outputs on an 8 x 8 image takes 64 k k n m multiplications
# and additions, so its cost is a product of *two* channel counts:
#
# | layer | cost | at full width |
# |:--|:--|--:|
# | first convolution | 64 · 9 · 1 · a | 2,304 |
# | second | 64 · 9 · a · b | 23,040 |
# | third | 64 · 9 · b · c | 57,600 |
# | linear | c · 3 | 30 |
#
# with a = 4, b = 10 and c = 10. The image and the three classes cannot be pruned.


# %%
def macs(a: int, b: int, c: int) -> int:
    return 576 * a + 576 * a * b + 576 * b * c + 3 * c


full = macs(4, 10, 10)
limit = full // 2  # preserve_ratio=0.5, rounded down
assert full == env.unwrapped.engine.costs["macs"].full == 82_974
print(f"{full:,} in all, at most {limit:,} may stay")

# %% [markdown]
# ## Three decisions
#
# a, b and c are the units, and each may lose at most 80 % (`max_sparsity`): so at least one channel
# of four, two of ten and two of ten stay. How many channels may the current unit keep, if the later
# units keep as few as they can? That is its **cap**, which is Algorithm 1 in whole numbers:
#
# cap of a: the largest a with macs(a, 2, 2) ≤ 41,487. Even a = 4 costs only 9,222, so the cap is 4.

# %%
assert macs(4, 2, 2) == 9_222 <= limit

# %% [markdown]
# An agent that does not want to prune anything says 0 each time. It gets its way for as long as
# that is possible:

# %%
observation, _ = env.reset(seed=0)
episode = [observation]
for _ in range(3):
    observation, reward, terminated, _, info = env.step(np.array([0.0], dtype=np.float32))
    episode.append(observation)
    print(f"{info['layer']:2} asked 0.0, done {info['sparsity']:.1f}, keeps {info['channels']}")
print(f"{info['macs']:,} MACs")

# %% [markdown]
# By hand: a keeps 4. Then b: macs(4, b, 2) = 2,310 + 3,456 b must be at most 41,487, so b ≤ 11.3,
# and all 10 stay. Then c: macs(4, 10, c) = 25,344 + 5,763 c ≤ 41,487 gives c ≤ 2.8, so 2 stay. The
# plan is (4, 10, 2).

# %%
assert limit >= 2_310 + 3_456 * 10
assert 25_344 + 5_763 * 2 <= limit < 25_344 + 5_763 * 3
assert info["macs"] == macs(4, 10, 2) == 36_870

# %% [markdown]
# The plan is within the budget, and bad: the last unit pays for all. Agents have to learn to give
# early. As printed, the algorithm counts each layer by its own ratio, as in weight pruning. With
# channels that would miss the budget, because a layer's cost depends on two decisions. The rule
# above is the same where costs are linear, and exact here.
#
# ## An action
#
# A ratio of 0.4 asks b to keep 6 of its 10 channels: the allowed count nearest to (1 - 0.4) · 10,
# and never more than the cap. (`action_mode="feasible"` instead spreads the ratio over what is
# possible.)

# %%
env.reset(seed=0)
for ratio in (0.25, 0.4, 0.3):
    *_, info = env.step(np.array([ratio], dtype=np.float32))
    print(f"{info['layer']:2} asked {ratio}, done {info['sparsity']:.2f}, keeps {info['channels']}")
assert info["macs"] == macs(3, 6, 7) <= limit
print(f"{info['macs']:,} MACs, {info['macs_ratio']:.1%}")

# %%
plt.figure(figsize=(9, 6))
plt.imshow(env.render())
plt.axis("off")
plt.show()

# %% [markdown]
# ## The state
#
# What the agent saw before each of the three decisions of the first episode, and at its end: eleven
# numbers, scaled to [0, 1] over the units (equation 1):

# %%
names = ["t", "n", "c", "h", "w", "stride", "k", "FLOPs", "reduced", "rest", "last action"]
print(f"{'':12}{'a':>8}{'b':>8}{'c':>8}{'end':>8}")
for name, values in zip(names, np.array(episode).T, strict=True):
    print(f"{name:12}" + "".join(f"{value:8.3f}" for value in values))

# %% [markdown]
# `reduced` is the fraction of the whole that the decisions so far have saved: at the end 1 -
# 36,870 / 82,974 = 0.556. `last action` is the ratio that was *executed*, not the one asked for.

# %%
assert np.isclose(episode[-1][8], 1 - 36_870 / 82_974, atol=1e-6)
assert np.isclose(episode[-1][10], 0.8)

# %% [markdown]
# ## The reward
#
# It is 0 until the last step, and then the accuracy of the compressed network on the reward images
# (the paper's -Error, up to a constant). Without a budget, `preserve_ratio=None`, the paper's other
# rewards trade error against size: `"error-log-macs"` is -Error · log(MACs), and
# `"error-log-params"` likewise.
#
# What this project does differently from the paper, and why: [differences](../differences.md).
