"""The exact speed-ups of EMGaitNet: the same parameters and the same numbers as ``model.py``, sooner.

1. EdgeConv's product is linear before the maximum: W [c; n - c] = (Wc - Wn) c + Wn n, so the N points are multiplied and
   then gathered, not the k N edges.
2. CLIP's text attention is causal and everything before [X] is constant: keys and values of that prefix are kept, and only
   the three tokens [X], person and end-of-text run for each image.
3. Of the image tower's last block only the class token is read, so only that is computed.

A fourth one is in ``model.py`` itself: everything before ST looks at one frame, so a track keeps the features of its frames.
Letters in shape comments: see ``model.py``.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor

from emgait_ros.emgaitnet import edge_kernels
from emgait_ros.emgaitnet.clip import ImageTower, PromptEncoder
from emgait_ros.emgaitnet.model import (
    EdgeConv,
    EMGaitNet,
    FrameEncoder,
    PointGNN,
    SemanticMining,
    cosine_similarity,
    nearest_by_cosine,
)
from emgait_ros.emgaitnet.network_config import PARTS_OF_BODY


class FastEdgeConv(EdgeConv):
    """Points multiplied before they are gathered; in training on a CPU, numba kernels for neighbours and maximum."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, inputs) -> (B, N, outputs)."""
        batch, points, width = x.shape
        chosen = most_similar(x, self.neighbours, self.training)  # (B, N, k)
        weight_center, weight_neighbour = self.edge.weight[:, :width], self.edge.weight[:, width:]
        center = F.linear(x, weight_center - weight_neighbour)  # (B, N, outputs)
        neighbour = F.linear(x, weight_neighbour).flatten(0, 1)  # (B N, outputs)
        rows = chosen + torch.arange(batch, device=x.device).view(-1, 1, 1) * points
        largest = largest_gathered(neighbour, rows.reshape(-1, self.neighbours), self.training)  # (B N, outputs)
        return self.activate(center.flatten(0, 1) + largest).unflatten(0, (-1, points))


@torch.no_grad()
def most_similar(x: Tensor, neighbours: int, training: bool = False) -> Tensor:
    """As :func:`model.nearest_by_cosine`; in training on a CPU by a kernel that is twice as fast."""
    if not (training and x.device.type == "cpu" and x.dtype != torch.float64):
        return nearest_by_cosine(x, neighbours)
    with torch.autocast("cpu", enabled=False):
        return torch.from_numpy(edge_kernels.nearest(cosine_similarity(x).numpy(), neighbours))


def largest_gathered(values: Tensor, rows: Tensor, training: bool = False) -> Tensor:
    """The maximum over k gathered rows: values (M, C), rows (M, k) -> (M, C)."""
    if training:
        return cast(Tensor, _LargestGathered.apply(values, rows))
    return F.embedding(rows, values).amax(dim=1)


