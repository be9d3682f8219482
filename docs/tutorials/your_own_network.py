# %% [markdown]
# # Your own network
#
# From an `nn.Module` and three sets of images to a smaller network in a file.
#
# You declare nothing about the network. AMC-Gym follows one forward pass operation by operation and
# works out what can be pruned, and what can only be pruned together.

# %%
import gymnasium as gym
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import amc_gym
from amc_gym.training.loop import train

# %% [markdown]
# ## A network and its images
#
# A residual network, trained here in a few seconds; yours is already trained.


# %%
class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))


torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), Block(32), nn.MaxPool2d(2), Block(32)),
    *(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)),
)
pixels, labels = load_digits(return_X_y=True)
images = torch.tensor(pixels.reshape(-1, 1, 8, 8) / 8 - 1, dtype=torch.float32)
order = np.random.default_rng(0).permutation(len(images))
training, reward, test = (
    amc_gym.Split(images[part], torch.from_numpy(labels[part]))
    for part in np.split(order, [897, 1297])
)
train(model, training, amc_gym.Recipe(8, 64, 0.05), progress=False)
model.eval()
print(f"{amc_gym.accuracy(model, test):.1%} of the test images")

# %% [markdown]
# ## The task
#
# Three disjoint sets: *calibration* images, to rank channels and fit weights (training images are
# fine); *reward* images, which the search sees; *test* images, for the report. An image that is in
# two of the sets is an error.

# %%
task = amc_gym.CompressionTask(model, calibration=training, reward=reward, test=test)
env = gym.make("AMC-v0", task=task, preserve_ratio=0.4)
graph = env.unwrapped.engine.graph
for unit in graph.units:
    print(f"{unit.name:10} {unit.channels:3} channels, touched by {', '.join(unit.members)}")
for name, reason in graph.fixed.items():
    print(f"stays whole: {name} ({reason})")

# %% [markdown]
# The channels of the residual stream are one unit: to drop one of them is to drop it in every layer
# that adds to the stream or reads from it.
#
# ## Search, compare, export

# %%
uniform = amc_gym.search(env, evaluations=1, progress=False)  # which tries the uniform plan first
plan = amc_gym.search(env, evaluations=150, progress=False)
small = amc_gym.compress(task, plan)
tuned = amc_gym.finetune(
    task, plan, training, amc_gym.Recipe(4, 64, 0.01, schedule="cosine"), progress=False
)
for name, network in (
    ("original", model),
    ("uniform", amc_gym.compress(task, uniform)),
    ("searched", small),
    ("fine-tuned", tuned),
):
    print(f"{name:11} {amc_gym.accuracy(network, test):.1%} of the test images")
print(f"{plan.measured.macs:,} MACs of {env.unwrapped.engine.costs['macs'].full:,}")

# %%
exported = amc_gym.export(tuned, task, "small.onnx")
print(exported)

# %% [markdown]
# Before you got the file, ONNX Runtime ran it and its outputs were compared with PyTorch's. For
# other formats and their speed see [from search to phone](from_search_to_phone.md).
#
# The same from a shell, where `my_network.py` has a function `task()` that returns the task:
#
# ```sh
# amc-gym info my_network:task
# amc-gym search my_network:task --preserve-ratio 0.4 --out plan.json
# amc-gym finetune plan.json --task my_network:task --train my_network:training \
#     --out tuned.safetensors
# amc-gym export plan.json --task my_network:task --network tuned.safetensors \
#     --format onnx --out small.onnx
# ```
