"""The default encoder."""

from __future__ import annotations

from mtmed.matching.book import Axis, Book
from mtmed.models.mtmedformer import Residual, Transformer


def residual(book: Book, layer: Residual, axis: Axis) -> Axis:
    """Two convolutions beside a shortcut."""
    added = book.walk(layer.second, book.walk(layer.first, axis))
    return book.join(book.walk(layer.shortcut, axis), added)


def transformer(book: Book, layer: Transformer, axis: Axis) -> Axis:
    """A depthwise convolution and blocks, beside one stream."""
    halved = book.walk(layer.halve, axis)
    placed = book.join(halved, book.walk(layer.position, halved))
    return book.walk(layer.norm, book.walk(layer.blocks, placed))


WALKS = {Residual: residual, Transformer: transformer}
