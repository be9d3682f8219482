"""The compression task: a trained network, its splits, and its objective."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from amc_gym._utils.arguments import described, real, shown, whole
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.nests import Nest, placed, samples, shape_text
from amc_gym.tasks.admission import admitted, classes_of
from amc_gym.tasks.data import Data, data_of
from amc_gym.tasks.fingerprints import of_logits, of_outputs, of_weights
from amc_gym.tasks.fitting import check_targets, fitted
from amc_gym.tasks.heads import (
    EVALUATES,
    auxiliary_heads,
    trained_alike,
    unread_parameters,
    without,
)
from amc_gym.tasks.objectives import Objective, classification, objective_of
from amc_gym.tasks.split import Split

logger = logging.getLogger(__name__)

SPLITS = ("calibration", "reward", "test")

SHARED_IMAGES = 0.01
"""Share of a split that may also occur in another: real data sets hold a few duplicates."""


@dataclass(frozen=True, eq=False, repr=False)
class CompressionTask:
    """A pretrained network and three disjoint splits.  Two tasks of the same objects are equal.

    Attributes:
        model: in eval mode; never changed.  A classifier, which is the default, maps images
            (N, C, H, W) to logits (N, classes).
        calibration: data for layer statistics; training images will do.
        reward: data that the search evaluates plans on; must not be training images.
        test: data for the final report, used once; must not be training images.
        preserve_ratio: default share of the resource to keep.
        channel_multiple: kept channel counts are multiples of this by default.
        source: the options that name this task in a plan; filled in for tasks made from names.
        objective: the loss to fine-tune by and the score to judge by: "classification",
            "segmentation", "regression" or "detection", a result of ``amc_gym.objectives``, or a
            pair of functions (loss, score) of (outputs, targets).
        part: name of the module that is compressed and counted, such as a detector's "backbone",
            if it is not the whole network; the rest stays as it is.

    A split is a ``Split`` or ``Samples``, or anything that converts to one: (images, labels) or
    (images, labels, mean, std) in tensors or NumPy arrays, (inputs, targets) of any nest, a
    map-style data set, or a ``DataLoader``; see ``data_of``.

    Torch's wrappers are removed from the model (``torch.compile``, ``DataParallel``), and auxiliary
    heads that run in training only are left out, with a warning that names them.

    Raises:
        TypeError: the model is not a module, a split not a split, or an option not a number.
        ValueError: the model is scripted, in training mode, holds NaN or does not classify the
            images, a label has no class, splits differ in shape or share images, loss, score and
            targets do not fit together, or an option is out of range.
    """

    model: nn.Module
    calibration: Data
    reward: Data
    test: Data
    preserve_ratio: float = 0.5
    channel_multiple: int = 1
    source: tuple[tuple[str, str | None], ...] = (("task", None),)
    objective: Objective = field(default_factory=classification)
    part: str = ""

    @recorded
    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        put("model", admitted(self.model))
        put("objective", objective_of(self.objective))
        put("part", _part_of(self.model, self.part))
        for name in SPLITS:
            put(name, data_of(name, getattr(self, name), self.objective))
        put(
            "preserve_ratio",
            real("preserve_ratio", self.preserve_ratio, above=0, at_most=1),
        )
        put("channel_multiple", whole("channel_multiple", self.channel_multiple, at_least=1))
        put("source", _named(self.source))
        if self.objective.classifies:
            self._check_splits()
            put("model", _without_heads(self.model, self.few, self.classes))
        else:
            put("objective", fitted(self.objective, self.model, self.reward))
            self._check_splits()

    def _check_splits(self) -> None:
        self.check_fits("calibration", self.calibration)
        self.check_fits("test", self.test)
        self.check_fits("reward", self.reward)
        for one, other in (("reward", "test"), ("calibration", "reward"), ("calibration", "test")):
            shared = _shared_images(getattr(self, one), getattr(self, other))
            if shared > SHARED_IMAGES * min(len(getattr(self, one)), len(getattr(self, other))):
                raise ValueError(
                    f"the {one} and {other} splits share {shared} images: make them disjoint"
                )

    def check_fits(self, name: str, split: Data, *, unlabelled: bool = False) -> None:
        """Refuse inputs whose shape differs from the reward split's, and targets that do not fit.

        Args:
            name: what the user calls the split.
            split: the inputs and targets.
            unlabelled: whether images without labels are allowed.

        Raises:
            ValueError: the split does not fit; the message calls it ``name``.
        """
        if isinstance(split, Split) and isinstance(self.reward, Split):
            self._check_images(name, split, self.reward)
        else:
            shapes = [_shapes(data.batch(slice(1))) for data in (split, self.reward)]
            if shapes[0] != shapes[1] or type(split) is not type(self.reward):
                raise ValueError(
                    f"the {name} inputs are {shapes[0]} and the reward inputs {shapes[1]}: all "
                    "splits must hold inputs of one structure and shape"
                )
        if not self.objective.classifies:
            check_targets(self.objective, self.model, name, split)
            return
        if isinstance(split, Split) and not split.labelled:
            if not unlabelled:
                raise ValueError(
                    f"the {name} images have no labels: only the training images of fine-tuning "
                    "may have none"
                )
            return
        labels = split.targets_of(slice(None))
        if not (isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()):
            raise ValueError(f"the {name} targets must be classes, (N,), not {shape_text(labels)}")
        if labels.min() < 0 or labels.max() >= self.classes:
            raise ValueError(
                f"the {name} split has labels {int(labels.min())}..{int(labels.max())}, but the "
                f"model knows {self.classes} classes"
            )

    def _check_images(self, name: str, split: Split, reward: Split) -> None:
        shapes = [tuple(s.images.shape[1:]) for s in (split, reward)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the {name} images are {shapes[0]} and the reward images {shapes[1]}: all splits "
                "must hold images of one shape"
            )

    @cached_property
    def classes(self) -> int:
        """Number of classes, which is the length of a classifier's logits.

        Raises:
            ValueError: as ``classes_of``.
        """
        return classes_of(self.model, self.few)

    @property
    def few(self) -> Nest:
        """Inputs of two samples, or of the only one, on the model's device."""
        return placed(self.reward.batch(slice(2)), self._device)

    @property
    def example(self) -> Nest:
        """Inputs of one sample, such as an image (1, C, H, W), on the model's device."""
        return placed(self.reward.batch(slice(1)), self._device)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the "model" (structure and weights), of each split, and of "logits".

        The logits, on fixed noise, distinguish networks that have equal weights but compute
        different things; where there are no images and classes, "outputs" on reward samples do.
        Networks of this package need neither: their names say what they compute.
        """
        found = {"model": of_weights(self.model)}
        found |= {name: getattr(self, name).fingerprint for name in SPLITS}
        if dict(self.source).get("dataset") is not None:
            return found
        if self.objective.classifies and isinstance(self.reward, Split):
            found["logits"] = of_logits(self.model, self.reward.images.shape[1:])
        else:
            found["outputs"] = of_outputs(self.model, self.few, self.part)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """One sha256 for the whole task, the key of its results."""
        return hashlib.sha256("".join(self.fingerprints.values()).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompressionTask) and self._objects == other._objects

    def __hash__(self) -> int:
        return hash(self._objects)

    @property
    def _objects(self) -> tuple[Any, ...]:
        objects = (id(getattr(self, name)) for name in ("model", *SPLITS))
        return (*objects, self.objective, self.part)

    def __repr__(self) -> str:
        splits = ", ".join(f"{name}={getattr(self, name)}" for name in SPLITS)
        return f"CompressionTask({type(self.model).__name__}, {splits})"

    def __deepcopy__(self, memo: dict[int, Any]) -> CompressionTask:
        return self  # Gymnasium deep-copies keywords on each access of env.spec


def _named(source: Any) -> tuple[tuple[str, str | None], ...]:
    """Return the source of a task as pairs of strings."""
    try:
        named = dict(source)
    except (TypeError, ValueError):
        named = {}
    strings = all(isinstance(v, str | None) and isinstance(k, str) for k, v in named.items())
    if "task" not in named or not strings:
        raise TypeError(
            f"source must be pairs such as ('task', 'package.module:function'), not {shown(source)}"
        )
    return tuple(named.items())


def _part_of(model: nn.Module, part: Any) -> str:
    """Return the name of a module in a network.

    Raises:
        TypeError: it is not a string.
        ValueError: there is no such module, or it has no parameters.
    """
    if not isinstance(part, str):
        raise TypeError(f"part must be the name of a module in the model, not {described(part)}")
    modules = dict(model.named_modules())
    if part not in modules:
        known = ", ".join(repr(name) for name, _ in model.named_children())
        raise ValueError(f"part {shown(part)} is no module of the model; choose one of {known}")
    if not any(True for _ in modules[part].parameters()):
        raise ValueError(f"part {part!r} of the model has no parameters: choose another one")
    return part


def _shapes(nest: Nest) -> str:
    """Describe structure and shapes of inputs without the batch; sizes within lists may differ."""
    if isinstance(nest, Tensor):
        return str(tuple(nest.shape[1:]))
    if isinstance(nest, list):
        return "a list"
    if isinstance(nest, Mapping):
        return str({key: _shapes(value) for key, value in nest.items()})
    return str(tuple(map(_shapes, nest)))


def _without_heads(model: nn.Module, images: Nest, classes: int) -> nn.Module:
    """Return the network without what only training runs, with warnings that say what that is.

    Args:
        model: in eval mode; not changed.
        images: a batch.
        classes: length of the logits.
    """
    if heads := auxiliary_heads(model, images):
        warnings.warn(
            f"the model runs {', '.join(map(repr, heads))} in training only: these auxiliary "
            "heads are left out and are neither counted, fine-tuned nor handed over",
            stacklevel=5,
        )
        model = without(model, heads)
    if unread := unread_parameters(model, images):
        names = ", ".join(map(repr, unread[:3])) + ", ..." * (len(unread) > 3)
        logger.warning(
            "the model never reads %d of its parameters (%s): they stay as they are, and count as "
            "parameters",
            len(unread),
            names,
        )
    alike = trained_alike(model, images, classes) if samples(images) > 1 else model
    if alike is not model and alike is not None:
        warnings.warn(
            "in training mode the model does not return logits alone: fine-tuning leaves "
            f"{getattr(alike, EVALUATES)} of its modules in evaluation mode",
            stacklevel=5,
        )
    return model if alike is None else alike


def _shared_images(one: Data, other: Data) -> int:
    """Count the images in both splits, even if one holds bytes and the other the same as floats."""
    if not (isinstance(one, Split) and isinstance(other, Split)):
        return len(one.image_hashes & other.image_hashes)
    if (one.mean is None) == (other.mean is None):
        return len(one.image_hashes & other.image_hashes)
    stored, floats = (one, other) if other.mean is None else (other, one)
    return len(stored.image_hashes & floats.as_bytes(stored).image_hashes)
