"""The Bayesian merge: a tempered log-opinion pool of the sites' Laplace factors.

Our own design (docs/method.md); the published abstract of MTMedFormer gives no equations. Relatives: Laplace
federated posteriors (Al-Shedivat et al. 2021), Fisher-weighted averaging (Matena and Raffel 2022).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation.merges import _base
from mtmed.aggregation.piece import Piece
from mtmed.options import expect

if TYPE_CHECKING:
    from torch import Tensor

TINY = 2.0**-126  # the least normal number of single precision


@dataclass(frozen=True)
class Merge(_base.Weighted):
    """Per tensor, with P_k the site's precision, Pbar_k its mean and w_k the examples that reach the tensor:

        Q_k = (Pbar_k / sum_j Pbar_j)^a (P_k / Pbar_k)^b         0 where Pbar_k = 0
        lam = alpha sum_k mean(Q_k) / sum_k w_k
        m  <- m + sum_k (Q_k + lam w_k)(theta_k - m) / sum_k (Q_k + lam w_k)

    Attributes:
        alpha: share of the averaging by counts; to infinity it is label-aware averaging.
        a: how much a confident site outweighs the others, tensor by tensor.
        b: how much a confident element outweighs the others inside its tensor.
    """

    alpha: float = 1.0
    a: float = 0.5
    b: float = 0.5
    needs_precision: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for option, value in asdict(self).items():
            expect(option, value)

    def sums(self, precision: Tensor) -> Tensor:
        """Of P_k and of P_k^b."""
        exact = precision.double() if self.b > 1 else precision  # a power above 1 can fall below single precision
        return _columns(precision.sum(1).double(), (exact**self.b).sum(1).double())

    def weights(self, piece: Piece) -> Tensor:
        """By counts alone: nobody measured a precision here (buffers, say)."""
        return piece.reach

    def move(self, piece: Piece) -> _base.Moved:
        """With W_k = Q_k + lam w_k, of which only the ratio (P_k / Pbar_k)^b differs by element."""
        if piece.precision is None or piece.sums is None or not bool(piece.sums[:, 0].any()):
            return super().move(piece)
        mean, powered = piece.sums.T
        known = mean > 0
        usual = mean.where(known, 1.0)
        share = ((mean / mean.sum()) ** self.a).where(known, 0.0)
        usually = share * powered / usual**self.b  # mean(Q_k)
        count = self.alpha * usually.sum() / piece.reach.sum() * piece.reach
        # a mean below single precision would divide by 0 there
        ratio = piece.precision.div_(usual.clamp(min=TINY).float()[:, None]).pow_(self.b)
        return _base.affine(piece, ratio, share.float(), count.float(), usually + count)


def _columns(*values: Tensor) -> Tensor:
    import torch

    return torch.stack(values, 1)
