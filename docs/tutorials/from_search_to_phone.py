# %% [markdown]
# # From search to phone
#
# A budget in measured milliseconds instead of MACs, and the network in a file that other runtimes
# read.
#
# Half of the MACs is rarely half of the time: small layers cost what a call costs, and vector units
# work on whole blocks of channels. So time can be the budget, measured where the network is to run.

# %%
import gymnasium as gym
import numpy as np
import onnxruntime

import amc_gym

# %% [markdown]
# ## A table of times
#
# On the device, once: each layer's time for a grid of channel counts. It is a JSON file, and
# searching with it needs the device no more. (Few rounds and a noisy machine are allowed here, as
# it is only shown.)

# %% language="bash"
# amc-gym latency-table MobileNet --runtime onnx --rounds 5 --noisiest 1000 --out table.json

# %% [markdown]
# ## Search within a time
#
# Algorithm 1 counts nanoseconds now: no plan is over the budget, whatever the agent does.

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
# Three epochs here, for the sake of the example; `amc-gym finetune plan.json --out
# tuned.safetensors` does it with the package's recipe.

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
# Times of a table are a forecast. This times both networks by turns, so that whatever slows the
# machine down meets both. By itself it refuses a machine that other programs use; here it is told
# to go ahead.

# %% language="bash"
# amc-gym bench-latency plan.json --network tuned.safetensors --rounds 20 --busiest 1 --noisiest 9

# %% [markdown]
# For phones there is LiteRT (`pip install 'amc-gym[litert]'`): `amc-gym export plan.json --network
# tuned.safetensors --format litert --out small.tflite`. How tables are made and how far off they
# are: [measured latency](../latency.md). What else there is to know about files and runtimes:
# [deploy](../deploy.md).
