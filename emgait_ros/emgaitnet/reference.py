"""The plain forward: what the paper says, step by step, with none of the exact speed-ups.

Every frame of the window is encoded anew, all 77 tokens of the five prompts run through CLIP's text encoder, and
edge features are gathered before they are multiplied. Slow on purpose: the fast path is tested and timed against it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.emgaitnet.point_gnn import EdgeConv, PointGNN, nearest_by_cosine
from emgait_ros.emgaitnet.semantics import SemanticMining


@torch.no_grad()
def plain_forward(
    network: EMGaitNet, crops: Tensor, points: Tensor, has_image: Tensor, has_points: Tensor, frame_mask: Tensor
) -> Tensor:
    """Embeddings (B, P, d) of whole windows; arguments as ``EMGaitNet.forward``, the network in evaluation mode."""
    batch, frames = frame_mask.shape
    encoder = network.frame
    crops, points, has_image, has_points = (t.flatten(0, 1) for t in (crops, points, has_image, has_points))
    image, cloud = encoder.missing_image[None].expand(len(crops), -1, -1), None
    if network.config.use_image:
        image = torch.where(has_image.view(-1, 1, 1), encoder.image_encoder(crops) + encoder.position, image)
    if network.config.use_points:
        cloud = torch.where(
            has_points.view(-1, 1, 1), plain_point_gnn(encoder.point_encoder, points), encoder.missing_points
        )
    text = None
    if isinstance(encoder.semantics, SemanticMining):
        semantics = encoder.semantics
        text = semantics.text.encode_plain(semantics.pseudo_word(crops, has_image, semantics.image.encode_plain(crops)))
    elif encoder.semantics is not None:
        text = encoder.semantics(crops, has_image)
    image, point = encoder.fuse(image, cloud, text)
    return network.sequence(image.unflatten(0, (batch, frames)), point.unflatten(0, (batch, frames)), frame_mask)


def plain_point_gnn(encoder: PointGNN, points: Tensor) -> Tensor:
    """PointGNN with :func:`plain_edge_conv`: (B, N, 3 or 7) -> (B, N, d)."""
    x = encoder.embed_norm(encoder.embed(points).flatten(0, 1)).unflatten(0, (-1, points.shape[1]))
    levels = [F.leaky_relu(x, 0.2)]
    for layer in encoder.layers:
        assert isinstance(layer, EdgeConv)  # noqa: S101 - ModuleList hides the type
        levels.append(plain_edge_conv(layer, levels[-1]))
    return encoder.project(torch.cat(levels, dim=-1))


def plain_edge_conv(layer: EdgeConv, x: Tensor) -> Tensor:
    """EdgeConv as it is written: gather [c; n - c] of all k N edges, multiply, take the maximum."""
    batch, points, _ = x.shape
    chosen = nearest_by_cosine(x, layer.neighbours)  # (B, N, k)
    neighbour = x[torch.arange(batch, device=x.device)[:, None, None], chosen]  # (B, N, k, C)
    center = x[:, :, None].expand_as(neighbour)
    edges = layer.edge(torch.cat([center, neighbour - center], dim=-1))  # (B, N, k, outputs)
    return layer.activate(edges.amax(dim=2).flatten(0, 1)).unflatten(0, (-1, points))
