"""Blocks of ConvNeXt, as timm has them."""

from __future__ import annotations

from timm.models.convnext import ConvNeXtBlock, ConvNeXtStage

from mtmed.matching.book import Axis, Book


def stage(book: Book, layer: ConvNeXtStage, axis: Axis) -> Axis:
    """A smaller map, and blocks."""
    return book.walk(layer.blocks, book.walk(layer.downsample, axis))


def block(book: Book, layer: ConvNeXtBlock, axis: Axis) -> Axis:
    """A depthwise convolution and a perceptron, scaled, beside a shortcut."""
    added = axis
    for inner in (layer.conv_dw, layer.norm, layer.mlp):
        added = book.walk(inner, added)
    book.claim(added, layer, "gamma", 0)
    return book.join(book.walk(layer.shortcut, axis), added)


WALKS = {ConvNeXtStage: stage, ConvNeXtBlock: block}
