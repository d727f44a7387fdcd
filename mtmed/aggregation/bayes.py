"""The Bayesian merge: a tempered log-opinion pool of the sites' Laplace factors.

Our own design (docs/method.md); the published abstract of MTMedFormer gives no equations. Relatives: Laplace
federated posteriors (Al-Shedivat et al. 2021), Fisher-weighted averaging (Matena and Raffel 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.aggregation import _base
from mtmed.errors import UserError
from mtmed.types import SiteUpdate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Strategy(_base.Strategy):
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
        for name, value in asdict(self).items():
            if not value >= 0:
                raise UserError(f"strategies.bayes.{name}: expected a number from 0 up, got {value}")

    def weights(self, sites: Sequence[SiteUpdate], name: str) -> list[_base.Weight]:
        """Q_k + lam w_k, by element."""
        counts = [_base.reach(u, name) for u in sites]
        confidence = [_mean_precision(u, name) for u in sites]
        total = sum(confidence)
        if total == 0:  # nobody measured a precision here (buffers, say): by counts alone
            return list(counts)
        quality = [self._quality(u, name, c, total) for u, c in zip(sites, confidence, strict=True)]
        floor = self.alpha * sum(float(q.mean()) for q in quality) / sum(counts)
        return [q + floor * w for q, w in zip(quality, counts, strict=True)]

    def _quality(self, update: SiteUpdate, name: str, confidence: float, total: float) -> Tensor:
        """Q_k, of the tensor's shape."""
        if confidence == 0:
            mean = update.mean[name].double()
            return mean.new_zeros(mean.shape)
        relative = update.precision[name].double() / confidence
        return (confidence / total) ** self.a * relative**self.b


def _mean_precision(update: SiteUpdate, name: str) -> float:
    """Pbar_k; 0 where the site sent none or has no label that reaches the tensor."""
    if name not in update.precision or _base.reach(update, name) == 0:
        return 0.0
    return float(update.precision[name].double().mean())
