# pyright: reportIncompatibleMethodOverride=false, reportIndexIssue=false
"""Variants of the common networks: more layers and idioms that make tracing difficult."""

from functools import partial
from typing import Any

import torch
from networks.common import Between, block
from torch import nn
from torch.nn import functional as F

VARIANTS = {}


def case(make):
    """Register a network by the name of the function that makes it."""
    VARIANTS[make.__name__] = make
    return make


@case
def groups1d():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv1d(3, 16, 3)
            self.g = nn.Conv1d(16, 32, 3, groups=4)
            self.b = nn.Conv1d(32, 24, 1)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(F.relu(self.b(F.relu(self.g(F.relu(self.a(x.flatten(2))))))).mean(2))

    return N()


@case
def conv3d():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv3d(3, 8, 3, padding=1)
            self.n = nn.BatchNorm3d(8)
            self.b = nn.Conv3d(8, 12, 3, padding=1)
            self.h = nn.Linear(12, 10)

        def forward(self, x):
            return self.h(
                F.relu(self.b(F.relu(self.n(self.a(x.unflatten(3, (4, 8)).transpose(2, 3)))))).mean(
                    (2, 3, 4)
                )
            )

    return N()


@case
def transposed_depthwise():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16, stride=2)
            self.u = nn.ConvTranspose2d(16, 16, 2, 2, groups=16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(self.u(self.a(x))).mean((2, 3)))

    return N()


@case
def transposed_norm():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16, stride=2)
            self.u = nn.ConvTranspose2d(16, 12, 2, 2, bias=False)
            self.n = nn.BatchNorm2d(12)
            self.b = block(12, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(F.relu(self.n(self.u(self.a(x))))).mean((2, 3)))

    return N()


@case
def grouped_transposed():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16, stride=2)
            self.u = nn.ConvTranspose2d(16, 12, 2, 2, groups=2)
            self.b = block(12, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(self.u(self.a(x))).mean((2, 3)))

    return N()


@case
def mha():
    class N(nn.Module):
        def __init__(self, fast=True):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 8, 8)
            self.m = nn.MultiheadAttention(32, 4, batch_first=True)
            self.n = nn.LayerNorm(32)
            self.f1 = nn.Linear(32, 64)
            self.f2 = nn.Linear(64, 32)
            self.h = nn.Linear(32, 10)

        def forward(self, x):
            x = self.a(x).flatten(2).transpose(1, 2)
            x = x + self.m(x, x, x)[0]
            x = x + self.f2(F.gelu(self.f1(self.n(x))))
            return self.h(x.mean(1))

    return N()


@case
def encoder_layer():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 8, 8)
            self.e = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
            self.h = nn.Linear(32, 10)

        def forward(self, x):
            return self.h(self.e(self.a(x).flatten(2).transpose(1, 2)).mean(1))

    return N()


@case
def decoder_layer():
    """Decode from learned queries, as detectors do; the first self-attention sees no image."""

    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 8, 8)
            self.q = nn.Parameter(torch.randn(1, 4, 32))
            self.d = nn.TransformerDecoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
            self.h = nn.Linear(32, 10)

        def forward(self, x):
            tokens = self.a(x).flatten(2).transpose(1, 2)
            return self.h(self.d(self.q.expand(len(x), -1, -1), tokens).mean(1))

    return N()


