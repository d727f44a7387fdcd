"""Swin, as timm has it."""

from __future__ import annotations

import torch
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock, SwinTransformerStage, WindowAttention

from mtmed.matching.book import Axis, Book
from mtmed.matching.group import Member, Part


def stage(book: Book, layer: SwinTransformerStage, axis: Axis) -> Axis:
    """A smaller map, and blocks."""
    return book.walk(layer.blocks, book.walk(layer.downsample, axis))


def block(book: Book, layer: SwinTransformerBlock, stream: Axis) -> Axis:
    """Attention and a perceptron, each beside the stream."""
    for norm, inner in ((layer.norm1, layer.attn), (layer.norm2, layer.mlp)):
        stream = book.join(stream, book.walk(inner, book.walk(norm, stream)))
    return stream


def merging(book: Book, layer: PatchMerging, axis: Axis) -> Axis:
    """Every channel comes four times, from four neighbours."""
    index = torch.arange(layer.dim)[:, None] + layer.dim * torch.arange(4)
    for one, parameter, dim in ((layer.norm, "weight", 0), (layer.norm, "bias", 0), (layer.reduction, "weight", 1)):
        book.claim(axis, one, parameter, dim, index)
    return book.written(layer.reduction)


def attention(book: Book, layer: WindowAttention, axis: Axis) -> Axis:
    """A head's column of the table of relative positions moves with it."""
    book.claim(axis, layer.qkv, "weight", 1)
    heads, width = layer.num_heads, layer.qkv.out_features // 3
    places = torch.arange(width).unflatten(0, (heads, -1))[..., None]
    shared = book.rows(layer.qkv, torch.cat([places, places + width], 2))
    carried = [*book.rows(layer.qkv, places + 2 * width), book.columns(layer.proj, places)]
    table = book.name(layer, "relative_position_bias_table")
    column = Member(table, 1, torch.arange(heads)[:, None, None])
    book.heads(layer, shared, carried, Part(1, (column,)))
    return book.written(layer.proj)


WALKS = {
    SwinTransformerStage: stage,
    SwinTransformerBlock: block,
    PatchMerging: merging,
    WindowAttention: attention,
}
ENCLOSED = (WindowAttention,)
