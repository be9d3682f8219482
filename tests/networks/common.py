# pyright: reportIncompatibleMethodOverride=false, reportIndexIssue=false
"""Small networks that are written as users write theirs, by what is required for each.

RIGHT: A plan is found.  Its MACs are those that torch.utils.flop_counter counts (half its flops) on
the slim network.  The network that the search judged, the one that `compress` returns and the
original with its pruned channels zeroed give the same logits.  `validate` accepts the plan, ONNX
gives the same logits for 1 and for 3 images, and fine-tuning runs for one epoch.
FIXED: The same, but some layers stay whole, each listed with its reason.
REFUSED: One ValueError at construction names the operation or layer and a fix.

Inputs are 3 x 32 x 32, with 10 classes.  Seed torch before building, and draw the norms' means,
variances, weights and biases at random, or faults in folding do not show.
"""

import torch
from torch import nn
from torch.nn import functional as F


def block(i, o, k=3, stride=1, groups=1, act=nn.ReLU):
    return nn.Sequential(
        nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o), act()
    )


class Pooled(nn.Module):
    """A network of a given body, global average pooling and a classifier."""

    def __init__(self, body, channels, classes=10):
        super().__init__()
        self.body, self.head = body, nn.Linear(channels, classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class Between(nn.Module):
    """A network of conv - conv - a given module - ReLU - pool - linear."""

    def __init__(self, middle=nn.Identity, conv=nn.Conv2d, act=F.relu):
        super().__init__()
        self.a, self.b, self.middle = conv(3, 16, 3), conv(16, 24, 3), middle()
        self.head, self.act = nn.Linear(24, 10), act

    def forward(self, x):
        return self.head(self.act(self.middle(self.b(self.act(self.a(x))))).mean((2, 3)))


# --- shapes written in forward ------------------------------------------------------------------


class ViewFlat(nn.Module):
    """LeNet as in tutorials: its `view` needs a contiguous map, which channels-last is not."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 12, 5), nn.Conv2d(12, 24, 5)
        self.f1, self.f2 = nn.Linear(600, 60), nn.Linear(60, 10)

    def features(self, x):
        return F.max_pool2d(F.relu(self.c2(F.max_pool2d(F.relu(self.c1(x)), 2))), 2)

    def forward(self, x):
        x = self.features(x)
        return self.f2(F.relu(self.f1(x.view(x.size(0), -1))))


class ViewByModule(ViewFlat):
    """LeNet that reads the size from the layer, which has to be right after slimming."""

    def forward(self, x):
        return self.f2(F.relu(self.f1(self.features(x).reshape(-1, self.f1.in_features))))


class ViewByNumber(ViewFlat):
    def forward(self, x):
        return self.f2(F.relu(self.f1(self.features(x).reshape(-1, 600))))


class ViewByNorm(Between):
    def __init__(self):
        super().__init__(lambda: nn.BatchNorm2d(24))

    def forward(self, x):
        y = self.middle(self.b(F.relu(self.a(x))))
        return self.head(F.relu(y.reshape(len(x), self.middle.num_features, -1)).mean(2))


# --- channels that move -------------------------------------------------------------------------


class Shuffled(nn.Module):
    """A network with a channel shuffle, with or without ShuffleNet's split behind it."""

    def __init__(self, split):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(8 if split else 16, 24, 3)
        self.head, self.split = nn.Linear(24, 10), split

    def forward(self, x):
        x = F.relu(self.a(x))
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        if self.split:
            x = x.chunk(2, 1)[1]
        return self.head(F.relu(self.b(x)).mean((2, 3)))


class C2f(nn.Module):
    """The block of YOLOv8's kind of detectors: a split, a chain, all outputs concatenated."""

    def __init__(self, i, o, n=2, by_sizes=False):
        super().__init__()
        half = o // 2
        self.half, self.by_sizes = half, by_sizes
        self.first, self.last = (
            block(i, o, 1, act=nn.SiLU),
            block((2 + n) * half, o, 1, act=nn.SiLU),
        )
        self.chain = nn.ModuleList(block(self.half, self.half, act=nn.SiLU) for _ in range(n))

    def forward(self, x):
        y = self.first(x)
        parts = list(y.split((self.half, self.half), 1) if self.by_sizes else y.chunk(2, 1))
        for step in self.chain:
            parts.append(step(parts[-1]))
        return self.last(torch.cat(parts, 1))


class SPPF(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.first, self.last = block(c, c // 2, 1, act=nn.SiLU), block(2 * c, c, 1, act=nn.SiLU)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Gate(nn.Module):
    """A gate: two halves are multiplied, as in NAFNet and in gated linear units."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.head = (
            block(3, 16),
            nn.Conv2d(16, 32, 1),
            block(16, 24),
            nn.Linear(24, 10),
        )

    def forward(self, x):
        p, q = self.b(self.a(x)).chunk(2, 1)
        return self.head(self.c(p * q).mean((2, 3)))


class PartialConv(nn.Module):
    """A partial convolution of only the first channels, as in FasterNet."""

    def __init__(self):
        super().__init__()
        self.a, self.p, self.b, self.head = (
            block(3, 16),
            nn.Conv2d(4, 4, 3, 1, 1),
            block(16, 24),
            nn.Linear(24, 10),
        )

    def forward(self, x):
        x = self.a(x)
        return self.head(self.b(torch.cat([self.p(x[:, :4]), x[:, 4:]], 1)).mean((2, 3)))


class SubPixel(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.up = block(3, 16), nn.Conv2d(16, 32, 1), nn.PixelShuffle(2)
        self.c, self.head = block(8, 24), nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.c(self.up(self.b(self.a(x)))).mean((2, 3)))


# --- operations whose cost is easily forgotten -------------------------------------------------


class Decoder(nn.Module):
    """A decoder: a transposed convolution beside a skip connection."""

    def __init__(self):
        super().__init__()
        self.a, self.b = block(3, 16, stride=2), block(16, 32, stride=2)
        self.up, self.c, self.head = (
            nn.ConvTranspose2d(32, 16, 2, 2),
            block(32, 24),
            nn.Linear(24, 10),
        )

    def forward(self, x):
        a = self.a(x)
        return self.head(self.c(torch.cat([a, self.up(self.b(a))], 1)).mean((2, 3)))


class Series(nn.Module):
    """A network for time series: 1-d convolutions and a hidden linear layer, on 3 x 1024 values."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(3, 16, 3), nn.Conv1d(16, 24, 3)
        self.f, self.head = nn.Linear(24, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x.flatten(2)))))
        return self.head(F.relu(self.f(x.mean(2))))