class SeparateHeads(nn.Module):
    """Attention as transformers writes it: a layer each for queries, keys and values."""

    def __init__(self, fused, values=32):
        super().__init__()
        self.num_heads, self.head_dim, self.fused = 4, 8, fused
        self.scaling = self.head_dim**-0.5
        self.a, self.norm = nn.Conv2d(3, 32, 8, 8), nn.LayerNorm(32)
        self.q, self.k, self.v = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, values)
        self.o, self.h = nn.Linear(values, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = self.a(x).flatten(2).transpose(1, 2)
        hidden_shape = (*x.shape[:-1], -1, self.head_dim)
        # Several lines are between the number and its uses.
        residual = x
        x = self.norm(x)
        query = self.q(x)
        key = self.k(x)
        value = self.v(x)
        query = query.view(hidden_shape).transpose(1, 2)
        key = key.view(hidden_shape).transpose(1, 2)
        value = value.view(*x.shape[:-1], self.num_heads, -1).transpose(1, 2)
        if self.fused:
            x = F.scaled_dot_product_attention(query, key, value, scale=self.scaling)
        else:
            x = (query @ key.transpose(2, 3) * self.scaling).softmax(-1) @ value
        return self.h((residual + self.o(x.transpose(1, 2).flatten(2))).mean(1))


@case
def separate_heads_fused():
    return SeparateHeads(fused=True)


@case
def separate_heads_in_steps():
    return SeparateHeads(fused=False)


@case
def wider_values():
    return SeparateHeads(fused=False, values=48)


@case
def pooled_by_attention():
    """Ask with a learned query: the product of queries and keys has a side without images."""

    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 16, 8, 8), nn.Conv2d(16, 32, 1)
            self.probe = nn.Parameter(torch.randn(1, 1, 32))
            self.m = nn.MultiheadAttention(32, 4, batch_first=True)
            self.h = nn.Linear(32, 10)

        def forward(self, x):
            x = self.b(F.relu(self.a(x))).flatten(2).transpose(1, 2)
            return self.h(self.m(self.probe.expand(len(x), -1, -1), x, x)[0][:, 0])

    return N()


@case
def attention_with_bias_tokens():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 8, 8)
            self.m = nn.MultiheadAttention(32, 4, add_bias_kv=True, batch_first=True)
            self.f1 = nn.Linear(32, 64)
            self.h = nn.Linear(64, 10)

        def forward(self, x):
            x = self.a(x).flatten(2).transpose(1, 2)
            return self.h(F.gelu(self.f1(self.m(x, x, x)[0])).mean(1))

    return N()


@case
def sdpa():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 8, 8)
            self.qkv = nn.Linear(32, 96)
            self.p = nn.Linear(32, 32)
            self.f1 = nn.Linear(32, 48)
            self.f2 = nn.Linear(48, 32)
            self.h = nn.Linear(32, 10)
            self.pos = nn.Parameter(torch.randn(1, 16, 32))

        def forward(self, x):
            x = self.a(x).flatten(2).transpose(1, 2) + self.pos
            n, length, c = x.shape
            q, k, v = self.qkv(x).reshape(n, length, 3, 4, 8).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, c)
            x = x + self.p(y)
            return self.h((x + self.f2(F.gelu(self.f1(x)))).mean(1))

    return N()


class Attention(nn.Module):
    """Attention as timm writes it: widths are attributes; the scale is in the kernel or outside."""

    def __init__(self, fused, c=32, heads=4):
        super().__init__()
        self.heads, self.head_dim, self.attn_dim, self.fused = heads, c // heads, c, fused
        self.scale = self.head_dim**-0.5
        self.a = nn.Conv2d(3, c, 8, 8)
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.qkv, self.proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.fc1, self.fc2 = nn.Linear(c, 2 * c), nn.Linear(2 * c, c)
        self.token = nn.Parameter(torch.randn(1, 1, c))
        self.position = nn.Parameter(torch.randn(1, 17, c))
        self.h = nn.Linear(c, 10)

    def attend(self, x):
        n, length, _ = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.normed(q, k)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = (q * self.scale @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(n, length, self.attn_dim))

    def normed(self, q, k):
        return q, k

    def forward(self, x):
        x = self.a(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        x = x + self.attend(self.norm1(x))
        x = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return self.h(x[:, 0])


class InFloat32(nn.LayerNorm):
    """A layer norm that computes in float32, whatever it is given."""

    def forward(self, x):
        y = F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float())
        return y.type_as(x)


