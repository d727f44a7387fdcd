"""Federated averaging (McMahan et al. 2017): sites weighted by their number of training examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Merge(_base.Weighted):
    """Every parameter of every site counts, labelled or not: a site without masks dilutes the mask decoder."""

    def weights(self, piece: Piece) -> Tensor:
        return piece.examples
