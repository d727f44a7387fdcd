"""Fisher-weighted averaging (Matena and Raffel 2022): each element by how sure each site is of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece
from mtmed.options import expect

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Merge(_base.Weighted):
    """W_k = P_k + damping * mean over sites and elements of P, for the sites that a label reaches.

    Attributes:
        damping: keeps elements of which nobody is sure from being decided by noise.
    """

    damping: float = 0.01
    needs_precision: ClassVar[bool] = True

    def __post_init__(self) -> None:
        expect("damping", self.damping)

    def sums(self, precision: Tensor) -> Tensor:
        return precision.double().sum(1, keepdim=True)

    def weights(self, piece: Piece) -> Tensor:
        if piece.precision is None or piece.sums is None or not bool(piece.sums.any()):
            return piece.reach
        reached = (piece.reach > 0).double()[:, None]
        return piece.precision + self.damping * piece.sums.mean() * reached
