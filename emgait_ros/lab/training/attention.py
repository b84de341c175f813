"""Attention as plain matrix products while training on a CPU.

The fused CPU kernel of ``scaled_dot_product_attention`` is slow going backward in bfloat16: 384 heads of 128 x 128
took 219 ms of CPU time with it and 42 ms as products (torch 2.14.1, 16 channels a head). On a GPU the fused kernels win.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


def plain_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """softmax(q k' / sqrt(d)) v over the last two dimensions; a boolean mask says which keys count."""
    score = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if attn_mask is not None:
        score = score.masked_fill(~attn_mask, -1e4) if attn_mask.dtype == torch.bool else score + attn_mask
    return score.softmax(-1, dtype=score.dtype) @ value


class PlainAttention(TorchFunctionMode):
    """Within this context every ``scaled_dot_product_attention`` without options runs as :func:`plain_attention`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (
            func is F.scaled_dot_product_attention
            and len(args) <= 3
            and set(kwargs) <= {"attn_mask", "query", "key", "value"}
        ):
            return plain_attention(*args, **kwargs)
        return func(*args, **kwargs)
