"""A local prior: what the other sites are sure of, a site may move only if its own images insist.

The other sites' Laplace factors, around the global model, as a penalty: sum_i P_i (theta_i - m_i)^2 / 2 beside a loss
that is summed over the site's images (docs/method.md). Relatives: elastic weight consolidation (Kirkpatrick et al.
2017), FedCurv (Shoham et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.options import expect
from mtmed.training.corrections import _base

if TYPE_CHECKING:
    from mtmed.models.multitask import MultiTask


@dataclass(frozen=True)
class Correction(_base.Correction):
    """Each parameter is held by strength P_i / n, and by no more than cap; n are the site's images.

    Attributes:
        strength: 1 is Bayes' rule; less tempers the others' factors, which claim too much.
        cap: a site that forges confidence holds nobody harder than this.
    """

    strength: float = 0.01
    cap: float = 1.0
    needs_precision: ClassVar[bool] = True

    def __post_init__(self) -> None:
        expect("strength", self.strength)
        expect("cap", self.cap)

    def hook(self, model: MultiTask, reference: _base.Reference) -> _base.Hook:
        known = reference.others.precision
        held = []
        for name, parameter in model.named_parameters():
            if name in known:
                weight = (known[name] * (self.strength / reference.examples)).clamp(0, self.cap)
                held.append((parameter, weight, reference.mean[name]))
        return _base.Held(held)