class _LargestGathered(torch.autograd.Function):
    """Going back, only the largest row gets a gradient; torch's own maximum walks all k again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor) -> Tensor:
        if values.device.type == "cpu":
            found, row = edge_kernels.largest(values.detach().float().numpy(), rows.numpy())
            largest, source = torch.from_numpy(found).to(values.dtype), torch.from_numpy(row)
        else:
            largest, which = F.embedding(rows, values).max(dim=1)
            source = rows.gather(1, which)
        ctx.save_for_backward(source)
        ctx.count = values.shape[0]
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (source,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.count, gradient.shape[1]).scatter_add_(0, source, gradient), None


class FastPointGNN(PointGNN):
    """With :class:`FastEdgeConv`."""

    edge_conv = FastEdgeConv


class FastImageTower(ImageTower):
    """Of the last block only the class token."""

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..1 -> (B, E) image embedding v, not normalised."""
        visual = self.visual
        if visual.attn_pool is not None or visual.pool_type != "tok":
            return super().forward(crops)
        x = visual._embeds(self.normalize(crops))  # (B, 1 + patches, W)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x = x + block.ls_1(self._attend(block, block.ln_1(x)))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        token = x[:, :1] + last.ls_1(self._attend(last, last.ln_1(x), queries=1))  # (B, 1, W)
        token = token + last.ls_2(last.mlp(last.ln_2(token)))
        pooled = visual.ln_post(token[:, 0])
        return pooled if visual.proj is None else pooled @ visual.proj

    @staticmethod
    def _attend(block: ResidualAttentionBlock, x: Tensor, queries: int | None = None) -> Tensor:
        """Self-attention of a block, (B, N, W) -> the first ``queries`` tokens (B, Q, W)."""
        packed, bias, heads = block.attn.in_proj_weight, block.attn.in_proj_bias, block.attn.num_heads
        if queries is None:
            query, key, value = F.linear(x, packed, bias).chunk(3, dim=-1)
        else:
            width = x.shape[-1]
            query = F.linear(x[:, :queries], packed[:width], bias[:width])
            key, value = F.linear(x, packed[width:], bias[width:]).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(
            *(t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
        )
        return block.attn.out_proj(mixed.transpose(1, 2).flatten(2))


class FastPromptEncoder(PromptEncoder):
    """Three tokens a prompt on the cached prefix; "torso" is two tokens, so prefixes are padded and masked."""

    prefix_keys: Tensor
    prefix_values: Tensor
    prefix_bias: Tensor

    def __init__(self, clip: CLIP) -> None:
        super().__init__(clip)
        self.refresh_cache()
        self.register_load_state_dict_post_hook(lambda module, _: module.refresh_cache())

    @torch.no_grad()
    def refresh_cache(self) -> None:
        """Recompute the prefix keys and values: (layers, 5, heads, L, W / heads); call after a change of dtype."""
        length = int(self.word.max())
        x = self.prompts[:, :length]  # (5, L, W)
        keys, values = [], []
        for block in self.transformer.resblocks:
            _, key, value = self._heads_of(block, block.ln_1(x))
            keys.append(key)
            values.append(value)
            x = block(x, attn_mask=self.causal[:length, :length])
        self.register_buffer("prefix_keys", torch.stack(keys), persistent=False)
        self.register_buffer("prefix_values", torch.stack(values), persistent=False)
        padding = torch.arange(length, device=x.device)[None] >= self.word[:, None]  # (5, L)
        bias = torch.zeros(padding.shape, dtype=x.dtype, device=x.device).masked_fill(padding, -1e4)
        self.register_buffer("prefix_bias", bias.view(len(bias), 1, 1, 1, length), persistent=False)

    def _heads_of(self, block: ResidualAttentionBlock, x: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value of a block's attention, each (P, heads, tokens, W / heads)."""
        packed = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)
        return tuple(t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in packed.chunk(3, dim=-1))

    def forward(self, word: Tensor) -> Tensor:
        """Pseudo-words (B, W) -> t* (B, 5, E), running three tokens per prompt on the cached prefix."""
        parts, batch = len(PARTS_OF_BODY), word.shape[0]
        at = torch.arange(parts, device=word.device)
        first = word[None] + self.positions[self.word][:, None]  # (5, B, W)
        rest = torch.stack([self.prompts[at, self.word + 1], self.prompts[at, self.word + 2]], dim=1)  # (5, 2, W)
        x = torch.cat(
            [first[:, :, None], rest[:, None].expand(-1, batch, -1, -1).to(first.dtype)], dim=2
        )  # (5, B, 3, W)
        last_layer = len(self.transformer.resblocks) - 1
        for layer, block in enumerate(self.transformer.resblocks):
            queries = 1 if layer == last_layer else 3  # only end-of-text is read
            attended = self._attend(block, layer, block.ln_1(x), queries)
            x = x[:, :, 3 - queries :] + block.ls_1(attended)
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return self.project(self.ln_final(x[:, :, 0])).transpose(0, 1)  # (B, 5, E)

    def _attend(self, block: ResidualAttentionBlock, layer: int, x: Tensor, queries: int) -> Tensor:
        """Causal attention of the last ``queries`` of three tokens (5, B, 3, W) over prefix and themselves."""
        parts, batch, tokens, width = x.shape
        query, key, value = self._heads_of(block, x.reshape(parts, batch * tokens, width))  # (5, heads, 3B, W/heads)
        query, key, value = (t.unflatten(2, (-1, tokens)) for t in (query, key, value))  # (5, heads, B, 3, W/heads)
        query = query[:, :, :, tokens - queries :] * (width // self.heads) ** -0.5
        prefix_key, prefix_value = self.prefix_keys[layer], self.prefix_values[layer]  # (5, heads, L, W/heads)
        to_prefix = (query.flatten(2, 3) @ prefix_key.transpose(-1, -2)).unflatten(2, (-1, queries)) + self.prefix_bias
        causal = self.causal[tokens - queries : tokens, :tokens].clamp(min=-1e4)
        to_self = query @ key.transpose(-1, -2) + causal
        weight = torch.cat([to_prefix, to_self], dim=-1).softmax(dim=-1).to(query.dtype)  # (5, heads, B, q, L+3)
        length = prefix_key.shape[2]
        from_prefix = (weight[..., :length].flatten(2, 3) @ prefix_value.to(query.dtype)).unflatten(2, (-1, queries))
        mixed = from_prefix + weight[..., length:] @ value
        mixed = mixed.permute(0, 2, 3, 1, 4).flatten(3)  # (5, B, q, W)
        return F.linear(mixed, block.attn.out_proj.weight, block.attn.out_proj.bias)


class FastSemanticMining(SemanticMining):
    """With both towers as above."""

    image_tower = FastImageTower
    prompt_encoder = FastPromptEncoder


class FastFrameEncoder(FrameEncoder):
    """With all of the above."""

    point_gnn = FastPointGNN
    semantic_mining = FastSemanticMining


class FastEMGaitNet(EMGaitNet):
    """EMGaitNet as it is trained, exported and run. Its state dict is that of :class:`model.EMGaitNet`."""

    frame_encoder = FastFrameEncoder


def plain_of(network: EMGaitNet) -> EMGaitNet:
    """The plain network with the same weights (shared, not copied), in evaluation mode: the reference of tests and benchmarks."""
    plain = EMGaitNet(network.config, load_pretrained=False)
    plain.load_state_dict(network.state_dict(), assign=True)
    return plain.to(next(network.parameters()).dtype).eval()
