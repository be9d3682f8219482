# %% [markdown]
# # From search to phone
#
# A budget in measured milliseconds instead of MACs, and the network in a file for other runtimes.
#
# Half of the MACs is rarely half of the time: small layers have a fixed cost per call, and vector
# units work on whole blocks of channels. So the budget can be time, measured on the device where
# the network will run.

# %%
import gymnasium as gym
import numpy as np
import onnxruntime

import amc_gym

# %% [markdown]
# ## A table of times
#
# Run this once, on the device: it times each layer on a grid of channel counts. The result is a
# JSON file, and searching with it no longer needs the device. (To keep this page quick, it measures
# few rounds and accepts a noisy machine.)

# %% language="bash"
# amc-gym latency-table MobileNet --runtime onnx --rounds 5 --noisiest 1000 --out table.json

# %% [markdown]
# ## Search within a time
#
# Algorithm 1 now counts nanoseconds: no plan exceeds the budget, whatever the agent does.

# %%
env = gym.make(
    "AMC-MobileNet-v0",
    resource="latency",
    runtime="onnx",
    latency_table="table.json",
    preserve_ratio=0.6,
)
plan = amc_gym.search(env, evaluations=100, progress=False)
task = env.unwrapped.task
print(f"{plan.measured.latency_ns / 1000:.0f} us by the table, {plan.measured.macs:,} MACs")
print(f"{plan.measured.accuracy:.1%} of the reward images")
_ = plan.save("plan.json")

# %% [markdown]
# ## Fine-tune and export
#
# Three epochs are enough for the example; `amc-gym finetune plan.json --out tuned.safetensors` uses
# the package's recipe.

# %%
recipe = amc_gym.Recipe(3, 64, 0.01, schedule="cosine", distillation=0.5)
tuned = amc_gym.finetune(task, plan, amc_gym.training_images(task), recipe, progress=False)
print(f"original {amc_gym.accuracy(task.model, task.test):.1%} of the test images, ", end="")
print(f"tuned {amc_gym.accuracy(tuned, task.test):.1%}")
print(amc_gym.export(tuned, task, "tuned.safetensors"))
print(amc_gym.export(tuned, task, "small.onnx"))

# %% [markdown]
# The ONNX file runs without PyTorch:

# %%
session = onnxruntime.InferenceSession("small.onnx", providers=["CPUExecutionProvider"])
images, labels = next(iter(task.test.batches(100)))
(logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
print(f"{(np.argmax(logits, axis=1) == labels.numpy()).mean():.0%} of a hundred test images")

# %% [markdown]
# ## Is it faster?
#
# Times from the table are predictions. This command measures both networks, alternating between
# them, so that whatever slows the machine down affects both. By default it refuses a machine that
# other programs are using; here it is told to go ahead.

# %% language="bash"
# amc-gym bench-latency plan.json --network tuned.safetensors --rounds 20 --busiest 1 --noisiest 9

# %% [markdown]
# For phones there is LiteRT (`pip install 'amc-gym[litert]'`): `amc-gym export plan.json --network
# tuned.safetensors --format litert --out small.tflite`. [Measured latency](../latency.md) explains
# how tables are made and how accurate they are. [Deploy](../deploy.md) has more on files and
# runtimes.