class InFloat32ByItself(nn.LayerNorm):
    """A layer norm that converts only what it is given, as in CLIP."""

    def forward(self, x):
        return super().forward(x.to(torch.float32)).to(x.dtype)


class RootMeanSquare(nn.Module):
    """A norm as language models write it, with a scale around 1 or, as in Gemma, around 0."""

    def __init__(self, c, around=0):
        super().__init__()
        self.around, self.gain = around, nn.Parameter(0.5 + torch.rand(c))

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)
        return (self.around + self.gain) * y.to(x.dtype)


class RootMeanSquareOfShape(nn.Module):
    """A norm that calls PyTorch's with a shape of its own, as in timm."""

    def __init__(self, c):
        super().__init__()
        self.shape, self.weight = (c,), nn.Parameter(0.5 + torch.rand(c))

    def forward(self, x):
        return F.rms_norm(x, self.shape, self.weight, 1e-6)


class UnitLength(nn.Module):
    """A norm by the length, with a number from when it was built, as in x-transformers."""

    def __init__(self, c):
        super().__init__()
        self.scale, self.g = c**0.5, nn.Parameter(0.5 + torch.rand(c))

    def forward(self, x):
        return F.normalize(x, dim=-1) * self.scale * self.g


class LikeRootMeanSquare(nn.Module):
    """No norm: it divides by one number for the whole sample."""

    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(0.5 + torch.rand(c))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean((-2, -1), keepdim=True) + 1e-6)


class Normed(Attention):
    """Attention in steps with norms of a given class, of queries and keys, too."""

    def __init__(self, norm):
        super().__init__(fused=False)
        self.norm1, self.norm2, self.norm = (norm(32) for _ in range(3))
        self.norm_q, self.norm_k = norm(8), norm(8)

    def normed(self, q, k):
        return self.norm_q(q), self.norm_k(k)

    def forward(self, x):
        x = self.a(x).flatten(2).transpose(1, 2)
        x = x + self.attend(self.norm1(x))
        x = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return self.h(self.norm(x).mean(1))


class OfTutorials(nn.Module):
    """A layer norm with the standard deviation of a sample, as in The Annotated Transformer."""

    def __init__(self, c):
        super().__init__()
        self.a_2, self.b_2 = nn.Parameter(0.5 + torch.rand(c)), nn.Parameter(torch.rand(c))

    def forward(self, x):
        mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return self.a_2 * (x - mean) / (std + 1e-6) + self.b_2


