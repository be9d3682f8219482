"""The task: a trained network and the images that belong to its compression."""

from __future__ import annotations

import hashlib
import logging
import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from torch import Tensor, nn

from amc_gym._utils.arguments import real, shown, whole
from amc_gym._utils.grad_mode import recorded
from amc_gym.tasks.admission import admitted, classes_of
from amc_gym.tasks.collecting import split_of
from amc_gym.tasks.fingerprints import of_logits, of_weights
from amc_gym.tasks.heads import (
    EVALUATES,
    auxiliary_heads,
    trained_alike,
    unread_parameters,
    without,
)
from amc_gym.tasks.split import Split

logger = logging.getLogger(__name__)

SPLITS = ("calibration", "reward", "test")

SHARED_IMAGES = 0.01
"""Share of a split that may stand in another one too: real data sets hold a few duplicates."""


@dataclass(frozen=True, eq=False, repr=False)
class CompressionTask:
    """A pretrained network and three disjoint splits.  Tasks of the same objects are equal.

    Attributes:
        model: in eval mode, mapping (N, C, H, W) images to (N, classes) logits; never changed.
        calibration: layer statistics are gathered on these; training images will do.
        reward: what the search sees, again and again; not among the training images.
        test: what is reported, once; not among the training images.
        preserve_ratio: share of the resource to keep where the environment is not told otherwise.
        channel_multiple: kept channel counts are multiples of this where not told otherwise.
        source: the options that name this task in a plan; filled in for tasks made from names.

    A split is a ``Split``, or what makes one: (images, labels) or (images, labels, mean, std), in
    tensors or NumPy arrays, a map-style data set, or a ``DataLoader``; see ``split_of``.

    Wrappers of torch come off the model (``torch.compile``, ``DataParallel``), and auxiliary heads
    that only training runs are left out, with a warning that names them.

    Raises:
        TypeError: the model is no module, a split no split, or an option no number.
        ValueError: the model is scripted, in training mode, holds NaN or does not classify the
            images, a label has no class, splits differ in shape or share images, or an option is
            out of range.
    """

    model: nn.Module
    calibration: Split
    reward: Split
    test: Split
    preserve_ratio: float = 0.5
    channel_multiple: int = 1
    source: tuple[tuple[str, str | None], ...] = (("task", None),)

    @recorded
    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        put("model", admitted(self.model))
        for name in SPLITS:
            put(name, split_of(name, getattr(self, name)))
        put(
            "preserve_ratio",
            real("preserve_ratio", self.preserve_ratio, above=0, at_most=1),
        )
        put("channel_multiple", whole("channel_multiple", self.channel_multiple, at_least=1))
        put("source", _named(self.source))
        self._check_splits()
        put("model", _without_heads(self.model, self.few, self.classes))

    def _check_splits(self) -> None:
        self.check_fits("calibration", self.calibration)
        self.check_fits("test", self.test)
        self.check_fits("reward", self.reward)
        for one, other in (("reward", "test"), ("calibration", "reward"), ("calibration", "test")):
            shared = _shared_images(getattr(self, one), getattr(self, other))
            if shared > SHARED_IMAGES * min(len(getattr(self, one)), len(getattr(self, other))):
                raise ValueError(
                    f"the {one} and {other} splits share {shared} images; they must be disjoint"
                )

    def check_fits(self, name: str, split: Split) -> None:
        """Refuse images of another shape than the reward images, and labels without a class.

        Raises:
            ValueError: the split, which the user calls ``name``, does not fit.
        """
        shapes = [tuple(s.images.shape[1:]) for s in (split, self.reward)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the {name} images are {shapes[0]} and the reward images {shapes[1]}: all splits "
                "must hold images of one shape"
            )
        if split.labels.min() < 0 or split.labels.max() >= self.classes:
            raise ValueError(
                f"the {name} split has labels {int(split.labels.min())}.."
                f"{int(split.labels.max())}, but the model knows {self.classes} classes"
            )

    @cached_property
    def classes(self) -> int:
        """Length of the logits.

        Raises:
            ValueError: as ``classes_of``.
        """
        return classes_of(self.model, self.few)

    @property
    def few(self) -> Tensor:
        """Two images, where there are so many, on the model's device."""
        return self.reward.batch(slice(2)).to(self.example.device)

    @property
    def example(self) -> Tensor:
        """One image, (1, C, H, W), on the model's device."""
        device = next(self.model.parameters()).device
        return self.reward.batch(slice(1)).to(device)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """sha256 of the "model" (structure and weights), of each split, and of the "logits".

        The logits, on fixed noise, tell networks of equal weights apart that compute different
        things.  Networks of this package lack them: their names say what they compute.
        """
        found = {"model": of_weights(self.model)}
        found |= {name: getattr(self, name).fingerprint for name in SPLITS}
        if dict(self.source).get("dataset") is None:
            found["logits"] = of_logits(self.model, self.reward.images.shape[1:])
        return found

    @cached_property
    def fingerprint(self) -> str:
        """One sha256 for the whole task: what results are keyed by."""
        return hashlib.sha256("".join(self.fingerprints.values()).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompressionTask) and self._objects == other._objects

    def __hash__(self) -> int:
        return hash(self._objects)

    @property
    def _objects(self) -> tuple[int, ...]:
        return tuple(id(getattr(self, name)) for name in ("model", *SPLITS))

    def __repr__(self) -> str:
        splits = ", ".join(f"{name}={getattr(self, name)}" for name in SPLITS)
        return f"CompressionTask({type(self.model).__name__}, {splits})"

    def __deepcopy__(self, memo: dict[int, Any]) -> CompressionTask:
        return self  # Gymnasium deep-copies keywords on each access of env.spec


def _named(source: Any) -> tuple[tuple[str, str | None], ...]:
    """The source of a task as pairs of strings."""
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


def _without_heads(model: nn.Module, images: Tensor, classes: int) -> nn.Module:
    """The network less what only its training mode does, with warnings that say what that is.

    Args:
        model: in eval mode; not changed.
        images: a batch.
        classes: length of the logits.
    """
    if heads := auxiliary_heads(model, images):
        warnings.warn(
            f"only training runs {', '.join(map(repr, heads))} of the model: these auxiliary heads "
            "are left out, of what is counted, fine-tuned and handed over",
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
    alike = trained_alike(model, images, classes) if len(images) > 1 else model
    if alike is not model and alike is not None:
        warnings.warn(
            "in training mode the model returns something else than logits: fine-tuning leaves "
            f"{getattr(alike, EVALUATES)} of its modules in evaluation mode",
            stacklevel=5,
        )
    return model if alike is None else alike


def _shared_images(one: Split, other: Split) -> int:
    """How many images stand in both, if need be as the bytes that the floats were made of."""
    if (one.mean is None) == (other.mean is None):
        return len(one.image_hashes & other.image_hashes)
    stored, floats = (one, other) if other.mean is None else (other, one)
    return len(stored.image_hashes & floats.as_bytes(stored).image_hashes)
