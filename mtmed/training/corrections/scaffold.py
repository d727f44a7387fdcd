"""SCAFFOLD (Karimireddy et al. 2020, algorithm 1): c - c_k is added to the gradient of site k.

c_k is the mean gradient of the site's steps in the last round, and c the mean of all c_k. The paper's two ways to get
c_k are another pass over the data, and the distance that a site went, which is its mean gradient only where steps are
plain gradient descent; ours are AdamW's. A site that took no part in the last round is not corrected in this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mtmed.training.corrections import _base

if TYPE_CHECKING:
    from torch import Tensor

    from mtmed.models.multitask import MultiTask


@dataclass(frozen=True)
class Correction(_base.Correction):
    """Each site's steps go where the steps of all sites went."""

    needs_gradient: ClassVar[bool] = True

    def hook(self, model: MultiTask, reference: _base.Reference) -> _base.Hook:
        return _Controlled(model, reference.others.drift)


class _Controlled(_base.Hook):
    """Adds the drift, and sums up the gradients as they were before."""

    def __init__(self, model: MultiTask, drift: Mapping[str, Tensor]) -> None:
        self.parameters = dict(model.named_parameters())
        self.drift = {name: value.to(self.parameters[name].device) for name, value in drift.items()}
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            self.sums[name] = self.sums[name].add_(parameter.grad) if name in self.sums else parameter.grad.clone()
            if name in self.drift:
                parameter.grad.add_(self.drift[name])

    def gradient(self) -> dict[str, Tensor]:
        return {name: (total / self.steps).cpu() for name, total in self.sums.items()}
