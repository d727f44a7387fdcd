"""Blocks of residual networks, as timm has them."""

from __future__ import annotations

from timm.models.resnet import BasicBlock, Bottleneck

from mtmed.matching.book import Axis, Book


def basic(book: Book, layer: BasicBlock, axis: Axis) -> Axis:
    """Two convolutions beside a shortcut."""
    inner = (layer.conv1, layer.bn1, layer.drop_block, layer.act1, layer.aa, layer.conv2, layer.bn2)
    return _residual(book, layer, inner, axis)


def bottleneck(book: Book, layer: Bottleneck, axis: Axis) -> Axis:
    """Three convolutions beside a shortcut."""
    first = (layer.conv1, layer.bn1, layer.act1, layer.conv2, layer.bn2, layer.drop_block, layer.act2, layer.aa)
    return _residual(book, layer, (*first, layer.conv3, layer.bn3), axis)


def _residual(book: Book, layer: BasicBlock | Bottleneck, inner: tuple, axis: Axis) -> Axis:
    last = () if layer.se is None else (layer.se,)
    added = axis
    for one in (*inner, *last):
        added = book.walk(one, added)
    shortcut = axis if layer.downsample is None else book.walk(layer.downsample, axis)
    return book.join(shortcut, added)


WALKS = {BasicBlock: basic, Bottleneck: bottleneck}
