"""The feature pyramid of heads that say where."""

from __future__ import annotations

from mtmed.heads._base import Pyramid
from mtmed.matching.book import Axis, Book


def pyramid(book: Book, layer: Pyramid, features: list[Axis]) -> list[Axis]:
    """Laterals are added to each other, whatever their sizes are; each level is smoothed by its own convolution."""
    laterals = [book.walk(one, axis) for one, axis in zip(layer.lateral, features, strict=True)]
    merged = book.join(laterals[0], *laterals[1:])
    return [book.walk(smooth, merged) for smooth in layer.smooth]


WALKS = {Pyramid: pyramid}