class OfMaps(nn.Module):
    """A layer norm of feature maps, in steps, as in ConvNeXt and Segment Anything."""

    def __init__(self, c):
        super().__init__()
        self.weight, self.bias = nn.Parameter(0.5 + torch.rand(c)), nn.Parameter(torch.rand(c))
        self.normalized_shape = (c,)

    def forward(self, x):
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class OfMapsByVariance(nn.Module):
    """A layer norm of feature maps whose parameters have the maps' dimensions."""

    def __init__(self, c):
        super().__init__()
        self.g = nn.Parameter(0.5 + torch.rand(1, c, 1, 1))
        self.b = nn.Parameter(torch.rand(1, c, 1, 1))

    def forward(self, x):
        var = torch.var(x, dim=1, unbiased=False, keepdim=True)
        mean = torch.mean(x, dim=1, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * self.g + self.b


class Maps(nn.Module):
    """Residual blocks on feature maps with norms of a given class."""

    def __init__(self, norm, c=24):
        super().__init__()
        self.a, self.n1 = nn.Conv2d(3, c, 4, 4), norm(c)
        self.d, self.n2 = nn.Conv2d(c, c, 3, padding=1, groups=c), norm(c)
        self.f1, self.f2 = nn.Conv2d(c, 2 * c, 1), nn.Conv2d(2 * c, c, 1)
        self.h = nn.Linear(c, 10)

    def forward(self, x):
        x = self.n1(self.a(x))
        return self.h((x + self.f2(F.gelu(self.f1(self.n2(self.d(x)))))).mean((2, 3)))


class WithoutWeights(nn.Module):
    """A layer norm of which only the shape is stored, as in OLMo."""

    def __init__(self, c):
        super().__init__()
        self.normalized_shape = (c,)

    def forward(self, x):
        return F.layer_norm(x.float(), self.normalized_shape, None, None, eps=1e-5).to(x.dtype)


class Modulated(Attention):
    """Attention with norms that have no weights, but shifts and scales of a layer, as in DiT."""

    def __init__(self):
        super().__init__(fused=True)
        self.norm1, self.norm2 = (nn.LayerNorm(32, elementwise_affine=False) for _ in range(2))
        self.norm = nn.RMSNorm(32, elementwise_affine=False)
        self.modulation = nn.Linear(5, 6 * 32)

    def forward(self, x):
        made = self.modulation(x[:, :1, 0, :5]).chunk(6, -1)
        x = self.a(x).flatten(2).transpose(1, 2)
        x = x + made[0] * self.attend(self.norm1(x) * (1 + made[1]) + made[2])
        y = self.norm2(x) * (1 + made[3]) + made[4]
        x = x + made[5] * self.fc2(F.gelu(self.fc1(y)))
        return self.h(self.norm(x).mean(1))


VARIANTS |= {
    name: partial(Normed, norm)
    for name, norm in {
        "layer_norms_of_tutorials": OfTutorials,
        "layer_norms_by_shape": WithoutWeights,
        "layer_norms_in_float32": InFloat32,
        "layer_norms_that_convert_inputs": InFloat32ByItself,
        "rms_norms_of_torch": nn.RMSNorm,
        "rms_norms_in_steps": RootMeanSquare,
        "rms_norms_of_shape": RootMeanSquareOfShape,
        "norms_by_length": UnitLength,
        "like_rms_norms": LikeRootMeanSquare,
        "rms_norms_around_one": partial(RootMeanSquare, around=1),
    }.items()
}


@case
def norms_without_weights():
    return Modulated()


@case
def layer_norms_of_maps():
    return Maps(OfMaps)


@case
def layer_norms_of_maps_by_variance():
    return Maps(OfMapsByVariance)


@case
def layer_norm_by_function():
    class N(Attention):
        """Attention with a norm whose weights are used without running it."""

        def forward(self, x):
            x = self.a(x).flatten(2).transpose(1, 2)
            n = self.norm1
            x = x + self.attend(F.layer_norm(x, n.normalized_shape, n.weight, n.bias))
            return self.h((x + self.fc2(F.gelu(self.fc1(self.norm2(x))))).mean(1))

    return N(fused=True)


class StreamWide(Attention):
    """Attention whose heads' width follows from the stream's, so that neither can shrink alone."""

    def attend(self, x):
        n, length, c = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(x.transpose(1, 2).reshape(n, length, c))


class NormalisedKeys(Attention):
    """Attention whose queries, keys and values are chunks, with normalised keys."""

    def attend(self, x):
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, -1)
        )
        x = (q @ F.normalize(k, dim=-1).transpose(-2, -1)).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).flatten(2))


@case
def stream_wide_heads():
    return StreamWide(fused=True)


@case
def biased_attention():
    class N(Attention):
        """Attention with a bias of three dimensions, which PyTorch computes step by step."""

        def __init__(self):
            super().__init__(fused=True)
            self.bias = nn.Parameter(torch.randn(self.heads, 17, 17))

        def attend(self, x):
            n, length, _ = x.shape
            qkv = self.qkv(x).view(n, length, self.heads, -1)
            q, k, v = qkv.split([self.head_dim] * 3, dim=3)
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
            return self.proj(x.transpose(1, 2).reshape(n, length, self.attn_dim))

    return N()


