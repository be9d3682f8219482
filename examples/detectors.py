"""Detectors for `detect_scenes.py`: two from torchvision, and one like YOLOv8."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import batched_nms, box_iou, generalized_box_iou_loss

CLASSES = 3  # without the background


def vgg(widths: tuple[int, ...] = (16, 32, 64, 64)) -> nn.Sequential:
    """Make a small VGG with batch norm: two convolutions at each resolution, down to a quarter."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage, width in enumerate(widths):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        if stage in (0, 1, 2):
            layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def faster_rcnn(size: int) -> nn.Module:
    """Make a Faster R-CNN on a small VGG; the paper's table 5 compresses its part "backbone"."""
    backbone: nn.Module = vgg()
    backbone.out_channels = 64  # type: ignore[assignment]  # torchvision reads it
    sides = tuple(int(size * share) for share in (0.18, 0.25, 0.34))
    return FasterRCNN(
        backbone,
        min_size=size,
        max_size=size,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_anchor_generator=AnchorGenerator((sides,), ((1.0,),)),
        rpn_pre_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=30,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=32,
        box_head=TwoMLPHead(64 * 7 * 7, 128),
        box_predictor=Predictor(128),
        box_detections_per_img=20,
    )


class Predictor(nn.Module):
    """Predicts classes and boxes of a region."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.classes = nn.Linear(inputs, CLASSES + 1)
        self.boxes = nn.Linear(inputs, 4 * (CLASSES + 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(x), self.boxes(x)


class Mobile(nn.Module):
    """The first blocks of MobileNetV3-Large, at 1/8 and 1/16 of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        blocks = mobilenet_v3_large(weights=None).features
        self.fine, self.coarse = blocks[:7], blocks[7:13]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        fine = self.fine(images)
        return {"fine": fine, "coarse": self.coarse(fine)}


def ssdlite(size: int) -> nn.Module:
    """Make an SSDLite on the first blocks of MobileNetV3."""
    anchors = DefaultBoxGenerator([[], []], scales=[0.2, 0.3, 0.4])
    per_place = anchors.num_anchors_per_location()
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    return SSD(
        Mobile(),
        anchors,
        (size, size),
        CLASSES + 1,
        head=SSDLiteHead([40, 112], per_place, CLASSES + 1, norm),
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        topk_candidates=50,
        detections_per_img=20,
    )


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Make a convolution, a norm and a SiLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.SiLU())


class C2f(nn.Module):
    """YOLOv8's block: one half of the channels passes bottlenecks, then all are concatenated."""

    def __init__(self, inputs: int, outputs: int, n: int = 1) -> None:
        super().__init__()
        half = outputs // 2
        self.first = conv(inputs, outputs)
        self.bottlenecks = nn.ModuleList(
            nn.Sequential(conv(half, half, 3), conv(half, half, 3)) for _ in range(n)
        )
        self.last = conv((2 + n) * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            parts.append(parts[-1] + bottleneck(parts[-1]))
        return self.last(torch.cat(parts, dim=1))


class SPPF(nn.Module):
    """Pools several times in a row and concatenates all results."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = conv(channels, channels // 2), conv(channels * 2, channels)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, dim=1))


class Yolo(nn.Module):
    """A backbone, a path up and a path down, and heads at 1/8 and 1/16 of the resolution.

    Each position gives the logits of its classes and the four distances to a box's sides, in
    strides: (N, classes + 4, H, W) at each resolution.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(conv(3, w, 3, 2), conv(w, 2 * w, 3, 2), C2f(2 * w, 2 * w))
        self.fine = nn.Sequential(conv(2 * w, 4 * w, 3, 2), C2f(4 * w, 4 * w))
        self.coarse = nn.Sequential(conv(4 * w, 4 * w, 3, 2), C2f(4 * w, 4 * w), SPPF(4 * w))
        self.up, self.join = nn.Upsample(scale_factor=2), C2f(8 * w, 4 * w)
        self.down, self.rejoin = conv(4 * w, 4 * w, 3, 2), C2f(8 * w, 4 * w)
        self.heads = nn.ModuleList(
            nn.Sequential(conv(4 * w, 4 * w, 3), nn.Conv2d(4 * w, CLASSES + 4, 1)) for _ in range(2)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(self.stem(images))
        coarse = self.coarse(fine)
        fine = self.join(torch.cat([self.up(coarse), fine], dim=1))
        coarse = self.rejoin(torch.cat([self.down(fine), coarse], dim=1))
        return self.heads[0](fine), self.heads[1](coarse)


STRIDES = (8, 16)


def decoded(outputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits (N, P, classes), boxes (N, P, 4) and centres (P, 2) of P positions."""
    logits, boxes, middles = [], [], []
    for output, stride in zip(outputs, STRIDES, strict=True):
        flat = output.flatten(2).transpose(1, 2)
        height, width = output.shape[2:]
        y, x = (stride * (torch.arange(n).to(output) + 0.5) for n in (height, width))
        middle = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
        sides = stride * F.softplus(flat[..., CLASSES:])
        logits.append(flat[..., :CLASSES])
        boxes.append(torch.cat([middle - sides[..., :2], middle + sides[..., 2:]], dim=-1))
        middles.append(middle)
    return torch.cat(logits, 1), torch.cat(boxes, 1), torch.cat(middles)


def found_boxes(outputs: tuple[Tensor, Tensor]) -> list[dict[str, Tensor]]:
    """Return the boxes of each image after non-maximum suppression within each class."""
    logits, boxes, _ = decoded(outputs)
    images = []
    for scores, places in zip(logits.sigmoid(), boxes, strict=True):
        best, labels = scores.max(dim=1)
        kept = (best > 0.05).nonzero()[:, 0]
        kept = kept[batched_nms(places[kept], best[kept], labels[kept], 0.5)][:20]
        images.append({"boxes": places[kept], "scores": best[kept], "labels": labels[kept] + 1})
    return images


def yolo_loss(outputs: tuple[Tensor, Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
    """Return binary cross-entropy of the classes plus generalised IoU of the boxes.

    A position is matched to a box if it is among the nine nearest to the box's centre; the target
    is how well its own box fits.
    """
    logits, boxes, middles = decoded(outputs)
    wanted, losses = torch.zeros_like(logits), []
    for i, image in enumerate(targets):
        centres = (image["boxes"][:, :2] + image["boxes"][:, 2:]) / 2
        near = torch.cdist(centres, middles).topk(9, largest=False).indices
        for box, label, places in zip(image["boxes"], image["labels"], near, strict=True):
            fits = box_iou(boxes[i, places].detach(), box[None])[:, 0].clamp_min(0.1)
            wanted[i, places, label - 1] = fits / fits.max()
            losses.append(generalized_box_iou_loss(boxes[i, places], box.expand(9, 4)).mean())
    classes = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    return classes / (9 * max(len(losses), 1)) + 2 * torch.stack(losses).mean()
