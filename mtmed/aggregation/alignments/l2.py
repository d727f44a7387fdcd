"""Units by their distance in plain numbers (Ainsworth et al. 2023), weighed by the labelled examples behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtmed.aggregation.alignments import _base
from mtmed.aggregation.alignments._base import reach
from mtmed.types import GlobalModel, SiteUpdate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Alignment(_base.Matched):
    """All elements of a parameter count alike; the global model counts as much as all sites together."""

    def sureness(self, update: SiteUpdate, names: Sequence[str]) -> dict[str, Tensor]:
        import torch

        return {name: torch.tensor(float(reach(update, name))) for name in names}

    def prior(self, model: GlobalModel, sites: Sequence[SiteUpdate], names: Sequence[str]) -> dict[str, Tensor]:  # noqa: ARG002
        import torch

        return {name: torch.tensor(float(sum(reach(update, name) for update in sites))) for name in names}
