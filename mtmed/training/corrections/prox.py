"""FedProx (Li et al. 2020, equation 2): mu / 2 |theta - m|^2 is added to the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.options import expect
from mtmed.training.corrections import _base

if TYPE_CHECKING:
    from mtmed.models.multitask import MultiTask


@dataclass(frozen=True)
class Correction(_base.Correction):
    """All parameters are held alike.

    Attributes:
        mu: how hard.
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        expect("mu", self.mu)

    def hook(self, model: MultiTask, reference: _base.Reference) -> _base.Hook:
        return _base.Held([(p, self.mu, reference.mean[name]) for name, p in model.named_parameters()])