class FourCrops(Between):
    """A network that folds crops into the batch dimension, as is done with video frames."""

    def forward(self, x):
        return super().forward(torch.cat(x.chunk(4, 3))).view(4, len(x), -1).mean(0)


class OwnKernel(nn.Module):
    """A network that calls F.conv2d with a kernel that is a plain parameter."""

    def __init__(self):
        super().__init__()
        self.a, self.kernel = block(3, 16), nn.Parameter(torch.randn(24, 16, 3, 3) / 12)
        self.b, self.head = block(24, 32), nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.b(F.relu(F.conv2d(self.a(x), self.kernel))).mean((2, 3)))


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding, as in converted EfficientNets."""

    def forward(self, x):
        k, s = self.kernel_size[0], self.stride[0]
        pad = max((-(-x.shape[-1] // s) - 1) * s + k - x.shape[-1], 0)
        x = F.pad(x, [pad // 2, pad - pad // 2] * 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


# --- modules that do more than their class says ------------------------------------------------


class ConvAct(nn.Conv2d):
    """A convolution with an activation inside: a norm behind it must not be folded into it."""

    def forward(self, x):
        return F.relu(super().forward(x))


class HalfPointwise(nn.Conv2d):
    """A 1 x 1 convolution whose output is halved."""

    def forward(self, x):
        return super().forward(x) * 0.5


class StopGradient(Between):
    """A network that reads a convolution's output twice, once without gradients."""

    def __init__(self):
        super().__init__(lambda: nn.BatchNorm2d(24))

    def forward(self, x):
        y = self.b(F.relu(self.a(x)))
        return self.head(F.relu(self.middle(y) + y.detach()).mean((2, 3)))


