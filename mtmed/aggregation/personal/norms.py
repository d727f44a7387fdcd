"""FedBN (Li et al. 2021): normalisation layers stay with their site, whose scanner they know.

The paper's are batch norms; those of the default encoder are of groups of channels and of places, which have no
statistics of a site, and only scales and shifts to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.personal import _base

if TYPE_CHECKING:
    from mtmed.models.multitask import MultiTask


@dataclass(frozen=True)
class Personal(_base.Personal):
    """Scales, shifts and statistics of all normalisation layers."""

    def names(self, model: MultiTask) -> set[str]:
        from torch import nn

        kinds = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
        layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, kinds)}
        return {f"{name}.{value}" for name, layer in layers.items() for value in layer.state_dict()}
