"""The decoder of classes and of measurements."""

from __future__ import annotations

import torch

from mtmed.heads._whole_image import WholeImage
from mtmed.matching.book import Axis, Book


def decoder(book: Book, layer: WholeImage, features: list[Axis]) -> None:
    """Mean and maximum of every channel of every map lie side by side before the norm."""
    for number, (project, axis) in enumerate(zip(layer.project, features, strict=True)):
        projected = book.walk(project, axis)
        mean = torch.arange(projected.size) + 2 * projected.size * number
        index = torch.stack([mean, mean + projected.size], 1)
        book.claim(projected, layer.norm, "weight", 0, index)
        book.claim(projected, layer.norm, "bias", 0, index)
        book.claim(projected, layer.predictor, "weight", 1, index)


WALKS = {WholeImage: decoder}