def hooked():
    net = Between(lambda: nn.BatchNorm2d(24))
    net.b.register_forward_hook(lambda module, args, y: y.clamp(-0.2, 0.2))
    return net


def pointwise_with_gain():
    net = Between()
    net.b = HalfPointwise(16, 24, 1)
    return net


class Tied(nn.Module):
    """A network in which two modules share one parameter."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (
            block(3, 16),
            nn.Conv2d(16, 16, 3, 1, 1),
            nn.Conv2d(16, 16, 3, 1, 1),
        )
        self.c.weight = self.b.weight
        self.d, self.head = block(16, 24), nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.d(F.relu(self.c(F.relu(self.b(self.a(x)))))).mean((2, 3)))


class Scaled(nn.Module):
    """A network with a learnt scale of each channel that is a plain parameter."""

    def __init__(self):
        super().__init__()
        self.a, self.gain = block(3, 16), nn.Parameter(torch.rand(16, 1, 1) + 0.5)
        self.b, self.head = block(16, 24), nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.b(self.a(x) * self.gain).mean((2, 3)))


def weight_normed():
    net = Between()
    net.b = nn.utils.parametrizations.weight_norm(net.b)
    return net


RIGHT = {
    "view-flat": ViewFlat,
    "view-by-module": ViewByModule,
    "view-by-norm": ViewByNorm,
    "shuffle": lambda: Shuffled(False),
    "shuffle-split": lambda: Shuffled(True),
    "c2f-chunk": lambda: Pooled(nn.Sequential(block(3, 16), C2f(16, 32), SPPF(32)), 32),
    "c2f-split": lambda: Pooled(
        nn.Sequential(block(3, 16), C2f(16, 32, by_sizes=True), SPPF(32)), 32
    ),
    "gate": Gate,
    "sub-pixel": SubPixel,
    "decoder": Decoder,
    "series": Series,
    "four-crops": FourCrops,
    "same-padding": lambda: Between(conv=lambda i, o, k: SameConv(i, o, k, 2)),
    "prelu": lambda: Between(nn.PReLU),
    "group-norm": lambda: Between(lambda: nn.GroupNorm(4, 24)),
    "layer-norm": lambda: Between(lambda: nn.LayerNorm([24, 28, 28])),
    "norm-without-statistics": lambda: Between(
        lambda: nn.BatchNorm2d(24, track_running_stats=False)
    ),
    "norm-without-affine": lambda: Between(lambda: nn.BatchNorm2d(24, affine=False)),
    "conv-with-activation": lambda: Between(lambda: nn.BatchNorm2d(24), ConvAct),
    "hook-on-conv": hooked,
    "pointwise-with-gain": pointwise_with_gain,
    "stop-gradient": StopGradient,
    "scaled": Scaled,
    "weight-norm": weight_normed,
    "upsample": lambda: Between(lambda: nn.Upsample(scale_factor=2)),
    "frozen-weights": lambda: Between().requires_grad_(False),
}
"""Networks that are pruned.  A layer that has to stay whole is listed with its reason."""

FIXED = {"partial-conv": PartialConv, "tied": Tied, "own-kernel": OwnKernel}

REFUSED = {
    "view-by-number": ViewByNumber,
    "nan-weight": lambda: _with_nan(Between()),
    "scripted": lambda: torch.jit.script(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(7200, 10)).eval()
    ),
}
"""Networks that are refused.  Wrappers (`torch.compile`, `DataParallel`) are removed instead."""


def _with_nan(net):
    with torch.no_grad():
        net.head.weight[0, 0] = float("nan")
    return net


# --- two tasks that look alike ------------------------------------------------------------------


def twins():
    """Make two networks that differ in their activation alone; `compress` must not mix them up.

    A cache keyed by weights would return the first one's network for the second.  The same holds
    for another plain attribute, non-persistent buffer, or forward of a class of the same name.
    """
    torch.manual_seed(0)
    one = Between(act=F.relu)
    torch.manual_seed(0)
    return one, Between(act=torch.tanh)
