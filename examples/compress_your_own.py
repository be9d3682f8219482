"""Compress your own network, on your own arrays, to 40 % of its MACs and write it as ONNX.

    python examples/compress_your_own.py

Without the extra (pip install 'amc-gym[onnx]') it writes safetensors instead.
"""

from importlib.util import find_spec

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train

# Any network that maps images to logits ...
model = nn.Sequential(
    *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)),
)

# ... and any arrays: images (N, C, H, W) and labels (N,), in three disjoint parts.
pixels, labels = load_digits(return_X_y=True)
images = (pixels.reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32)
order = np.random.default_rng(0).permutation(len(images))
training, reward, test = (
    amc_gym.Split(torch.from_numpy(images[part]), torch.from_numpy(labels[part].astype(np.int64)))
    for part in np.split(order, [897, 1297])
)
torch.manual_seed(0)
train(model, training, amc_gym.Recipe(epochs=10, batch_size=64, learning_rate=0.05))

task = amc_gym.CompressionTask(model, calibration=training, reward=reward, test=test)
plan = amc_gym.search(make_env(task, preserve_ratio=0.4), evaluations=200)
small = amc_gym.finetune(task, plan, training, amc_gym.Recipe(5, 64, 0.01, schedule="cosine"))

print(f"MACs: {plan.measured.macs:,}, parameters: {plan.measured.params:,}")
for name, network in (("original", model), ("compressed", small)):
    print(f"{name}: {amc_gym.accuracy(network, test):.2%} of the test images")
suffix = "onnx" if find_spec("onnxruntime") and find_spec("onnxscript") else "safetensors"
print(amc_gym.export(small, task, f"digits-small.{suffix}", overwrite=True))