@case
def normalised_keys():
    return NormalisedKeys(fused=False)


@case
def rotary():
    class N(Attention):
        def attend(self, x):
            n, length, _ = x.shape
            q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, self.head_dim).unbind(2)
            q, k = (torch.cat([-t.chunk(2, -1)[1], t.chunk(2, -1)[0]], -1) + t for t in (q, k))
            x = F.scaled_dot_product_attention(
                *(t.transpose(1, 2) for t in (q, k, v)), scale=self.scale
            )
            return self.proj(x.transpose(1, 2).flatten(2))

    return N(fused=True)


@case
def linear_attention():
    class N(Attention):
        def attend(self, x):
            n, length, _ = x.shape
            qkv = self.qkv(x).reshape(n, length, 3, self.heads, self.head_dim)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            return self.proj((F.relu(q) @ (F.relu(k).mT @ v)).transpose(1, 2).flatten(2))

    return N(fused=False)


@case
def fused_attention():
    return Attention(fused=True)


@case
def attention_in_steps():
    return Attention(fused=False)


@case
def spatial_attention():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.q = nn.Conv2d(16, 8, 1)
            self.k = nn.Conv2d(16, 8, 1)
            self.v = nn.Conv2d(16, 16, 1)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = F.max_pool2d(self.a(x), 4)
            n, c, h, w = x.shape
            q, k, v = (f(x).flatten(2) for f in (self.q, self.k, self.v))
            y = (v @ torch.softmax(q.transpose(1, 2) @ k, -1).transpose(1, 2)).view(n, c, h, w)
            return self.h(self.b(x + y).mean((2, 3)))

    return N()


@case
def spatial_attention_of_one_width():
    class N(nn.Module):
        """A non-local block (Wang et al., 2018), with the positions last."""

        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.theta, self.phi, self.g = (nn.Conv2d(16, 8, 1) for _ in range(3))
            self.z = nn.Conv2d(8, 16, 1)
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            x = F.max_pool2d(self.a(x), 4)
            theta, phi, g = (f(x).flatten(2) for f in (self.theta, self.phi, self.g))
            weights = torch.softmax(theta.transpose(1, 2) @ phi, -1)
            y = (g @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
            return self.h((x + self.z(y)).mean((2, 3)))

    return N()


@case
def channel_attention():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            w = torch.softmax(x.mean((2, 3)), 1)[:, :, None, None]
            return self.h(self.b(x * w).mean((2, 3)))

    return N()


@case
def self_gate():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            return self.h(self.b(x * x.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3)))

    return N()


@case
def cbam():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.s = nn.Conv2d(2, 1, 7, padding=3)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            w = self.s(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)).sigmoid()
            return self.h(self.b(x * w).mean((2, 3)))

    return N()


@case
def spectral():
    n = Between()
    n.b = nn.utils.parametrizations.spectral_norm(n.b)
    return n


@case
def old_weight_norm():
    n = Between()
    n.b = nn.utils.weight_norm(n.b)
    return n


@case
def instance_norm():
    return Between(lambda: nn.InstanceNorm2d(24, affine=True))


@case
def instance_norm_plain():
    return Between(lambda: nn.InstanceNorm2d(24))


@case
def group_norm_each():
    return Between(lambda: nn.GroupNorm(24, 24))


@case
def lrn():
    return Between(lambda: nn.LocalResponseNorm(5))


@case
def glu():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 3)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(F.glu(self.a(x), 1)).mean((2, 3)))

    return N()


@case
def lstm():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.l = nn.LSTM(16, 12, batch_first=True)
            self.f = nn.Linear(12, 20)
            self.h = nn.Linear(20, 10)

        def forward(self, x):
            return self.h(F.relu(self.f(self.l(self.a(x).mean(3).transpose(1, 2))[0][:, -1])))

    return N()


