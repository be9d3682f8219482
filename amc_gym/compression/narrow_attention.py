"""Multi-head attention whose heads are narrower than the stream divided by their number.

``nn.MultiheadAttention`` derives the width of a head from that of the stream, so it cannot lose
channels of its heads alone.  The module that replaces it in a slim network can; its parameters have
the same names, and its products keep the original scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NarrowAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` with heads of any width.

    Made from one by ``narrow``, never by the constructor.

    Attributes:
        head_dim: channels of each head; ``in_proj_weight`` is (3 * heads * head_dim, embed_dim).
        scale: factor of the products of queries and keys.
    """

    scale: float

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Compute attention, as ``nn.MultiheadAttention.forward`` does."""
        inputs = [each if query.dim() == 3 else each.unsqueeze(0) for each in (query, key, value)]
        if query.dim() == 3 and not self.batch_first:
            inputs = [each.transpose(0, 1) for each in inputs]
        weights = self.in_proj_weight.chunk(3)
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, w, b).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, w, b in zip(inputs, weights, biases, strict=True)
        )
        mask = self._mask(key_padding_mask, attn_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        shares = None
        if need_weights:
            scores = (q * self.scale) @ k.transpose(-2, -1)
            shares = F.softmax(scores if mask is None else scores + mask, -1)
            heads = F.dropout(shares, dropout) @ v
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=self.scale)
        output = self.out_proj(heads.transpose(1, 2).flatten(2))
        if shares is not None and average_attn_weights:
            shares = shares.mean(1)
        if query.dim() == 2:
            return output.squeeze(0), None if shares is None else shares.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), shares

    def _mask(
        self, padding: Tensor | None, mask: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """Return what is added to the scores, (N or 1, heads or 1, L, S); ``None`` for nothing."""
        added = None
        for each, shape in (
            (padding, (-1, 1, 1, k.shape[2])),
            (mask, (-1, 1 if mask is None or mask.dim() == 2 else self.num_heads, *_sizes(q, k))),
        ):
            if each is None:
                continue
            if each.dtype == torch.bool:
                each = torch.zeros_like(each, dtype=q.dtype).masked_fill_(each, float("-inf"))
            each = each.to(q.dtype).reshape(shape)
            added = each if added is None else added + each
        return added


def _sizes(q: Tensor, k: Tensor) -> tuple[int, int]:
    return q.shape[2], k.shape[2]


def can_narrow(module: nn.Module) -> bool:
    """Return whether ``narrow`` supports an attention module."""
    return (
        type(module) in (nn.MultiheadAttention, NarrowAttention)
        and isinstance(module, nn.MultiheadAttention)
        and module.in_proj_weight is not None
        and module.bias_k is None
        and not module.add_zero_attn
    )


def narrow(module: nn.MultiheadAttention, channels: int) -> None:
    """Make an attention module compute with its slimmed parameters, in place.

    Args:
        module: the module, whose parameters have been slimmed.
        channels: of all heads together.
    """
    if not isinstance(module, NarrowAttention):
        scale = module.head_dim**-0.5
        module.__class__ = NarrowAttention
        assert isinstance(module, NarrowAttention)
        module.scale = scale
        # The fused kernel of transformer layers derives the heads' width from the stream.
        module._qkv_same_embed_dim = False
    module.head_dim = channels // module.num_heads
