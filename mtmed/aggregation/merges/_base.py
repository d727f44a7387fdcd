"""What merges have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation.piece import Piece

if TYPE_CHECKING:
    from torch import Tensor


class Merge(ABC):
    """From the moves of all sites to one move."""

    needs_precision: ClassVar[bool] = False
    shares: ClassVar[bool] = True  # False: every site goes on from its own model, and there is no global one

    def sums(self, precision: Tensor) -> Tensor | None:  # noqa: ARG002
        """What `move` needs to know of a whole parameter: numbers [K,m] that add up over pieces of it [K,n]."""
        return None

    @abstractmethod
    def move(self, piece: Piece) -> tuple[Tensor, Tensor | None]:
        """The global model's move [n], and how hard each site pulled at it on average [K], where that can be said."""


class Weighted(Merge):
    """sum_k W_k move_k / sum_k W_k; no move where all weights are 0."""

    @abstractmethod
    def weights(self, piece: Piece) -> Tensor:
        """W_k, not negative, of any scale: [K], or by element [K,n]."""

    def move(self, piece: Piece) -> tuple[Tensor, Tensor | None]:
        weights = self.weights(piece)
        if weights.ndim == 1:
            whole = weights.sum()
            shares = weights / whole if whole > 0 else weights
            return shares.to(piece.moves.dtype) @ piece.moves, weights
        by_element = weights.to(piece.moves.dtype)
        whole = by_element.sum(0)
        return ((by_element * piece.moves).sum(0) / whole).where(whole > 0, 0.0), by_element.double().mean(1)
