"""The coordinate-wise median of the sites that a label reaches (Yin et al. 2018): no site can pull it far."""

from __future__ import annotations

from dataclasses import dataclass

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece


@dataclass(frozen=True)
class Merge(_base.Merge):
    """Sites count alike, however many images they have; of an even number it is the mean of the middle two."""

    def move(self, piece: Piece) -> _base.Moved:
        moves = piece.moves[piece.reach > 0]
        if not len(moves):
            return _base.Moved(piece.start * 0)
        ordered = moves.sort(0).values
        return _base.Moved((ordered[(len(moves) - 1) // 2] + ordered[len(moves) // 2]) / 2)
