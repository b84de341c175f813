"""The two standard layers EMGaitNet is built of: ResNet's basic block, and cross-attention with a feed-forward layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class CrossAttention(nn.Module):
    """Multi-head cross-attention with residual and feed-forward layer, normalised before each."""

    def __init__(self, width: int, context_width: int, heads: int, ffn_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(context_width)
        self.norm_ffn = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, width)
        self.to_key_value = nn.Linear(context_width, 2 * width)
        self.to_output = nn.Linear(width, width)
        hidden = int(width * ffn_ratio)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries (B, Q, width), context (B, K, context_width), mask (B, K) bool of valid context -> (B, Q, width)."""
        query = self._split(self.to_query(self.norm_query(x)))  # (B, heads, Q, width / heads)
        key, value = (self._split(t) for t in self.to_key_value(self.norm_context(context)).chunk(2, dim=-1))
        keep = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)
        x = x + self.to_output(attended.transpose(1, 2).flatten(2))
        return x + self.ffn(self.norm_ffn(x))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
