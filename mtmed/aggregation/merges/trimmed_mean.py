"""The mean without the extremes, coordinate by coordinate, of the sites that a label reaches (Yin et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece
from mtmed.options import expect


@dataclass(frozen=True)
class Merge(_base.Merge):
    """Sites count alike, however many images they have.

    Attributes:
        trim: share of the sites that is left out at each end, rounded down, but at least one of three and more.
    """

    trim: float = 0.2

    def __post_init__(self) -> None:
        expect("trim", self.trim, high=0.5)

    def move(self, piece: Piece) -> _base.Moved:
        moves = piece.moves[piece.reach > 0]
        if not len(moves):
            return _base.Moved(piece.start * 0)
        out = max(int(self.trim * len(moves)), int(self.trim > 0 and len(moves) >= 3))
        return _base.Moved(moves.sort(0).values[out : len(moves) - out].mean(0))
