"""Model cards of the bundled networks, in the form of Hugging Face.

Each network gets a folder: its weights, its card from the package, and a README.md whose header is
metadata and whose figures are those of the card.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from amc_gym.registration import IDS
from amc_gym.zoo import bundled

DATA = {
    "digits": (
        "scikit-learn's handwritten digits (UCI Optical Recognition of Handwritten Digits), 16 x 16"
    ),
    "cifar10": "CIFAR-10 (Krizhevsky, 2009), 32 x 32",
    "imagenette96": (
        "Imagenette, ten classes of ImageNet, 96 x 96; ImageNet's terms: for research, and no "
        "photograph is part of this file"
    ),
}
"""Data set -> description of the training data."""


def write(out: Path) -> list[Path]:
    """Write the folder of each bundled network, and return the folders.

    Args:
        out: parent folder.
    """
    folders = []
    for card in bundled.cards():
        weights = bundled.DIRECTORY / card["file"]
        folder = out / weights.stem
        folder.mkdir(parents=True)
        shutil.copy(weights, folder)
        shutil.copy(weights.with_suffix(".json"), folder)
        (folder / "README.md").write_text(page(card), "utf-8")
        folders.append(folder)
    return folders


def page(card: dict[str, Any]) -> str:
    """Return the README.md of a network.

    Args:
        card: see ``bundled.find``.
    """
    network, dataset = card["network"], card["dataset"]
    id_ = next(id_ for id_, name in IDS.items() if name == network)
    recipe = ", ".join(f"{name} {value}" for name, value in card["recipe"].items())
    shape = " x ".join(map(str, card["input_shape"]))
    rows = "\n".join(
        f"| {split} | {judged['images']:,} | {judged['top1']:.2%} |"
        for split, judged in card["accuracy"].items()
    )
    return f"""---
{yaml.safe_dump(_metadata(card), sort_keys=False)}---

# {network} for {dataset}, of AMC-Gym

A network to be compressed: the environment `{id_}` begins with it.
{card["parameters"]:,} parameters, {card["macs"]:,} multiply-accumulate operations for an image of
{shape}.

```python
import gymnasium as gym

env = gym.make("amc_gym:{id_}", dataset="{dataset}")
model = env.unwrapped.task.model
```

## Data and training

{DATA[dataset]}. Recipe: {recipe}. Reward images are what searches see; neither they nor test images
were trained on.

| images | n | top-1 |
|:--|--:|--:|
{rows}

## What it is for, and what not

To compare agents that compress networks. It is smaller than what solves this task best, and nobody
should decide anything by its answers.

Weights: `{card["file"]}`, SHA-256 `{card["sha256"]}`; safetensors, so that loading it runs no code.
"""


def _metadata(card: dict[str, Any]) -> dict[str, Any]:
    test = card["accuracy"]["test"]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": card["dataset"], "type": card["dataset"], "split": "test"},
        "metrics": [{"type": "accuracy", "value": test["top1"], "name": f"n = {test['images']}"}],
    }
    return {
        "license": "mit",
        "library_name": "amc-gym",
        "pipeline_tag": "image-classification",
        "tags": ["pruning", "model-compression", "gymnasium"],
        "model-index": [{"name": f"{card['network']}-{card['dataset']}", "results": [result]}],
    }
