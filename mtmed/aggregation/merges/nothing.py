"""No federation: every site trains alone for as many rounds. The floor that sharing has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Merge(_base.Weighted):
    """Nobody pulls: the global model stays untrained, and only its round is counted."""

    shares: ClassVar[bool] = False

    def weights(self, piece: Piece) -> Tensor:
        return piece.examples * 0
