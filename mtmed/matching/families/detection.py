"""The decoder of boxes."""

from __future__ import annotations

from mtmed.heads.detection import Decoder
from mtmed.matching.book import Axis, Book


def decoder(book: Book, layer: Decoder, features: list[Axis]) -> None:
    """All levels go through the same two towers."""
    levels = book.walk(layer.pyramid, features)
    level = book.join(levels[0], *levels[1:])
    book.end(layer.classifier.cls_logits, book.walk(layer.classifier.conv, level))
    tower = book.walk(layer.regressor.conv, level)
    book.end(layer.regressor.bbox_reg, tower)
    book.end(layer.regressor.bbox_ctrness, tower)


WALKS = {Decoder: decoder}
