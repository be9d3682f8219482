# %% [markdown]
# # Your own task and metric
#
# Networks that do not classify: a loss, a score in [0, 1], and a reward that trades score against
# size.
#
# A network is fine-tuned with a *loss* and judged by a *score*; together they are the task's
# **objective**. Segmentation, regression and detection come with the package; anything else takes
# two functions.

# %%
import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

import amc_gym
from amc_gym.training.loop import train

# %% [markdown]
# ## A network that forecasts
#
# It predicts the next four steps of a wave from the last 32. Samples are pairs of inputs and
# targets of any shape.


# %%
def waves(n: int, seed: int) -> amc_gym.Samples:
    generator = torch.Generator().manual_seed(seed)
    period = 8 + 24 * torch.rand(n, 1, 1, generator=generator)
    phase = 6.28 * torch.rand(n, 1, 1, generator=generator)
    wave = torch.sin(6.28 * torch.arange(36) / period + phase)
    return amc_gym.Samples(wave[..., :32].contiguous(), wave[:, 0, 32:].contiguous())


training, calibration, reward, test = (waves(n, s) for s, n in enumerate((2000, 300, 300, 300)))
torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv1d(1, 48, 5, padding=2), nn.BatchNorm1d(48), nn.ReLU()),
    *(nn.Conv1d(48, 64, 5, padding=2, stride=2), nn.BatchNorm1d(64), nn.ReLU()),
    *(nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 4)),
)

# %% [markdown]
# ## An objective
#
# The loss is a mean over the batch. The score here is a fraction, counted sample by sample: are all
# four steps within 0.2 of the truth? Before the search starts, both are tried on the reward
# samples. A score outside [0, 1] or a loss without a gradient gives one clear error.


# %%
def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(outputs, targets)


def within(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets).abs() < 0.2).all(dim=1).float()


objective = amc_gym.objectives.own(loss, within, "within 0.2")
train(
    model,
    training,
    amc_gym.Recipe(15, 64, 0.003, optimizer="adamw"),
    objective=objective,
    progress=False,
)
model.eval()
task = amc_gym.CompressionTask(model, calibration, reward, test, objective=objective)
print(f"{amc_gym.score(model, test, objective):.1%} of the test samples within 0.2")

# %% [markdown]
# The score is now what an episode is worth, what `info["score"]` reports, and what `validate`
# checks.

# %%
env = gym.make("AMC-v0", task=task, preserve_ratio=0.5)
plan = amc_gym.search(env, evaluations=80, progress=False)
recipe = amc_gym.Recipe(8, 64, 0.003, schedule="cosine", optimizer="adamw", distillation=0.5)
tuned = amc_gym.finetune(task, plan, training, recipe, progress=False)
for name, network in (
    ("original", model),
    ("compressed", amc_gym.compress(task, plan)),
    ("fine-tuned", tuned),
):
    print(f"{name:11} {amc_gym.score(network, test, objective):.1%} of the test samples")
print(amc_gym.validate(task, plan).ok)

# %% [markdown]
# ## A reward of your own
#
# A budget says how small the network must be. Without one (`preserve_ratio=None`) the reward has to
# trade size against score. This is MnasNet's soft constraint (Tan et al., 2019): score times (size
# / target) to the power of -0.2.

# %%
TARGET = 0.3 * env.unwrapped.engine.costs["macs"].full


def mnasnet(measured: amc_gym.Measured) -> float:
    return measured.score * (measured.macs / TARGET) ** -0.2


free = gym.make("AMC-v0", task=task, preserve_ratio=None, reward=mnasnet)
for share in (0.0, 0.2, 0.4, 0.6):
    free.reset(seed=0)
    terminated = False
    while not terminated:
        _, value, terminated, _, info = free.step(np.array([share], dtype=np.float32))
    print(f"sparsity {share:.1f}: {info['macs_ratio']:4.0%} of the MACs, ", end="")
    print(f"score {info['score']:.1%}, reward {value:.3f}")

# %% [markdown]
# For more objectives, tuples or dictionaries as inputs, and detectors see [any
# task](../objectives.md). Importance, recovery and resource can be functions as well:
# [extend](../extend.md).
