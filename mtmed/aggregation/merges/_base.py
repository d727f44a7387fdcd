"""What merges have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from mtmed.aggregation.piece import Piece

if TYPE_CHECKING:
    from torch import Tensor


class Moved(NamedTuple):
    """What a merge makes of a piece.

    Attributes:
        move: of the global model [n].
        pulls: how hard each site pulled, on average [K]; None where that cannot be said.
        squares: the sites' squared moves, weighed as the moves are and summed over the piece, if they are wanted.
    """

    move: Tensor
    pulls: Tensor | None = None
    squares: Tensor | None = None


class Merge(ABC):
    """From the moves of all sites to one move."""

    needs_precision: ClassVar[bool] = False
    shares: ClassVar[bool] = True  # False: every site goes on from its own model, and there is no global one

    def sums(self, precision: Tensor) -> Tensor | None:  # noqa: ARG002
        """What `move` needs to know of a whole parameter: numbers [K,m] that add up over pieces of it [K,n]."""
        return None

    @abstractmethod
    def move(self, piece: Piece) -> Moved:
        """The global model's move of all sites' moves."""


class Weighted(Merge):
    """sum_k W_k move_k / sum_k W_k; no move where all weights are 0."""

    @abstractmethod
    def weights(self, piece: Piece) -> Tensor:
        """W_k, not negative, of any scale: [K], or by element [K,n]."""

    def move(self, piece: Piece) -> Moved:
        weights = self.weights(piece)
        if weights.ndim == 1:
            whole = weights.sum()
            shares = (weights / whole if whole > 0 else weights).to(piece.moves.dtype)
            squares = shares @ piece.moves.square().sum(1) if piece.squares else None
            return Moved(shares @ piece.moves, weights, squares)
        by_element = weights.to(piece.moves.dtype)
        whole = by_element.sum(0)
        pulled = by_element * piece.moves
        move = (pulled.sum(0) / whole).where(whole > 0, 0.0)
        squares = ((pulled * piece.moves).sum(0) / whole).where(whole > 0, 0.0).sum() if piece.squares else None
        return Moved(move, by_element.mean(1).double(), squares)


def affine(piece: Piece, ratio: Tensor, slope: Tensor, base: Tensor, pulls: Tensor) -> Moved:
    """`Weighted` of the weights slope_k ratio_k + base_k, without making them: ratios are [K,n] and used up, the others
    [K]; `pulls` are the weights' means over the whole parameter.
    """
    moves = piece.moves
    whole = slope @ ratio + base.sum()
    pulled = ratio.mul_(moves)
    move = ((slope @ pulled + base @ moves) / whole).where(whole > 0, 0.0)
    squares = None
    if piece.squares:
        squares = ((slope @ pulled.mul_(moves) + base @ moves.square()) / whole).where(whole > 0, 0.0).sum()
    return Moved(move, pulls, squares)
