"""Detection: a detector's own losses, and the mean average precision of its boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amc_gym._utils.arguments import described, function, real
from amc_gym._utils.nests import Nest, mapped
from amc_gym.tasks.objectives.objective import Loss, Objective, Score
from amc_gym.tasks.objectives.registry import register

Boxes = Callable[[Any], list[dict[str, Tensor]]]
"""Function: network outputs -> "boxes" (n, 4), "scores" (n,) and "labels" (n,) of each image."""


@register
def detection(
    iou: float | None = None,
    boxes: Boxes | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> Objective:
    """Return the objective of object detectors with torchvision's interface.

    Outputs are a list with a dictionary for each image: "boxes" (n, 4) by their corners in pixels,
    "scores" (n,) and "labels" (n,); targets the same without scores.  In training mode the network
    is called with the targets and returns a dictionary of losses, whose sum counts.

    Args:
        iou: overlap from which a box counts as right; ``None``: COCO's mean over .50, .55, ... .95.
        boxes: converts the outputs of a network of another kind into such a list.
        loss: (outputs, targets) -> the mean loss of a batch, for a network that computes none.

    Raises:
        ImportError: torchmetrics or pycocotools is not installed; the message names the extra.
        TypeError, ValueError: an argument has another type or value.
    """
    if iou is not None:
        iou = real("iou", iou, above=0, at_most=1, otherwise=" or None for COCO's")
    if boxes is not None:
        boxes = function("boxes", boxes, "outputs")
    if loss is not None:
        loss = function("loss", loss, "outputs", "targets")
    _metric(iou)  # fails before anything is trained or searched
    name = "mAP" if iou is None else f"mAP@{iou:g}"
    return Objective(
        OwnLosses() if loss is None else BoxLoss(loss),
        MeanAveragePrecision(iou, boxes),
        name,
        asks_targets=loss is None,
        lists=True,
    )


def _metric(iou: float | None) -> Any:
    """Return the metric of torchmetrics.

    Raises:
        ImportError: it is not installed; the message names the extra to install.
    """
    try:
        import pycocotools  # noqa: F401
        from torchmetrics.detection import MeanAveragePrecision as Metric
    except ImportError as error:
        raise ImportError(
            f"mean average precision needs {error.name}, which is not installed: "
            "pip install 'amc-gym[detection]'"
        ) from error
    return Metric(iou_thresholds=None if iou is None else [iou], backend="pycocotools")


@dataclass(frozen=True)
class OwnLosses(Loss):
    """The sum of the losses that a network computes itself."""

    distils = False

    def __call__(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the sum of the mean losses.

        Raises:
            ValueError: the network returned anything else.
        """
        if not isinstance(outputs, Mapping) or not outputs:
            raise ValueError(
                "in training mode a detector must return a dictionary of losses, as torchvision's "
                f"do, not {described(outputs)}: change it, or pass detection(loss=...)"
            )
        return torch.stack([loss.sum() for loss in outputs.values()]).sum()


@dataclass(frozen=True)
class BoxLoss(Loss):
    """A function of outputs and boxes as a loss."""

    distils = False

    function: Callable[[Any, Any], Tensor]

    def __call__(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the mean loss of a batch."""
        return self.function(outputs, targets)


@dataclass(frozen=True)
class MeanAveragePrecision(Score):
    """Mean average precision over all images of a pass, as COCO counts it.

    Attributes:
        iou: overlap from which a box counts as right; ``None``: the mean over COCO's ten.
        boxes: converts outputs into dictionaries of boxes.
    """

    iou: float | None = None
    boxes: Boxes | None = None

    def accumulate(self, outputs: Nest, targets: Nest) -> Any:
        """Collect the boxes that were found, and those of the targets.

        Raises:
            ValueError: outputs or targets are not boxes.
        """
        found = outputs if self.boxes is None else self.boxes(outputs)
        _check("outputs", found, len(targets), ("boxes", "scores", "labels"))
        _check("targets", targets, len(targets), ("boxes", "labels"))
        return [
            [{name: value.detach().cpu() for name, value in image.items()} for image in images]
            for images in (found, targets)
        ]

    def finish(self, parts: Sequence[Any]) -> float:
        """Return the mean average precision; 0 where the targets hold no box."""
        metric = _metric(self.iou)
        for found, targets in parts:
            metric.update(mapped(_finite, found), targets)
        return max(float(metric.compute()["map"]), 0.0)


def _finite(tensor: Tensor) -> Tensor:
    """Return a tensor with 0 for NaN and infinity, so that such boxes count for nothing."""
    return tensor.float().nan_to_num(0, 0, 0) if tensor.is_floating_point() else tensor


def _check(what: str, images: Any, n: int, names: Sequence[str]) -> None:
    fits = isinstance(images, list | tuple) and len(images) == n
    if not fits or not all(isinstance(each, Mapping) for each in images):
        raise ValueError(
            f"{what} must be a list with a dictionary of {', '.join(names)} for each image, "
            f"not {described(images)}"
        )
    for image in images:
        if missing := set(names) - set(image):
            raise ValueError(f"{what} lack {', '.join(sorted(missing))} of an image")
        boxes, *others = (image[name] for name in names)
        if (
            boxes.ndim != 2
            or boxes.shape[1] != 4
            or any(len(each) != len(boxes) for each in others)
        ):
            raise ValueError(
                f"{what} must hold boxes (n, 4) and as many {' and '.join(names[1:])}, not "
                f"{tuple(boxes.shape)}"
            )
