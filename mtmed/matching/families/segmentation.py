"""The decoder of masks."""

from __future__ import annotations

from mtmed.heads.segmentation import Decoder
from mtmed.matching.book import Axis, Book


def decoder(book: Book, layer: Decoder, features: list[Axis]) -> None:
    """Of the pyramid only the finest level is used."""
    finest = book.walk(layer.pyramid, features)[0]
    book.end(layer.predictor, book.walk(layer.refine, finest))


WALKS = {Decoder: decoder}
