"""What is compressed: a trained network and the images that belong to its compression."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym.tasks import bundled, datasets, models
from amc_gym.tasks.datasets import Split
from amc_gym.tasks.pretrained import pretrained

SHARED_IMAGES = 0.01
"""Share of a split that may stand in another one too: real data sets hold a few duplicates."""


@dataclass(frozen=True, eq=False)
class CompressionTask:
    """A pretrained network and three disjoint splits.  Two tasks of equal content are equal.

    Attributes:
        model: in eval mode, mapping (N, C, H, W) images to (N, classes) logits; never changed.
        calibration: layer statistics are gathered on these; training images will do.
        reward: what the search sees, again and again; not among the training images.
        test: what is reported, once; not among the training images.
        preserve_ratio: share of the resource to keep where the environment is not told otherwise.
        channel_multiple: kept channel counts are multiples of this where not told otherwise.
        source: the options that name this task in a plan; filled in for tasks made from names.

    A split is a ``Split``, or what makes one: (images, labels) or (images, labels, mean, std), in
    tensors or NumPy arrays.

    Raises:
        ValueError: the model is in training mode or does not classify the images, a label has no
            class, or splits share images.
    """

    model: nn.Module
    calibration: Split
    reward: Split
    test: Split
    preserve_ratio: float = 0.5
    channel_multiple: int = 1
    source: tuple[tuple[str, str | None], ...] = (("task", None),)

    def __post_init__(self) -> None:
        for name in ("calibration", "reward", "test"):
            split = getattr(self, name)
            if not isinstance(split, Split):
                object.__setattr__(self, name, Split(*split))
        if any(module.training for module in self.model.modules()):
            raise ValueError("the model is in training mode; call model.eval() first")
        self._check_classes()
        for one, other in (("reward", "test"), ("calibration", "reward"), ("calibration", "test")):
            shared = _shared_images(getattr(self, one), getattr(self, other))
            if shared > SHARED_IMAGES * min(len(getattr(self, one)), len(getattr(self, other))):
                raise ValueError(
                    f"the {one} and {other} splits share {shared} images; they must be disjoint"
                )

    def _check_classes(self) -> None:
        example = self.example
        try:
            with torch.inference_mode():
                logits = self.model(example)
        except Exception as error:
            raise ValueError(
                f"the model does not run on one image of shape {tuple(example.shape)}: {error}"
            ) from error
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise ValueError("the model must return logits of shape (N, classes)")
        for name in ("calibration", "reward", "test"):
            labels = getattr(self, name).labels
            if labels.min() < 0 or labels.max() >= logits.shape[1]:
                raise ValueError(
                    f"the {name} split has labels {int(labels.min())}..{int(labels.max())}, "
                    f"but the model knows {logits.shape[1]} classes"
                )

    @property
    def example(self) -> Tensor:
        """One image, (1, C, H, W), on the model's device."""
        device = next(self.model.parameters()).device
        return self.reward.batch(slice(1)).to(device)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the model (structure and weights) and of each split."""
        digest = hashlib.sha256()
        for name, module in self.model.named_modules():
            digest.update(f"{name}:{type(module).__name__}:{_structure(module)};".encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
            digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        splits = {n: getattr(self, n).fingerprint for n in ("calibration", "reward", "test")}
        return {"model": digest.hexdigest()} | splits

    @cached_property
    def fingerprint(self) -> str:
        """One sha256 for the whole task: what results are keyed by."""
        return hashlib.sha256("".join(self.fingerprints.values()).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompressionTask) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompressionTask:
        return self  # Gymnasium deep-copies keywords on each access of env.spec


def _structure(module: nn.Module) -> str:
    """What a module says of itself, the same under every version of torch.

    Norms of torch 2.14 say whether they have a bias, right after whether they are affine; those of
    torch 2.11 did not.
    """
    text = module.extra_repr()
    if "affine=" in text and "bias=" not in text:
        bias = getattr(module, "bias", None) is not None
        text = re.sub("affine=(True|False)", rf"\g<0>, bias={bias}", text)
    return text


TaskLike = str | Callable[[], CompressionTask] | CompressionTask
"""A network's name, "package.module:function", such a function itself, or a task."""


def resolve(
    task: TaskLike,
    *,
    dataset: str = "digits",
    data_root: str | Path | None = None,
    weights: str | Path = "bundled",
) -> CompressionTask:
    """The task that the options name; the same object for the same options.

    Args:
        task: see ``TaskLike``.  The other arguments only apply to a network's name.
        dataset: "digits", "cifar10", "imagenet" or "folder", see ``datasets.load``.
        data_root: folder of data sets that are read from disk.
        weights: "bundled", "torchvision", "random", or a path, see ``pretrained``.

    Raises:
        ValueError: an option is unknown or does not apply.
        OSError: weights or data that are missing or damaged.
    """
    if isinstance(task, str) and ":" not in task:
        name = datasets.name_of(dataset)
        models.setting(task, name)
        if weights == "bundled":
            bundled.find(task, name)  # before the data, which may take long to load
        root = datasets.find_root(dataset, data_root)
        return _network_task(task, dataset, root, str(weights))
    if (dataset, data_root, weights) != ("digits", None, "bundled"):
        raise ValueError(
            "dataset, data_root and weights belong to the registered networks; "
            "a task of your own brings its own data and weights"
        )
    if isinstance(task, str):
        return _imported(task)
    if callable(task) and not isinstance(task, CompressionTask):
        return _called(task)
    if not isinstance(task, CompressionTask):
        raise ValueError(
            "task must be 'package.module:function', a function without arguments, "
            f"or a CompressionTask, not {type(task).__name__}"
        )
    return task


@lru_cache(maxsize=16)
def _network_task(
    network: str, dataset: str, data_root: Path | None, weights: str
) -> CompressionTask:
    name = datasets.name_of(dataset)
    setting = models.setting(network, name)
    splits = datasets.load(dataset, data_root)
    return CompressionTask(
        pretrained(network, name, weights, splits.classes),
        splits.calibration,
        splits.reward,
        splits.test,
        preserve_ratio=setting.preserve_ratio,
        channel_multiple=setting.channel_multiple,
        source=(("task", network), ("dataset", dataset), ("weights", weights)),
    )


@lru_cache(maxsize=16)
def _imported(task: str) -> CompressionTask:
    module, _, function = task.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"task {task!r} cannot be imported: {error}") from error
    return _checked(made, source=(("task", task),))


@lru_cache(maxsize=16)
def _called(function: Callable[[], CompressionTask]) -> CompressionTask:
    return _checked(function)


def _checked(
    function: Callable[[], CompressionTask],
    source: tuple[tuple[str, str | None], ...] = (("task", None),),
) -> CompressionTask:
    task = function()
    if not isinstance(task, CompressionTask):
        raise ValueError(f"{function!r} returned {type(task).__name__}, not a CompressionTask")
    # The function may keep its task, and other functions may return the same one.
    return task if task.source == source else replace(task, source=source)


def _shared_images(one: Split, other: Split) -> int:
    return len(one.image_hashes & other.image_hashes)
