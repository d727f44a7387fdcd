"""What makes timm's models give the maps of their stages."""

from __future__ import annotations

from typing import cast

from timm.models._features import FeatureListNet
from torch import nn

from mtmed.matching.book import Axis, Book


def stages(book: Book, layer: FeatureListNet, axis: Axis) -> list[Axis]:
    """Stage after stage; the maps of some are given."""
    given = []
    for name, stage in cast(nn.ModuleDict, layer).items():
        axis = book.walk(stage, axis)
        if name in layer.return_layers:
            given.append(axis)
    return given


WALKS = {FeatureListNet: stages}
