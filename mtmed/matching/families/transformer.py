"""Blocks of vision transformers, as timm has them."""

from __future__ import annotations

import torch
from timm.layers import LayerScale, Mlp
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from mtmed.matching.book import Axis, Book
from mtmed.matching.group import Group, Member, Part


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
    after = book.axis(layer.proj.out_features)
    book.claim(after, layer.proj, "weight", 0)
    book.claim(after, layer.proj, "bias", 0)
    extras = (layer.q_norm, layer.k_norm, layer.norm)
    if layer.gate is None and all(isinstance(extra, nn.Identity) for extra in extras):
        book.add(_heads(book, layer))
    else:
        book.unknown.add("Attention with norms or a gate")
    return after


def _heads(book: Book, layer: Attention) -> Group:
    places = torch.arange(layer.num_heads * layer.head_dim).unflatten(0, (layer.num_heads, layer.head_dim))
    queries, keys, values = (places + n * places.numel() for n in range(3))
    shared = torch.stack([queries, keys], 2)
    carried = [*_rows(book, layer.qkv, values[..., None])]
    carried.append(Member(book.name(layer.proj, "weight"), 1, places[..., None]))
    parts = (Part(layer.head_dim, (*_rows(book, layer.qkv, shared),)), Part(layer.head_dim, (*carried,)))
    return Group(book.name(layer, "heads"), layer.num_heads, parts)


def _rows(book: Book, layer: nn.Linear, index: Tensor) -> list[Member]:
    present = [p for p in ("weight", "bias") if getattr(layer, p) is not None]
    return [Member(book.name(layer, p), 0, index) for p in present]


WALKS = {Block: block, Mlp: mlp, LayerScale: scale, Attention: attention}
ENCLOSED = (Mlp, Attention)
