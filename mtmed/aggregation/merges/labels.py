"""Federated averaging per head: a site counts in a head by its labelled examples of that head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Merge(_base.Weighted):
    """The mandatory baseline of partial labels: a head without labels anywhere stays as it was."""

    def weights(self, piece: Piece) -> Tensor:
        return piece.reach