@case
def gru_hidden():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 20)
            self.l = nn.GRU(20, 12, batch_first=True)
            self.h = nn.Linear(12, 10)

        def forward(self, x):
            return self.h(self.l(self.b(self.a(x)).mean(3).transpose(1, 2))[0].mean(1))

    return N()


@case
def einsum():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.w = nn.Parameter(torch.randn(20, 16) / 4)
            self.b = block(20, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(torch.einsum("nchw,oc->nohw", self.a(x), self.w)).mean((2, 3)))

    return N()


@case
def functional_linear():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.w = nn.Parameter(torch.randn(20, 16) / 4)
            self.f = nn.Linear(20, 16)
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            return self.h(F.relu(self.f(F.relu(F.linear(self.a(x).mean((2, 3)), self.w)))))

    return N()


@case
def weight_standardised():
    class W(nn.Conv2d):
        def forward(self, x):
            w = self.weight
            w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
            return F.conv2d(x, w, self.bias, self.stride, self.padding)

    return Between(lambda: nn.BatchNorm2d(24), W)


@case
def scaled_weight():
    class W(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(x, self.weight * 0.5, self.bias)

    return Between(lambda: nn.BatchNorm2d(24), W)


@case
def pre_hook():
    n = Between(lambda: nn.BatchNorm2d(24))
    n.b.register_forward_pre_hook(lambda m, a: (a[0] * 2 + 1,))
    return n


@case
def norm_hook():
    n = Between(lambda: nn.BatchNorm2d(24))
    n.middle.register_forward_hook(lambda m, a, y: torch.mul(y, 2))
    return n


@case
def cosine_head():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10, bias=False)

        def forward(self, x):
            return (
                F.linear(
                    F.normalize(self.b(self.a(x)).mean((2, 3)), dim=1),
                    F.normalize(self.h.weight, dim=1),
                )
                * 10
            )

    return N()


@case
def twice_cat():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(32, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            return self.h(self.b(torch.cat([x, x], 1)).mean((2, 3)))

    return N()


@case
def crelu():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 16, 3)
            self.b = block(32, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            return self.h(self.b(torch.cat([F.relu(x), F.relu(-x)], 1)).mean((2, 3)))

    return N()


@case
def strided_channels():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(8, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            return self.h(self.b(x[:, ::2] + x[:, 1::2]).mean((2, 3)))

    return N()


@case
def maxout():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 3)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            n, c, h, w = x.shape
            return self.h(self.b(x.view(n, c // 2, 2, h, w).amax(2)).mean((2, 3)))

    return N()


@case
def maxout_outer():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 32, 3)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            n, c, h, w = x.shape
            return self.h(self.b(x.view(n, 2, c // 2, h, w).amax(1)).mean((2, 3)))

    return N()


@case
def option_a():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = nn.Conv2d(16, 32, 3, 2, 1)
            self.c = block(32, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            return self.h(
                self.c(F.relu(self.b(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8)))).mean(
                    (2, 3)
                )
            )

    return N()


@case
def mixer():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 24, 8, 8)
            self.t1 = nn.Linear(16, 20)
            self.t2 = nn.Linear(20, 16)
            self.c1 = nn.Linear(24, 40)
            self.c2 = nn.Linear(40, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x).flatten(2).transpose(1, 2)
            x = x + self.t2(F.gelu(self.t1(x.transpose(1, 2)))).transpose(1, 2)
            x = x + self.c2(F.gelu(self.c1(x)))
            return self.h(x.mean(1))

    return N()


@case
def convnext():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 24, 4, 4)
            self.d = nn.Conv2d(24, 24, 7, padding=3, groups=24)
            self.n = nn.LayerNorm(24)
            self.f1 = nn.Linear(24, 96)
            self.f2 = nn.Linear(96, 24)
            self.g = nn.Parameter(torch.ones(24) * 0.5)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            y = self.f2(F.gelu(self.f1(self.n(self.d(x).permute(0, 2, 3, 1))))) * self.g
            return self.h((x + y.permute(0, 3, 1, 2)).mean((2, 3)))

    return N()


@case
def windows():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 24, 4, 4)
            self.c = nn.Conv2d(24, 32, 3, padding=1)
            self.f = nn.Linear(32, 20)
            self.h = nn.Linear(20, 10)

        def forward(self, x):
            x = self.a(x)
            n, c = x.shape[:2]
            x = x.view(n, c, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 4, 4)
            x = F.relu(self.c(x)).mean((2, 3))
            return self.h(F.relu(self.f(x))).view(n, 4, 10).mean(1)

    return N()


@case
def unfold():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 8, stride=4)
            self.f = nn.Linear(72, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(F.relu(self.f(F.unfold(self.a(x), 3, padding=1).transpose(1, 2))).mean(1))

    return N()


@case
def buffer_scale():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.register_buffer("g", torch.rand(16), persistent=False)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(self.a(x) * self.g[None, :, None, None]).mean((2, 3)))

    return N()


@case
def plain_tensor_scale():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.g = torch.rand(16, 1, 1)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(self.a(x) * self.g).mean((2, 3)))

    return N()


@case
def inplace_slice():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x).clone()
            x[:, :4] = x[:, :4] * 2
            return self.h(self.b(x).mean((2, 3)))

    return N()


