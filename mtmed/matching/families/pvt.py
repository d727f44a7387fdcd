"""PVT v2, as timm has it."""

from __future__ import annotations

import torch
from timm.models.pvt_v2 import Attention, Block, MlpWithDepthwiseConv, OverlapPatchEmbed, PyramidVisionTransformerStage

from mtmed.matching.book import Axis, Book


def stage(book: Book, layer: PyramidVisionTransformerStage, axis: Axis) -> Axis:
    """A smaller map, blocks, a norm."""
    stream = axis if layer.downsample is None else book.walk(layer.downsample, axis)
    for block in layer.blocks:
        stream = book.walk(block, stream)
    return book.walk(layer.norm, stream)


def patches(book: Book, layer: OverlapPatchEmbed, axis: Axis) -> Axis:
    """One convolution."""
    return book.walk(layer.norm, book.walk(layer.proj, axis))


def block(book: Book, layer: Block, stream: Axis) -> Axis:
    """Attention and a perceptron, each beside the stream."""
    for norm, inner in ((layer.norm1, layer.attn), (layer.norm2, layer.mlp)):
        stream = book.join(stream, book.walk(inner, book.walk(norm, stream)))
    return stream


def mlp(book: Book, layer: MlpWithDepthwiseConv, axis: Axis) -> Axis:
    """The depthwise convolution moves with its hidden unit."""
    for inner in (layer.fc1, layer.relu, layer.dwconv, layer.act, layer.fc2):
        axis = book.walk(inner, axis)
    return axis


def attention(book: Book, layer: Attention, axis: Axis) -> Axis:
    """Keys and values may be of a smaller map, whose channels are their own."""
    places = torch.arange(layer.dim).unflatten(0, (layer.num_heads, layer.head_dim))[..., None]
    book.claim(axis, layer.q, "weight", 1)
    small = axis
    for inner in (layer.sr, layer.norm, layer.act):
        small = small if inner is None else book.walk(inner, small)
    book.claim(small, layer.kv, "weight", 1)
    shared = [*book.rows(layer.q, places), *book.rows(layer.kv, places)]
    carried = [*book.rows(layer.kv, places + layer.dim), book.columns(layer.proj, places)]
    book.heads(layer, shared, carried)
    return book.written(layer.proj)


WALKS = {
    PyramidVisionTransformerStage: stage,
    OverlapPatchEmbed: patches,
    Block: block,
    MlpWithDepthwiseConv: mlp,
    Attention: attention,
}
ENCLOSED = (MlpWithDepthwiseConv, Attention)
