"""Blocks of vision transformers, as timm has them."""

from __future__ import annotations

import torch
from timm.layers import LayerScale, Mlp
from timm.models.vision_transformer import Attention, Block
from torch import nn

from mtmed.matching.book import Axis, Book


def block(book: Book, layer: Block, stream: Axis) -> Axis:
    """Attention and a perceptron, each beside the stream."""
    for norm, inner, scale in ((layer.norm1, layer.attn, layer.ls1), (layer.norm2, layer.mlp, layer.ls2)):
        added = book.walk(scale, book.walk(inner, book.walk(norm, stream)))
        stream = book.join(stream, added)
    return stream


def mlp(book: Book, layer: Mlp, axis: Axis) -> Axis:
    """Its hidden units are its own."""
    for inner in (layer.fc1, layer.act, layer.norm, layer.fc2):
        axis = book.walk(inner, axis)
    return axis


def scale(book: Book, layer: LayerScale, axis: Axis) -> Axis:
    """A factor for every channel."""
    book.claim(axis, layer, "gamma", 0)
    return axis


def attention(book: Book, layer: Attention, axis: Axis) -> Axis:
    """Heads are blocks; in each, queries with keys, and values with outputs."""
    book.claim(axis, layer.qkv, "weight", 1)
    extras = (layer.q_norm, layer.k_norm, layer.norm)
    if layer.gate is not None or not all(isinstance(extra, nn.Identity) for extra in extras):
        return book.leave(layer, axis)
    width = layer.num_heads * layer.head_dim
    places = torch.arange(width).unflatten(0, (layer.num_heads, layer.head_dim))[..., None]
    shared = book.rows(layer.qkv, torch.cat([places, places + width], 2))
    carried = [*book.rows(layer.qkv, places + 2 * width), book.columns(layer.proj, places)]
    book.heads(layer, shared, carried)
    return book.written(layer.proj)


WALKS = {Block: block, Mlp: mlp, LayerScale: scale, Attention: attention}
ENCLOSED = (Mlp, Attention)