@case
def custom_function():
    class Sq(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clamp(0)

        @staticmethod
        def backward(ctx, g):
            return g

    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 16, 3)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(Sq.apply(self.a(x))).mean((2, 3)))

    return N()


@case
def numpy_inside():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 16, 3)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(self.b(torch.from_numpy(self.a(x).detach().numpy().clip(0))).mean((2, 3)))

    return N()


@case
def weight_data():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.c = nn.Conv2d(16, 20, 3)
            self.b = block(20, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            weight, bias = (parameter.data for parameter in self.c.parameters())
            return self.h(self.b(F.conv2d(self.a(x), weight, bias)).mean((2, 3)))

    return N()


@case
def held_elsewhere():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.c = nn.Conv2d(16, 20, 3)
            self.b = block(20, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            return self.h(
                self.b(F.relu(F.conv2d(self.a(x), self.c.weight, self.c.bias))).mean((2, 3))
            )

    return N()


@case
def tied_linear():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.f = nn.Linear(16, 16, bias=False)
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            x = self.a(x).mean((2, 3))
            return self.h(F.relu(F.linear(F.relu(self.f(x)), self.f.weight.t())))

    return N()


@case
def tied_kernels():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = nn.Conv2d(16, 16, 3, padding=1)
            self.c = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
            self.c.weight = self.b.weight
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            x = self.a(x)
            return self.h((F.relu(self.b(x)) + F.relu(self.c(x))).mean((2, 3)))

    return N()


@case
def held_twice():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = block(3, 16), block(16, 16)
            self.all = nn.ModuleList([self.b, self.a])
            self.h = nn.Linear(16, 10)
            self.register_buffer("shift", torch.randn(2, 10))
            self.register_buffer("first", self.shift[0])

        def forward(self, x):
            return self.h(self.b(self.all[0](self.a(x))).mean((2, 3))) + self.first

    return N()


@case
def unsaved_position():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 24, 8, 8)
            self.b = nn.Conv2d(24, 16, 1)
            self.h = nn.Linear(16, 10)
            self.register_buffer("position", torch.linspace(-1, 1, 24)[:, None, None], False)

        def forward(self, x):
            return self.h(F.relu(self.b(self.a(x) + self.position)).mean((2, 3)))

    return N()


@case
def by_way_of_bytes():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(8, 24)
            self.h = nn.Linear(24, 10)
            self.mixing = torch.randn(16, 8)

        def forward(self, x):
            x = (self.a(x).sigmoid() * 255).round().byte() / 255
            return self.h(self.b(torch.einsum("nchw,cd->ndhw", x, self.mixing)).mean((2, 3)))

    return N()


@case
def asserted():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            assert x.shape[1] == 16
            return self.h(self.b(x).mean((2, 3)))

    return N()


@case
def conv_lstm():
    class Cell(nn.Module):
        def __init__(self, inputs, hidden):
            super().__init__()
            self.hidden = hidden
            self.c = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)

        def forward(self, x, state):
            if state is None:
                zeros = torch.zeros(len(x), self.hidden, *x.shape[-2:], dtype=x.dtype)
                state = zeros, zeros.clone()
            i, f, o, g = self.c(torch.cat([x, state[0]], 1)).chunk(4, 1)
            c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c

    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = Cell(3, 8), Cell(8, 12)
            self.h = nn.Linear(12, 10)

        def forward(self, x):
            one: Any = None
            two: Any = None
            for part in x.chunk(4, 2):
                one = self.a(part, one)
                two = self.b(one[0], two)
            return self.h(two[0].mean((2, 3)))

    return N()


@case
def recurrence_by_hand():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.width = 16
            self.i, self.s = nn.Linear(96, 48), nn.Linear(16, 48)
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            h = x.new_zeros(len(x), self.width)
            for row in x.transpose(1, 2).flatten(2).unbind(1):
                (a, b, c), (d, e, f) = (m(v).chunk(3, 1) for m, v in ((self.i, row), (self.s, h)))
                z = (b + e).sigmoid()
                h = (1 - z) * (c + (a + d).sigmoid() * f).tanh() + z * h
            return self.h(h)

    return N()


@case
def recurrence_by_cells():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(96, 16)
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            h = c = x.new_zeros(len(x), self.cell.hidden_size)
            for row in x.transpose(1, 2).flatten(2).unbind(1):
                h, c = self.cell(row, (h, c))
            return self.h(h)

    return N()


@case
def empty_part():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            nothing = x[:0].reshape(0, 4, 4, *x.shape[2:]).flatten(1, 2)
            return self.h(self.b(torch.cat([x, nothing])).mean((2, 3)))

    return N()


@case
def data_dependent():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.b = block(16, 24)
            self.c = block(16, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            x = self.a(x)
            y = self.b(x) if x.mean() > 100 else self.c(x)
            return self.h(y.mean((2, 3)))

    return N()


@case
def one_conv_head():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@case
def softmax_out():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
        nn.Softmax(1),
    )


@case
def channel_dropout():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.Dropout2d(0.5),
        nn.ReLU6(),
        nn.Conv2d(16, 12, 3),
        nn.Hardswish(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(1),
        nn.Dropout(0.3),
        nn.Linear(12, 10),
    )


@case
def fpn():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16, stride=2)
            self.b = block(16, 32, stride=2)
            self.l1 = nn.Conv2d(16, 20, 1)
            self.l2 = nn.Conv2d(32, 20, 1)
            self.o = block(20, 24)
            self.h = nn.Linear(24, 10)

        def forward(self, x):
            a = self.a(x)
            b = self.b(a)
            y = self.l1(a) + F.interpolate(self.l2(b), size=a.shape[-2:], mode="nearest")
            return self.h(self.o(y).mean((2, 3)))

    return N()


@case
def batch_hard_coded():
    class N(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = block(3, 16)
            self.h = nn.Linear(16, 10)

        def forward(self, x):
            return self.h(self.a(x).mean((2, 3)).view(-1, 16))

    return N()


@case
def flat_norm():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.BatchNorm1d(8 * 225),
        nn.Linear(8 * 225, 20),
        nn.BatchNorm1d(20),
        nn.ReLU(),
        nn.Linear(20, 10),
    )


@case
def reflect():
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(3, 8, 3, padding_mode="circular", padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding="same", dilation=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 10),
    )
